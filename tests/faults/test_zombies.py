"""Processes that were thought dead, processes that start at the same moment, and leases of the dead."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrate.engine.doctor import doctor
from migrate.engine.options import RunOptions
from migrate.engine.steer import ledger_verify
from tests.faults.injection import Strike, When
from tests.faults.outcome import assert_sound, everything, outcome, undisturbed
from tests.faults.runner import Job, Running, finished, started
from tests.faults.scenario import Scenario, connected, prepare, reset

OUTSIDE = (
    Strike("begin", "before", 3, "hold", "batches"),
    Strike("border", "after", 3, "hold", "batches"),
    Strike("begin", "before", 1, "hold", "settle"),
    Strike("sequences of header", "before", 1, "hold", "finish"),
    Strike("ledger select migrate_seal", "before", 1, "hold", "finish"),
)
"""Outside of any transaction."""

INSIDE = (
    Strike("insert migrate_batch", "after", 3, "hold", "batches"),
    Strike("ledger insert migrate_range", "after", 3, "hold", "batches"),
    Strike("ledger update migrate_run", "before", 1, "hold", "finish"),
    Strike("insert migrate_applied", "after", 1, "hold", "settle"),
    Strike("select migrate_run", "after", 3, "hold", "batches"),
    Strike("insert header", "after", 3, "hold", "batches"),
    Strike("commit", "before", 3, "hold", "batches"),
    Strike("ledger insert migrate_worker", "before", 1, "hold", "batches"),
    Strike("ledger update migrate_pass", "before", 1, "hold", "finish"),
    Strike("ledger insert migrate_seal", "before", 1, "hold", "finish"),
    Strike("ledger insert migrate_run", "before", 1, "hold", "start"),
    Strike("ledger insert migrate_pass", "before", 1, "hold", "start"),
)
"""Inside of a batch transaction, or of that of a small statement."""


def stop(sleeper: Running, scenario: Scenario) -> None:
    """Stop the process and let its lease run out, as if time had passed.

    On SQLite another thread of it may just have the write lock: then it is let go on for a moment.
    """
    while True:
        sleeper.send(signal.SIGSTOP)
        try:
            expire_leases(scenario)
        except sa.exc.OperationalError:
            sleeper.send(signal.SIGCONT)
        else:
            return


def expire_leases(scenario: Scenario) -> None:
    """Let every lease run out now, as if time had passed."""
    with connected(scenario.target) as connection:
        connection.execute(sa.text("update migrate_lease set expires_ms = 0"))


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_process_that_wakes_up_after_a_takeover_changes_nothing(
    database_kind: str, database_url: str, second_database_url: str, tmp_path: Path, campaign: Callable[[int], int]
) -> None:
    """Stopped anywhere, its lease expired, the run completed by another process: awake again it writes nothing and exits 4."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    # On SQLite a stopped process keeps the only write lock, so that nobody can take over: see the test below.
    strikes = OUTSIDE if database_kind == "sqlite" else (*OUTSIDE, *INSIDE)
    for strike in strikes if campaign(10) == 10 else strikes[::4]:
        reset(scenario.target)
        with started(Job(scenario, workers=1, strikes=(strike,), short_idle=True)) as sleeper:
            sleeper.until_held()
            stop(sleeper, scenario)
            ending = finished(Job(scenario))
            assert ending.code == 0, f"{strike}: {ending.error}"
            assert outcome(scenario) == expected, strike
            assert_sound(scenario)
            before = everything(scenario)
            sleeper.send(signal.SIGCONT)
            sleeper.let_go()
            awake = sleeper.ending()
        assert (awake.code, awake.error[:7]) == (4, "Fenced:"), f"{strike}: {awake.error}"
        assert everything(scenario) == before, strike


def test_on_sqlite_a_stopped_transaction_cannot_be_taken_over(sqlite_url: str, tmp_path: Path) -> None:
    """A stopped process that has the write lock keeps its run: others give up with exit 3, and awake again it completes."""
    scenario = prepare(f"sqlite:///{tmp_path / 'source.db'}", sqlite_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    strike = Strike("insert migrate_applied", "after", 3, "hold", "batches")
    with started(Job(scenario, workers=1, strikes=(strike,))) as sleeper:
        sleeper.until_held()
        sleeper.send(signal.SIGSTOP)
        other = finished(Job(scenario, lock_wait=0.2))
        assert other.code in (3, 4), other.error
        sleeper.send(signal.SIGCONT)
        sleeper.let_go()
        assert sleeper.ending().code == 0
    assert outcome(scenario) == expected
    assert_sound(scenario)


@pytest.mark.parametrize(
    "meeting",
    [
        Strike("ledger create table migrate_run", "before", 1, "hold"),
        Strike("ledger insert migrate_lease", "before", 1, "hold"),
    ],
    ids=str,
)
def test_of_two_processes_that_start_at_once_exactly_one_runs(
    database_url: str, second_database_url: str, tmp_path: Path, meeting: Strike
) -> None:
    """Both have seen that nobody holds the run; one gets the lease and completes, the other exits 4 and names the reason."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    _meet(scenario, meeting)
    assert outcome(scenario) == expected
    assert_sound(scenario)


def test_of_two_processes_that_take_over_at_once_exactly_one_runs(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """Both have seen that the holder is dead; one takes over and completes, the other exits 4."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    killed = finished(Job(scenario, strikes=(Strike("commit", "after", 2, phase="batches"),)))
    assert killed.code == -signal.SIGKILL
    _meet(scenario, Strike("ledger update migrate_lease", "before", 1, "hold"))
    assert outcome(scenario) == expected
    assert_sound(scenario)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_began_meanwhile_is_not_put_aside(
    database_url: str, second_database_url: str, tmp_path: Path, when: When
) -> None:
    """Who found no run, and gets to the lease when another process began one and died, goes on with that one or exits 4."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    with started(Job(scenario, strikes=(Strike("ledger select migrate_lease", when, 1, "hold"),))) as late:
        late.until_held()
        killed = finished(Job(scenario, strikes=(Strike("commit", "after", 2, phase="batches"),)))
        assert killed.code == -signal.SIGKILL
        late.let_go()
        ending = late.ending()
    assert ending.code == (0 if when == "before" else 4), ending
    assert finished(Job(scenario)).code == 0
    with connected(scenario.target) as connection:
        assert connection.execute(sa.text("select count(*) from migrate_run")).scalar_one() == 1
    assert outcome(scenario) == expected
    assert_sound(scenario)


def _meet(scenario: Scenario, meeting: Strike) -> None:
    """Two processes that are let go from the same point at the same moment: one ends with 0, the other with 4."""
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(started(Job(scenario, strikes=(meeting,)))) for _ in range(2)]
        for each in both:
            each.until_held()
        for each in both:
            each.let_go()
        endings = sorted((each.ending() for each in both), key=lambda ending: ending.code)
    assert [each.code for each in endings] == [0, 4], [each.error for each in endings]
    assert endings[1].error.startswith(("StateError", "Fenced"))


def test_a_live_lease_is_refused_and_that_of_a_dead_process_taken_over(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """While the holder lives, a second process exits 4 and names it; once it is killed, the next one goes on at once."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    with started(Job(scenario, workers=1, strikes=(Strike("begin", "before", 3, "hold", "batches"),))) as holder:
        holder.until_held()
        refused = finished(Job(scenario))
        assert refused.code == 4
        assert f"process {holder.pid}" in refused.error
        holder.kill()
        holder.ending()
        ending = finished(Job(scenario))
    assert ending.code == 0, ending.error
    assert any("took over the run" in event for event in ending.events)
    assert_sound(scenario)


@pytest.mark.parametrize("by", ["takeover", "doctor"])
def test_what_a_dead_process_committed_is_sealed_by_who_comes_next(
    database_url: str, second_database_url: str, tmp_path: Path, by: str
) -> None:
    """A takeover seals it before its own first batch, and so does `doctor` where nobody takes over."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    committed = Strike("commit", "after", 2, phase="batches")
    assert finished(Job(scenario, workers=1, strikes=(committed,))).code == -signal.SIGKILL
    options = RunOptions(source=scenario.source, target=scenario.target)
    assert ledger_verify(scenario.mappings[0], options).entries == 0
    if by == "takeover":
        before_any_batch = Strike("begin", "before", 1, phase="batches")
        assert finished(Job(scenario, strikes=(before_any_batch,))).code == -signal.SIGKILL
    else:
        assert any("3 entries that nobody had sealed" in each.detail for each in doctor(scenario.mappings, options))
    verdict = ledger_verify(scenario.mappings[0], options)
    # That the run began, and two batches.
    assert (verdict.seals, verdict.entries, verdict.findings) == (1, 3, ())


def test_a_lease_of_another_host_is_refused_until_it_expires(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """Nobody here can tell whether a process elsewhere is dead: its lease has to run out."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    killed = finished(Job(scenario, strikes=(Strike("commit", "after", 2, phase="batches"),)))
    assert killed.code == -signal.SIGKILL
    with connected(scenario.target) as connection:
        holder = json.loads(connection.execute(sa.text("select holder from migrate_lease")).scalar_one())
        elsewhere = json.dumps({**holder, "host": "elsewhere"}, separators=(",", ":"), sort_keys=True)
        connection.execute(sa.text("update migrate_lease set holder = :holder"), {"holder": elsewhere})
    before = everything(scenario)
    refused = finished(Job(scenario))
    assert refused.code == 4
    assert "elsewhere" in refused.error
    assert everything(scenario) == before
    expire_leases(scenario)
    assert finished(Job(scenario)).code == 0
    assert_sound(scenario)
