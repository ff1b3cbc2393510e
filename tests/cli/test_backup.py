"""`migrate backup`, and `run` that asks for one, as their user sees them: whole outputs and exit codes."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Migrate, steady
from tests.cli.test_rollback import change, stored

MADE = """\
bills  RUN  TIME

target  rows  scope  digest
paid       1  NULL   DIGEST

the backup is in backups/bills-RUN
"""

RESTORED = """\
bills  rolled back  RUN
  read       0
  mapped     0
  rejected   0

  target  written
  paid          0

  3 of 3 batches · N s · N rows/s

target  rows  identical  overwritten  inserted  deleted
paid       1          0            1         0        2

restored: every row is as in backup RUN of TIME
"""


@pytest.fixture
def filled(project: Path) -> Path:
    """A project whose target has a row already."""
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        connection.execute("INSERT INTO paid VALUES (2, 'theirs', '1.00', NULL)")
        connection.commit()
    text = (project / "mapping.yaml").read_text(encoding="utf-8")
    text = text.replace("    key: [no]\n", "    key: [no]\n    on_conflict: update\n")
    (project / "mapping.yaml").write_text(text, encoding="utf-8")
    return project


def test_a_backup_is_made_checked_asked_for_and_put_back(migrate: Migrate, filled: Path) -> None:
    """`run` is refused with both ways on; with a checked backup it begins; `restore` says what it did."""
    before = stored(filled)
    refused = migrate("run", "mapping.yaml")
    assert (refused.code, refused.out) == (4, "")
    assert "bills would begin a new run, but paid has rows within its scope already" in refused.err
    assert "next:  migrate backup create mapping.yaml and migrate backup check mapping.yaml" in refused.err
    planned = migrate("plan", "mapping.yaml", "--sample", "0")
    assert planned.code == 0
    assert "there is no checked backup of them" in planned.out
    assert "→ migrate backup create mapping.yaml and migrate backup check mapping.yaml" in planned.out
    made = migrate("backup", "create", "mapping.yaml")
    assert (made.code, undigested(made.out)) == (0, MADE)
    checked = migrate("backup", "check", "mapping.yaml")
    assert checked.code == 0
    assert checked.out.endswith("\nthe backup holds: restored into scratch tables, it is what was backed up\n")
    assert "nothing stands in the way" in migrate("plan", "mapping.yaml", "--sample", "0").out
    assert migrate("run", "mapping.yaml").code == 0
    assert len(stored(filled)) == 3
    old = migrate("backup", "check", "mapping.yaml")
    assert "the mapping has changed rows of the target since it was made" in old.out
    done = migrate("backup", "restore", "mapping.yaml", "--yes")
    assert (done.code, steady(done.out)) == (0, RESTORED)
    assert "phase restore" in done.err
    assert stored(filled) == before
    assert migrate("status", "mapping.yaml").out.startswith("bills  rolled back  ")
    assert migrate("ledger", "verify", "mapping.yaml").code == 0


def test_documents_for_machines(migrate: Migrate, filled: Path) -> None:
    """`--json`: the manifest with its folder, whether it is current, and what a restore did."""
    made = json.loads(migrate("backup", "create", "mapping.yaml", "--json").out)
    assert (filled / made["folder"] / "manifest.json").is_file()
    assert made["tables"]["paid"]["rows"] == 1
    checked = json.loads(migrate("backup", "check", "mapping.yaml", "--json").out)
    assert (checked["backup"], checked["current"]) == (made["backup"], True)
    change(filled)
    done = json.loads(migrate("backup", "restore", "mapping.yaml", "--yes", "--json").out)
    assert done["restore"] == {
        "backup": made["backup"],
        "targets": {"paid": {"rows": 1, "identical": 0, "overwritten": 1, "inserted": 0, "deleted": 0}},
    }


def test_without_a_backup_by_word(migrate: Migrate, filled: Path) -> None:
    """`--no-backup` begins, and `ledger show` has it."""
    assert filled.exists()
    assert migrate("run", "mapping.yaml", "--no-backup").code == 0
    assert "no_backup" in migrate("ledger", "show", "mapping.yaml", "--json").out


def test_nobody_at_the_terminal_is_a_usage_error(migrate: Migrate, filled: Path) -> None:
    """Without --yes and without a terminal nothing happens, with exit 2; --dry-run, which a restore does not have, is not named."""
    assert filled.exists()
    migrate("backup", "create", "mapping.yaml")
    asked = migrate("backup", "restore", "mapping.yaml")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == (
        "error: it asks before it begins, and nobody is at the terminal to answer\n"
        "  next:  give --yes to do it without being asked\n"
    )


@pytest.mark.parametrize("folder", ["kept", "kept/deeper"])
def test_a_file_is_no_folder_for_backups(migrate: Migrate, filled: Path, folder: str) -> None:
    """A `--dir` that is a file, or lies below one, is wrong input: exit 2, told before the target gets a ledger; a check does not advise to make one there."""
    (filled / "kept").write_text("something else")
    before = (filled / "new.db").read_bytes()
    made = migrate("backup", "create", "mapping.yaml", "--dir", folder)
    assert (made.code, made.out) == (2, "")
    assert made.err.startswith("error: ")
    assert made.err.endswith(
        f"kept is a file: backups are kept in a folder\n  where: --dir {folder}\n"
        "  next:  name a folder with --dir; one that is not there is made\n"
    )
    assert (filled / "new.db").read_bytes() == before
    assert "make one" not in migrate("backup", "check", "mapping.yaml", "--dir", "kept").err


def test_damage_is_exit_1_and_nothing_there_is_exit_4(migrate: Migrate, filled: Path) -> None:
    """The file is named; without any backup the way to one is."""
    none = migrate("backup", "check", "mapping.yaml")
    assert (none.code, none.out) == (4, "")
    assert "there is no backup of bills in backups" in none.err
    migrate("backup", "create", "mapping.yaml")
    (damaged,) = filled.glob("backups/*/*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    found = migrate("backup", "check", "mapping.yaml", "--json")
    assert found.code == 1
    error = json.loads(found.out)["error"]
    assert (error["kind"], error["reason"]) == ("NotProven", "file")
    assert "0-paid-0.parquet was changed since the backup was made" in found.err


def test_the_next_step_can_be_pasted(migrate: Migrate, filled: Path) -> None:
    """What a message says to type means the same target and the same folder as the command that said it."""
    elsewhere = ("mapping.yaml", "--target", "sqlite:///copy of new.db", "--dir", "my backups")
    shutil.copyfile(filled / "new.db", filled / "copy of new.db")
    (filled / "new.db").unlink()
    none = migrate("backup", "check", *elsewhere)
    assert (none.code, none.out) == (4, "")
    assert "there is no backup of bills in my backups, which is not there" in none.err
    made = migrate(*pasted(none.err.rpartition("or make one: ")[2]))
    assert made.code == 0, made.err
    checked = migrate(*pasted(made.err.rpartition(": ")[2].replace("\n", " ")))
    assert checked.code == 0, checked.err
    unknown = migrate("backup", "restore", *elsewhere, "--backup", "20200101T000000-abcd", "--yes")
    assert unknown.code == 4
    assert (
        f"name one that is there with --backup ({json.loads(migrate('backup', 'check', *elsewhere, '--json').out)['backup']})"
        in unknown.err
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "its parts are not of the kind"),
        ('{"backup": {}}', "it does not say 'format'"),
        ("{", "not a manifest: "),
        (None, "has no manifest.json"),
    ],
    ids=["list", "nothing in it", "no JSON", "gone"],
)
def test_a_spoilt_manifest_is_told_in_words(migrate: Migrate, filled: Path, text: str | None, said: str) -> None:
    """No name of a Python exception gets to the user, and a folder that lost its manifest is not called half-written."""
    migrate("backup", "create", "mapping.yaml")
    (manifest,) = filled.glob("backups/*/manifest.json")
    manifest.unlink()
    if text is not None:
        manifest.write_text(text, encoding="utf-8")
    found = migrate("backup", "check", "mapping.yaml")
    assert found.code == (4 if text is None else 1)
    assert said in found.err
    assert "Error(" not in found.err


def test_it_speaks_chinese(migrate: Migrate, filled: Path) -> None:
    """The reports in the other language."""
    assert filled.exists()
    assert "备份已写入 backups/bills-" in migrate("backup", "create", "mapping.yaml", "--lang", "zh").out
    assert "备份有效" in migrate("backup", "check", "mapping.yaml", "--lang", "zh").out
    assert "恢复完成：所有行与备份" in migrate("backup", "restore", "mapping.yaml", "--yes", "--lang", "zh").out


def pasted(command: str) -> list[str]:
    """The words of a command that a message showed, without the name of the program."""
    program, *words = shlex.split(command)
    assert program == "migrate"
    return words


def undigested(text: str) -> str:
    """The text without what differs between two backups, and without digests."""
    lines = [line.split("CRE/1:")[0] + "DIGEST" if "CRE/1:" in line else line for line in steady(text).splitlines()]
    return "\n".join(lines) + "\n"
