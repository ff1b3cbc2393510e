"""Runs that stop: by a limit, by an operator, by Ctrl-C; each with its exit code, its message, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import MAPPING, Migrate, environment

ROWS = 20_000


def started(project: Path, *words: str, wait_for: str) -> subprocess.Popen[str]:
    """A running command, once it has written a line that contains `wait_for` to stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "migrate", *words],
        cwd=project, env=environment(project), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if wait_for in line:
            return process
    pytest.fail(f"the command ended without saying {wait_for!r}")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and what was left to read."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture
def large_project(project: Path) -> Path:
    """The project with enough rows that a run in small batches takes a while."""
    with contextlib.closing(sqlite3.connect(project / "old.db")) as connection, connection:
        rows = ((number, "北京样例科技有限公司", "12.50", "20250413", None) for number in range(100, 100 + ROWS))
        connection.executemany("INSERT INTO bill VALUES (?, ?, ?, ?, ?)", rows)
    return project


def stored(project: Path) -> int:
    """Rows of the target."""
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM paid").fetchone()[0])


def test_a_limit_pauses_until_it_is_resumed(migrate: Migrate, project: Path) -> None:
    """Over the limit: exit 5 with the reason; again exit 5; after `resume` it goes on, and in the end all is accounted for."""
    (project / "mapping.yaml").write_text(MAPPING + 'limits: {rejects: "0"}\n', encoding="utf-8")
    words = ("run", "mapping.yaml", "--batch-rows", "2", "--workers", "1")
    first = migrate(*words)
    assert first.code == 5
    assert first.out.startswith("bills  paused  ")
    assert "1 rejects since the last resume are over the limit of 0" in first.err
    assert "migrate resume mapping.yaml" in first.err
    again = migrate(*words, "--json")
    assert (again.code, json.loads(again.out)["state"]) == (5, "paused")
    resumed = migrate("resume", "mapping.yaml")
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.out.startswith("bills: the pause is cleared (1 rejects")
    assert resumed.out.endswith("to go on: migrate run mapping.yaml\n")
    assert migrate("resume", "mapping.yaml").out == "bills: was not paused\n"
    while (code := migrate(*words).code) == 5:
        assert migrate("resume", "mapping.yaml").code == 0
    assert code == 0
    assert json.loads(migrate("status", "mapping.yaml", "--json").out)["runs"][0]["rows"] == {
        "read": 6, "mapped": 3, "filtered": 1, "rejected": 2, "pending": 0,
    }  # fmt: skip


def test_an_operator_pauses_from_another_terminal(migrate: Migrate, large_project: Path) -> None:
    """`pause` ends the running process with exit 5 and the operator's reason; `resume` and `run` complete it."""
    process = started(large_project, "run", "mapping.yaml", "--batch-rows", "50", wait_for="phase batches")
    paused = migrate("pause", "mapping.yaml", "--reason", "月结")
    assert paused.out == "bills: pause wanted; the run stops after the batch in hand, with exit 5\n"
    code, out, err = ended(process)
    assert code == 5
    assert "月结" in out
    assert "月结" in err
    assert 0 < json.loads(migrate("status", "mapping.yaml", "--json").out)["runs"][0]["rows"]["read"] < ROWS
    assert migrate("resume", "mapping.yaml").code == 0
    assert migrate("run", "mapping.yaml").code == 0
    assert stored(large_project) == ROWS + 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_finishes_the_batch_in_hand(migrate: Migrate, large_project: Path, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM: exit 130, how to go on, and the next run completes what is left."""
    process = started(large_project, "run", "mapping.yaml", "--batch-rows", "50", wait_for="phase batches")
    os.kill(process.pid, number)
    code, out, err = ended(process)
    assert code == 130
    assert out.startswith("bills  interrupted  ")
    assert "stopping: the batch in hand is finished first" in err
    assert "run the same command again" in err
    assert migrate("run", "mapping.yaml").code == 0
    assert stored(large_project) == ROWS + 3


def test_a_second_process_is_refused(migrate: Migrate, large_project: Path) -> None:
    """While one process holds the run another one gets exit 4 and who holds it."""
    process = started(large_project, "run", "mapping.yaml", "--batch-rows", "50", wait_for="phase batches")
    second = migrate("run", "mapping.yaml")
    os.kill(process.pid, signal.SIGINT)
    ended(process)
    assert (second.code, second.out) == (4, "")
    assert str(process.pid) in second.err


def test_throttle_slows_and_lets_go(migrate: Migrate, large_project: Path) -> None:
    """The limit is acknowledged, shown by `status` while it lasts, and lifted by 0."""
    process = started(large_project, "run", "mapping.yaml", "--batch-rows", "50", wait_for="phase batches")
    slowed = migrate("throttle", "mapping.yaml", "--rows-per-second", "100")
    assert slowed.out == "bills: at most 100 rows/s from now on\n"
    assert "throttled to 100 rows/s" in migrate("status", "mapping.yaml").out
    assert (
        migrate("throttle", "mapping.yaml", "--rows-per-second", "0").out
        == "bills: no limit of rows per second any more\n"
    )
    os.kill(process.pid, signal.SIGINT)
    assert ended(process)[0] == 130


def test_watching_ends_with_success(migrate: Migrate, project: Path) -> None:
    """`status --watch` shows the runs until Ctrl-C, which is exit 0 and no message."""
    assert migrate("run", "mapping.yaml").code == 0
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "migrate", "status", "mapping.yaml", "--watch", "--interval", "1s"],
        cwd=project, env=environment(project), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    shown = process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    code, _, err = ended(process)
    assert (code, err) == (0, "")
    assert shown.startswith("bills  complete  ")


def test_watching_writes_no_json(migrate: Migrate, project: Path) -> None:
    """An endless stream is not one document: exit 2."""
    assert project.exists()
    assert migrate("status", "mapping.yaml", "--watch", "--json").code == 2


def test_a_pause_is_told_also_where_another_target_has_no_ledger(migrate: Migrate, project: Path) -> None:
    """Of two mappings into two databases the first is paused: exit 5, and its run is shown, though the second has none yet."""
    shutil.copyfile(project / "new.db", project / "other.db")
    limited = f'{MAPPING}limits: {{rejects: "0", first_batches: "1"}}\n'
    (project / "mapping.yaml").write_text(limited, encoding="utf-8")
    other = limited.replace("mapping: bills", "mapping: others").replace("new.db", "other.db")
    (project / "other.yaml").write_text(other, encoding="utf-8")
    done = migrate("run", "mapping.yaml", "other.yaml", "--json")
    assert done.code == 5, done.err
    document = json.loads(done.out)
    assert (document["mapping"], document["state"]) == ("bills", "paused")
    assert "over the limit of 0" in done.err


def test_a_throttle_ends_with_its_run(migrate: Migrate, project: Path) -> None:
    """What was set for a rollback holds the next run back no more: nobody could lift it once the run has ended."""
    migrate("run", "mapping.yaml", "--batch-rows", "2")
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        connection.execute("UPDATE paid SET payer = 'mine' WHERE no = 2")
        connection.commit()
    assert migrate("rollback", "mapping.yaml", "--yes").code == 4
    assert migrate("throttle", "mapping.yaml", "--rows-per-second", "1000000").code == 0
    assert "throttled to 1,000,000 rows/s" in migrate("status", "mapping.yaml").out
    assert migrate("rollback", "mapping.yaml", "--yes", "--changed", "skip").code == 0
    assert "throttled" not in migrate("status", "mapping.yaml").out
    late = migrate("throttle", "mapping.yaml", "--rows-per-second", "0")
    assert late.code == 4
    assert "is rolled back: there is nothing to steer\n  next:  " in late.err
    assert migrate("run", "mapping.yaml", "--no-backup").code == 0
    with contextlib.closing(sqlite3.connect(project / "new.db")) as connection:
        assert connection.execute("SELECT throttle_rows FROM migrate_lease").fetchall() == [(None,)]


def test_next_steps_can_be_pasted(migrate: Migrate, project: Path) -> None:
    """What comes next is given with the databases that the user had typed, wherever it was found out; pasted, it goes on."""
    without = MAPPING.replace("  url: sqlite:///old.db\n", "").replace("target:\n  url: sqlite:///new.db\n", "")
    (project / "mapping.yaml").write_text(without + 'limits: {rejects: "0"}\n', encoding="utf-8")
    target = ("--target", "sqlite:///new.db")
    both = ("--source", "sqlite:///old.db", *target)
    paused = migrate("run", "mapping.yaml", *both, "--batch-rows", "2", "--workers", "1")
    assert paused.code == 5
    assert paused.err.endswith(
        "  next:  look at the reason (migrate rejects list mapping.yaml --target sqlite:///new.db), then"
        " migrate resume mapping.yaml --target sqlite:///new.db and"
        " migrate run mapping.yaml --source sqlite:///old.db --target sqlite:///new.db\n"
    ), paused.err
    assert migrate("rejects", "list", "mapping.yaml", *target).code == 0
    resumed = migrate("resume", "mapping.yaml", *target)
    assert "migrate run mapping.yaml --target sqlite:///new.db" in resumed.out
    again = migrate("run", "mapping.yaml", *both)
    assert "see them: migrate rejects list mapping.yaml --target sqlite:///new.db" in again.err
    over = migrate("pause", "mapping.yaml", *target, "--reason", "night")
    assert over.code == 4
    replayed = migrate("rollback", "mapping.yaml", *target, "--run", "none", "--yes")
    assert replayed.code == 2
