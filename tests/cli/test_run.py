"""`migrate run` and what looks at a run afterwards: whole outputs, exit codes, and the documented JSON."""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
from pathlib import Path

import pytest

from migrate.stores.opening import open_target
from tests.cli.conftest import MAPPING, Migrate, steady

SUMMARY = """\
bills  complete  RUN
  read       6
  mapped     3
  filtered   1
  rejected   2
  warnings   1

  target  written
  paid          3

  1 of 1 batches · N s · N rows/s
"""


@pytest.fixture
def done_project(project: Path, migrate: Migrate) -> Path:
    """The project after its run."""
    done = migrate("run", "mapping.yaml")
    assert done.code == 0, done.err
    return project


def test_a_run_accounts_for_every_row(migrate: Migrate, project: Path) -> None:
    """The summary goes to stdout, progress and the next command to stderr; a second run has nothing to do."""
    assert project.exists()
    first = migrate("run", "mapping.yaml")
    assert (first.code, steady(first.out)) == (0, SUMMARY)
    assert steady(first.err).splitlines()[0] == "TIME INFO bills: run RUN started, about 6 rows"
    assert first.err.splitlines()[-1] == "see them: migrate rejects list mapping.yaml"
    second = migrate("run", "mapping.yaml")
    assert (second.code, steady(second.out)) == (0, SUMMARY)
    assert "is complete already: nothing to do" in second.err


def test_a_run_into_each_database(migrate: Migrate, project: Path, database_url: str) -> None:
    """The same mapping runs into PostgreSQL, MariaDB and SQLite, with a table made from the proposed DDL."""
    assert project.exists()
    words = ("mapping.yaml", "--target", database_url)
    statement = "\n".join(migrate("plan", *words, "--ddl").out.splitlines()[1:]).rstrip(";\n")
    store = open_target(database_url)
    with store.engine().begin() as connection:
        connection.exec_driver_sql(statement)
    store.close()
    done = migrate("run", *words)
    assert (done.code, done.out.splitlines()[1:5]) == (0, SUMMARY.splitlines()[1:5])
    assert migrate("ledger", "verify", *words).code == 0


def test_the_json_of_a_run_is_the_documented_one(migrate: Migrate, done_project: Path) -> None:
    """`run --json` is one entry, `status --json` a list of such entries."""
    assert done_project.exists()
    entry = json.loads(migrate("run", "mapping.yaml", "--json").out)
    assert (entry["mapping"], entry["state"], entry["warnings"], entry["passes"]) == ("bills", "complete", 1, 1)
    assert entry["rows"] == {"read": 6, "mapped": 3, "filtered": 1, "rejected": 2, "pending": 0}
    assert entry["targets"] == {"paid": {"written": 3, "updated": 0, "identical": 0, "kept": 0, "deleted": 0}}
    assert entry["batches"] == {"planned": 1, "done": 1}
    assert entry["digests"]["paid"].startswith("CRE/1:3:")
    assert {"run", "seconds", "rows_per_second"} <= entry.keys()
    assert json.loads(migrate("status", "mapping.yaml", "--json").out) == {"runs": [entry]}
    assert json.loads(migrate("status", "--target", "sqlite:///new.db", "--json").out) == {"runs": [entry]}


def test_status_shows_what_the_run_showed(migrate: Migrate, done_project: Path) -> None:
    """The ledger alone tells the same."""
    assert done_project.exists()
    assert steady(migrate("status", "mapping.yaml").out) == SUMMARY
    lines = steady(migrate("status", "--target", "sqlite:///new.db").out).splitlines()
    assert lines[0].split() == ["mapping", "run", "state", "read", "rejected", "pending", "rows/s", "ETA"]
    assert lines[1].split()[:6] == ["bills", "RUN", "complete", "6", "2", "0"]


def test_status_before_any_run_is_refused(migrate: Migrate, project: Path) -> None:
    """A database without a ledger is not an empty success, and gets none by being asked."""
    done = migrate("status", "mapping.yaml")
    assert (done.code, done.out) == (4, "")
    assert project.exists()


def test_rejects_are_counted_shown_and_exported(migrate: Migrate, done_project: Path) -> None:
    """Each reason with the raw values of its row, in a table, on the screen and in files."""
    listed = migrate("rejects", "list", "mapping.yaml")
    assert listed.code == 0
    assert [line.split()[:4] for line in listed.out.splitlines()[1:]] == [
        ["CAST", "paid", "amount", "1"], ["CAST", "paid", "paid_on", "1"], ["SCALE", "paid", "amount", "1"],
    ]  # fmt: skip
    shown = migrate("rejects", "show", "mapping.yaml", "--rule", "SCALE").out
    assert shown == (
        "4\n  SCALE  paid.amount  '1.005' has more than 2 fraction digits\n    no      4\n    name    广州测试餐饮店\n"
        "    amount  1.005\n    paid    20250230\n    state   NULL\n"
    )
    [first, *_] = json.loads(migrate("rejects", "show", "mapping.yaml", "--json").out)["rejects"]
    assert first["raw"] == [{"no": "4", "name": "广州测试餐饮店", "amount": "1.005", "paid": "20250230", "state": None}]
    assert migrate("rejects", "export", "mapping.yaml", "-o", "r.csv").out == "rejects written to r.csv: 3\n"
    with (done_project / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["rule"] for row in csv.DictReader(file)] == ["SCALE", "CAST", "CAST"]
    assert migrate("rejects", "export", "mapping.yaml", "-o", "r.xls").code == 2


def test_replay_writes_what_was_mended(migrate: Migrate, done_project: Path) -> None:
    """A unit that was mended in the source is written by a pass of its own; the others stay rejected."""
    old = sqlite3.connect(done_project / "old.db")
    with contextlib.closing(old), old:
        old.execute("UPDATE bill SET amount = '120.00' WHERE no = 6")
    done = migrate("rejects", "replay", "mapping.yaml")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "read again: 2; rows mapped now: 1; still rejected: 1"
    entry = json.loads(migrate("status", "mapping.yaml", "--json").out)["runs"][0]
    assert (entry["state"], entry["passes"], entry["targets"]["paid"]["written"]) == ("complete", 2, 4)


def test_rejects_are_those_that_a_replay_left(migrate: Migrate, done_project: Path) -> None:
    """What a replay wrote is listed, shown and exported no more, and what it refused again stands once, whatever the number of replays."""
    before = json.loads(migrate("rejects", "show", "mapping.yaml", "--json").out)["rejects"]
    old = sqlite3.connect(done_project / "old.db")
    with contextlib.closing(old), old:
        old.execute("UPDATE bill SET amount = '120.00' WHERE no = 6")
    for _ in range(2):
        assert migrate("rejects", "replay", "mapping.yaml").code == 0
    still = json.loads(migrate("rejects", "show", "mapping.yaml", "--json").out)["rejects"]
    assert {each["raw"][0]["no"] for each in before if each["raw"]} == {"4", "6"}
    assert {each["raw"][0]["no"] for each in still if each["raw"]} == {"4"}
    assert [each["rule"] for each in still] == [
        each["rule"] for each in before if each["unit_key"] == still[0]["unit_key"]
    ]
    listed = json.loads(migrate("rejects", "list", "mapping.yaml", "--json").out)["rejects"]
    assert sum(each["count"] for each in listed) == len(still)
    exported = json.loads(migrate("rejects", "export", "mapping.yaml", "-o", "r.jsonl", "--json").out)
    assert exported["rejects"] == len(still)


def test_the_ledger_is_shown_and_its_chain_holds(migrate: Migrate, done_project: Path) -> None:
    """Batches and events in order; exit 0 while the chain holds, 1 after somebody touched it."""
    shown = steady(migrate("ledger", "show", "mapping.yaml").out).splitlines()
    assert shown[0] == "bills  complete  RUN"
    assert shown[3].split()[:8] == ["1", "1", "0", "6", "3", "1", "2", "0"]
    assert [line.split()[1] for line in shown[6:]] == ["begin", "pass-complete"]
    verified = migrate("ledger", "verify", "mapping.yaml")
    assert (verified.code, verified.err) == (0, "")
    assert verified.out.startswith("the chain holds")
    store = open_target(f"sqlite:///{done_project / 'new.db'}")
    with store.engine().begin() as connection:
        connection.exec_driver_sql("UPDATE migrate_applied SET rows_rejected = 0, rows_mapped = 5")
    store.close()
    broken = migrate("ledger", "verify", "mapping.yaml", "--json")
    assert broken.code == 1
    assert json.loads(broken.out)["findings"]


def test_doctor_finds_nothing_and_then_something(migrate: Migrate, done_project: Path) -> None:
    """Everything well is exit 0; a source that is gone is a finding and exit 1."""
    well = migrate("doctor", "mapping.yaml")
    assert (well.code, well.err) == (0, "")
    assert well.out.splitlines()[-1] == "everything looks well"
    (done_project / "old.db").unlink()
    ill = migrate("doctor", "mapping.yaml")
    assert ill.code == 1
    assert ill.out.splitlines()[-1] == "findings that need a person: 1"
    assert migrate("doctor").code == 2


def test_an_edited_mapping_begins_a_new_run(migrate: Migrate, done_project: Path) -> None:
    """After completion another fingerprint is another run, for which earlier rows are existing rows: it asks for a backup of them, or for none."""
    before = json.loads(migrate("status", "mapping.yaml", "--json").out)["runs"][0]
    (done_project / "mapping.yaml").write_text(
        MAPPING.replace("clean: money", "clean: [money, trim]"), encoding="utf-8"
    )
    assert migrate("run", "mapping.yaml").code == 4
    done = migrate("run", "mapping.yaml", "--no-backup", "--json")
    assert done.code == 0, done.err
    after = json.loads(done.out)
    assert after["run"] != before["run"]
    assert after["fingerprint"] != before["fingerprint"]
    assert (after["targets"]["paid"]["written"], after["targets"]["paid"]["identical"]) == (0, 3)


def test_progress_in_a_log_file_and_as_json_lines(migrate: Migrate, project: Path) -> None:
    """`--log-file` gets the story too; with `--log-format json` every line is an object with its figures."""
    migrate("run", "mapping.yaml", "--log-file", "run.log", "--log-format", "json")
    lines = [json.loads(line) for line in (project / "run.log").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["rows"] == {"read": 6, "mapped": 3, "filtered": 1, "rejected": 2, "pending": 0}
    assert {line["mapping"] for line in lines} == {"bills"}


def test_steering_a_complete_run_is_refused(migrate: Migrate, done_project: Path) -> None:
    """There is nothing to pause, resume or throttle: exit 4 and the run's name."""
    assert done_project.exists()
    for words in (("pause", "--reason", "x"), ("resume",), ("throttle", "--rows-per-second", "5")):
        done = migrate(words[0], "mapping.yaml", *words[1:])
        assert (done.code, done.out) == (4, "")
        assert "is complete" in done.err


def test_a_run_speaks_chinese(migrate: Migrate, project: Path) -> None:
    """The summary in Chinese says the same, in line."""
    assert project.exists()
    done = migrate("run", "mapping.yaml", "--lang", "zh")
    assert done.out.splitlines()[1:6] == [
        "  读取     6",
        "  已映射   3",
        "  已过滤   1",
        "  已拒收   2",
        "  提示     1",
    ]


def test_a_narrow_page_breaks_no_number(migrate: Migrate, done_project: Path) -> None:
    """Where the table of runs does not fit, each run is shown by itself, with the same figures."""
    words = ("status", "--target", f"sqlite:///{done_project / 'new.db'}")
    wide, narrow = migrate(*words, COLUMNS="100").out, migrate(*words, COLUMNS="50").out
    assert wide.splitlines()[0].split()[:3] == ["mapping", "run", "state"]
    assert narrow == migrate("status", "mapping.yaml", COLUMNS="50").out
