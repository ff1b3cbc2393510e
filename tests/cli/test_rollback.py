"""`migrate rollback` as its user sees it: whole outputs and exit codes."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Migrate, steady

STOOD = """\
bills  rolled back  RUN
  read       0
  mapped     0
  rejected   0

  target  written
  paid          0

  2 of 2 batches · N s · N rows/s

taken back (batches: 1, source rows: 6)
"""


def test_a_run_is_rolled_back_and_begins_afresh(migrate: Migrate, project: Path) -> None:
    """Rolled back, said so, empty; `status` agrees; again is harmless; `run` begins a new run that verifies as before."""
    assert migrate("run", "mapping.yaml").code == 0
    done = migrate("rollback", "mapping.yaml", "--yes")
    assert (done.code, steady(done.out)) == (0, STOOD)
    assert "phase rollback" in done.err
    assert stored(project) == []
    assert migrate("status", "mapping.yaml").out.startswith("bills  rolled back  ")
    again = migrate("rollback", "mapping.yaml", "--yes")
    assert (again.code, again.out.splitlines()[-1]) == (0, "nothing of it is left to take back")
    # There is nothing to ask about either.
    assert migrate("rollback", "mapping.yaml").out == again.out
    looked = migrate("rollback", "mapping.yaml", "--dry-run")
    assert (looked.code, steady(looked.out)) == (0, "bills  rolled back  RUN\nnothing of it is left to take back\n")
    assert migrate("run", "mapping.yaml").code == 0
    assert len(stored(project)) == 3
    assert len(json.loads(migrate("status", "--target", "sqlite:///new.db", "--json").out)["runs"]) == 2


def test_nobody_at_the_terminal_is_a_usage_error(migrate: Migrate, project: Path) -> None:
    """Without --yes and without a terminal nothing happens, with exit 2."""
    migrate("run", "mapping.yaml")
    asked = migrate("rollback", "mapping.yaml")
    assert (asked.code, asked.out) == (2, "")
    assert asked.err == (
        "error: it asks before it begins, and nobody is at the terminal to answer\n"
        "  next:  look first with --dry-run; then give --yes to do it without being asked\n"
    )
    assert migrate("rollback", "mapping.yaml", "--lang", "zh").err == (
        "错误：执行前需要确认，但没有终端可供应答\n  下一步：先用 --dry-run 查看；再加上 --yes，不再询问，直接执行\n"
    )
    assert len(stored(project)) == 3


def test_a_dry_run_says_what_would_go_back_and_what_is_in_the_way(migrate: Migrate, project: Path) -> None:
    """Exit 0 with nothing in the way, else the rows and exit 4; with `--changed skip` exit 0; the file is the same, byte for byte."""
    migrate("run", "mapping.yaml")
    free = migrate("rollback", "mapping.yaml", "--dry-run")
    assert (free.code, free.err) == (0, "")
    assert (
        steady(free.out)
        == "would take back run RUN of bills (batches: 1, source rows: 6) in paid\nnothing stands in the way\n"
    )
    change(project)
    before = (project / "new.db").read_bytes()
    held = migrate("rollback", "mapping.yaml", "--dry-run")
    assert held.code == 4
    assert steady(held.out) == (
        "would take back run RUN of bills (batches: 1, source rows: 6) in paid\n"
        "rows that stand in the way: 1\n"
        "\n"
        "paid  2  changed since\n"
        "  before the run  no such row\n"
        "  there now       no 2  payer mine  amount 99999999999999.99\n"
    )
    assert migrate("rollback", "mapping.yaml", "--dry-run", "--changed", "skip").code == 0
    document = json.loads(migrate("rollback", "mapping.yaml", "--dry-run", "--json").out)
    [row] = document["in_the_way"]
    assert (row["target"], row["key"], row["found"]["payer"]) == ("paid", '[["i","2"]]', "mine")
    assert (project / "new.db").read_bytes() == before


def test_rows_in_the_way_can_be_read(migrate: Migrate, project: Path) -> None:
    """No value floods the terminal or hides what is in it; what cannot be read says so, and is not passed off as NULL."""
    migrate("run", "mapping.yaml")
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        for number, payer in ((1, "很长" * 5000), (2, "a\u200b\x1b[31m"), (5, b"\xff\x00")):
            connection.execute("UPDATE paid SET payer = ? WHERE no = ?", (payer, number))
        connection.commit()
    held = migrate("rollback", "mapping.yaml", "--dry-run")
    assert held.code == 4
    assert len(held.out) < 3_000
    assert "9,880 more characters" in " ".join(held.out.split())
    assert "a‹U+200B›‹U+001B›[31m" in held.out
    assert "paid 5 changed since; not to be read: payer: blob xFF00" in " ".join(held.out.split())
    document = json.loads(migrate("rollback", "mapping.yaml", "--yes", "--changed", "skip", "--json").out)
    unread = [each for each in document["rollback"]["staying"] if each["key"] == '[["i","5"]]']
    assert [(each["found"]["payer"], "not to be read: payer" in each["why"]) for each in unread] == [(None, True)]
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        told = connection.execute(
            "SELECT reason FROM migrate_finding WHERE rule = 'ROLLBACK' AND unit_key = '[[\"i\",\"5\"]]'"
        ).fetchall()
    assert [("not to be read: payer" in reason) for (reason,) in told] == [True]


def test_a_changed_row_is_refused_or_left(migrate: Migrate, project: Path) -> None:
    """Refused: exit 4, the row is named, nothing is touched and the run stands as before. Left: exit 0, it is reported, the rest is gone."""
    migrate("run", "mapping.yaml")
    change(project)
    before = stored(project)
    refused = migrate("rollback", "mapping.yaml", "--yes", "--json")
    assert (refused.code, stored(project)) == (4, before)
    assert [row["key"] for row in json.loads(refused.out)["error"]["rows"]] == ['[["i","2"]]']
    assert "paid 2: changed since" in refused.err
    assert migrate("status", "mapping.yaml").out.startswith("bills  complete  ")
    left = migrate("rollback", "mapping.yaml", "--yes", "--changed", "skip", "--json")
    assert left.code == 0
    document = json.loads(left.out)
    assert (document["state"], document["rollback"]["batches"]) == ("rolled_back", 1)
    assert [row["found"]["payer"] for row in document["rollback"]["staying"]] == ["mine"]
    assert stored(project) == [(2, "mine")]


@pytest.mark.parametrize("command", [["run"], ["rejects", "replay"]])
def test_only_rollback_goes_on_with_a_run_that_is_rolling_back(
    migrate: Migrate, project: Path, command: list[str]
) -> None:
    """What else takes the lease is refused with exit 4."""
    migrate("run", "mapping.yaml", "--batch-rows", "2")
    change(project)
    assert migrate("rollback", "mapping.yaml", "--yes").code == 4
    stands = migrate("status", "mapping.yaml").out.splitlines()
    assert stands[0].startswith("bills  rolling back  ")
    # The first line of the reason says how many rows; what they are, and how much of the run is left, is no progress of the rollback.
    assert stands[1].endswith("is not taken back, rows of it stand in the way: 1 changed since")
    assert stands[2].split()[0] == "read"
    refused = migrate(*command, "mapping.yaml")
    assert refused.code == 4
    assert "is being rolled back\n  next:  finish it: migrate rollback mapping.yaml\n" in refused.err
    assert migrate("rollback", "mapping.yaml", "--yes", "--changed", "skip").code == 0
    # The row that stayed is one that was there already.
    again = [*command, "mapping.yaml", *(["--no-backup"] if command == ["run"] else [])]
    assert migrate(*again).code == (0 if command == ["run"] else 4)


def test_a_batch_is_taken_back_and_run_does_it_again(migrate: Migrate, project: Path) -> None:
    """The batch is gone, the rest stands; `status` says that the run is not complete, and why; `run` does that batch alone."""
    migrate("run", "mapping.yaml", "--batch-rows", "2")
    looked = migrate("rollback", "mapping.yaml", "--batch", "0", "--dry-run")
    assert (looked.code, looked.out.splitlines()[-1]) == (0, "nothing stands in the way")
    assert " of bills (batches: 1, source rows: 2) in paid" in looked.out
    done = migrate("rollback", "mapping.yaml", "--batch", "0", "--yes")
    assert (done.code, done.out.splitlines()[-1]) == (0, "taken back (batches: 1, source rows: 2)")
    assert [no for no, _ in stored(project)] == [5]
    stands = migrate("status", "mapping.yaml").out.splitlines()
    assert stands[0].startswith("bills  interrupted  ")
    assert stands[1] == "  batch 0 of it taken back; `migrate run` does again what is open"
    [run] = json.loads(migrate("status", "mapping.yaml", "--json").out)["runs"]
    assert (run["rows"]["read"], run["batches"]["planned"] - run["batches"]["done"]) == (4, 1)
    again = json.loads(migrate("run", "mapping.yaml", "--json").out)
    assert (again["state"], again["run"], again["rows"]["read"]) == ("complete", run["run"], 6)
    assert [each["kind"] for each in again["by_pass"]] == ["full", "rollback", "full"]
    assert [no for no, _ in stored(project)] == [1, 2, 5]
    assert migrate("verify", "mapping.yaml").code == 0


def test_the_ledger_shows_what_a_rollback_took_back(migrate: Migrate, project: Path) -> None:
    """By pass and range, as `--pass` and `--batch` name it, and not by the number under which it was applied; the same for machines."""
    assert project.exists()
    migrate("run", "mapping.yaml", "--batch-rows", "2")
    migrate("rollback", "mapping.yaml", "--yes")
    lines = [line.split()[:4] for line in migrate("ledger", "show", "mapping.yaml").out.split("\n\n")[1].splitlines()]
    ranges = {words[2]: words[3] for words in lines if words[1] == "1"}
    assert {words[2]: words[3].lstrip("-") for words in lines if words[1] == "2"} == {
        f"1/{number}": read for number, read in ranges.items()
    }
    batches = json.loads(migrate("ledger", "show", "mapping.yaml", "--json").out)["batches"]
    taken = [each["takes_back"]["range"] for each in batches if each["pass_no"] == 2]
    assert taken == [each["range_no"] for each in reversed(batches) if each["pass_no"] == 1]


def test_the_ledger_fits_a_narrow_page(migrate: Migrate, project: Path) -> None:
    """With 60 columns no number and no time is broken; counts that are 0 throughout, pace and day are left out there."""
    assert project.exists()
    migrate("run", "mapping.yaml", "--batch-rows", "2")
    shown = migrate("ledger", "show", "mapping.yaml", COLUMNS="60").out.split("\n\n")[1].splitlines()
    assert shown[0].split() == ["seq", "pass", "range", "read", "mapped", "filtered", "rejected", "when"]
    assert len(shown) == 1 + 3 + 1  # three ranges and the last phase
    assert max(map(len, shown)) <= 60
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", line.split()[-1]) for line in shown[1:])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--batch", "9"], 2, "has no batch 9"),
        (["--pass", "9"], 2, "has no pass 9"),
        (["--batch", "-1"], 2, "-1 is not in the range"),
        (["--pass", "2", "--batch", "0"], 4, "a replay goes as a whole"),
        (["--pass", "1"], 4, "built upon by pass 2"),
    ],
)
def test_what_cannot_be_taken_back_alone_is_refused(
    migrate: Migrate, project: Path, words: list[str], code: int, said: str
) -> None:
    """What the run does not have is a usage error, what would leave the rest untrue exit 4; each says what to do."""
    migrate("run", "mapping.yaml")
    migrate("rejects", "replay", "mapping.yaml")
    before = stored(project)
    done = migrate("rollback", "mapping.yaml", *words, "--yes")
    assert (done.code, stored(project)) == (code, before)
    assert said in done.err
    assert "next:" in done.err


def test_it_speaks_chinese(migrate: Migrate, project: Path) -> None:
    """The report in the other language."""
    assert project.exists()
    migrate("run", "mapping.yaml")
    assert migrate("rollback", "mapping.yaml", "--yes", "--lang", "zh").out.endswith("已回退：1 个批次，源数据 6 行\n")


def test_a_mapping_that_never_ran_has_nothing_to_take_back(migrate: Migrate, project: Path) -> None:
    """Exit 4, as without a ledger."""
    assert project.exists()
    done = migrate("rollback", "mapping.yaml", "--yes")
    assert done.code == 4
    assert "no ledger" in done.err


def change(project: Path) -> None:
    """Somebody changes a row that the run wrote, in its first batch."""
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        connection.execute("UPDATE paid SET payer = 'mine' WHERE no = 2")
        connection.commit()


def stored(project: Path) -> list[tuple[int, str]]:
    """The rows of the target."""
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        return connection.execute("SELECT no, payer FROM paid ORDER BY no").fetchall()
