"""Scratch tables of a check that was killed do not stay, and no other table goes with them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from migrate.engine.doctor import Inspection, doctor
from migrate.engine.options import RunOptions
from migrate.ledger.connection import Ledger
from migrate.ledger.log import add_event, seal
from migrate.ledger.process import this_process
from migrate.ledger.scratch_tables import CHECKING
from migrate.stores.opening import open_target
from migrate.stores.scratch import PREFIX
from tests.integration.test_backup import scratch_tables
from tests.integration.test_rollback import prepared
from tests.integration.test_undo import MAPPING
from tests.rig.back import log_verdict
from tests.rig.database import Database
from tests.rig.kept import checked, created


@pytest.fixture
def target(tmp_path: Path, database_url: str) -> Database:
    """A target with a backup, of two tables, in the test's folder."""
    target = Database(database_url)
    prepared(tmp_path, target, MAPPING.format(mode="update"))
    created(tmp_path, database_url)
    return target


def killed_check(folder: Path, target: Database) -> list[str]:
    """Check the backup in another process, which is killed as soon as there is a scratch table; those that are left."""
    process = multiprocessing.get_context("spawn").Process(target=_check_until_killed, args=(folder, target.url))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return scratch_tables(target)


def _check_until_killed(folder: Path, url: str) -> None:
    target = Database(url)

    def watch(_rows: int) -> None:
        if scratch_tables(target):
            os.kill(os.getpid(), signal.SIGKILL)

    checked(folder, url, watch=watch)


def said(target: Database) -> list[Inspection]:
    """What `doctor` says about scratch tables."""
    return [each for each in doctor([], RunOptions(target=target.url)) if "scratch table" in each.detail]


def test_the_next_check_drops_what_a_killed_one_left(tmp_path: Path, target: Database) -> None:
    """It says so, holds, and leaves nothing itself; the log is whole."""
    left = killed_check(tmp_path, target)
    assert len(left) == 1
    done = checked(tmp_path, target.url)
    assert (list(done.tidied), done.current) == (left, True)
    assert scratch_tables(target) == []
    assert checked(tmp_path, target.url).tidied == ()
    verdict = log_verdict(target.url)
    assert (verdict.findings, verdict.unsealed) == ((), 0)


def test_the_doctor_drops_them_too(tmp_path: Path, target: Database) -> None:
    """Nothing is left for a person to do, and the next inspection has nothing to tell."""
    (left,) = killed_check(tmp_path, target)
    (told,) = said(target)
    assert (told.level, told.detail.startswith(f"scratch table {left}: dropped now")) == ("ok", True)
    assert scratch_tables(target) == []
    assert said(target) == []


def test_a_check_at_work_keeps_its_tables(tmp_path: Path, target: Database) -> None:
    """While it lives, the doctor and another check leave them alone."""
    seen: list[Inspection] = []

    def watch(_rows: int) -> None:
        if not seen and (mine := scratch_tables(target)):
            seen.extend(said(target))
            assert checked(tmp_path, target.url).tidied == ()
            assert scratch_tables(target) == mine

    assert checked(tmp_path, target.url, watch=watch).current
    assert [(each.level, "is at work" in each.detail) for each in seen] == [("ok", True)]


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"boot": "of another machine of this name"}])
def test_what_may_be_anothers_is_named_and_never_dropped(
    tmp_path: Path, target: Database, other: dict[str, str]
) -> None:
    """A table that the log does not know, whatever its name, and one of a process of another machine: each with the statement that drops it."""
    unknown, far = f"{PREFIX}mine", f"{PREFIX}far"
    target.run(f"CREATE TABLE {unknown} (id integer)", f"CREATE TABLE {far} (id integer)")
    store = open_target(target.url)
    try:
        ledger, mine = Ledger(store), this_process()
        boot, host = other.get("boot", mine.boot), other.get("host", mine.host)
        process = replace(mine, pid=2**22 + 1, boot=boot, host=host)
        add_event(ledger, "undo", "b", CHECKING, {"backup": "b", "tables": [far], "process": process.to_text()})
        seal(ledger, "b")
    finally:
        store.close()
    assert checked(tmp_path, target.url).tidied == ()
    found = {each.detail.split()[2]: each for each in said(target)}
    assert {each.level for each in found.values()} == {"finding"}
    assert "the log knows no check" in found[unknown].detail
    assert f"process {2**22 + 1} on {process.host}" in found[far].detail
    assert sorted(scratch_tables(target)) == sorted([unknown, far])
    for each in found.values():
        assert each.next_step is not None
        target.run(each.next_step.partition(": ")[2])
    assert said(target) == []
