"""Rollbacks that are paused, throttled, interrupted, and taken up again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from migrate.engine.options import RunOptions
from migrate.engine.steer import pause, resume, status, throttle
from migrate.engine.summary import RunSummary
from migrate.rollback.request import Request
from tests.faults.injection import Strike
from tests.faults.outcome import assert_sound, everything, undisturbed
from tests.faults.runner import Job, finished, started
from tests.faults.scenario import Scenario, prepare
from tests.faults.test_rollback_kills import assert_back, targets

BEFORE_THE_THIRD_BATCH = Strike("begin", "before", 3, "hold", "rollback")
IN_THE_THIRD_BATCH = Strike("insert migrate_batch", "after", 3, "hold", "rollback")


@pytest.fixture
def scenario(database_url: str, second_database_url: str, tmp_path: Path) -> Scenario:
    """One mapping, on each database."""
    return prepare(second_database_url, database_url, tmp_path, ("docs",))


@pytest.fixture
def small(sqlite_url: str, tmp_path: Path) -> Scenario:
    """The same on SQLite alone, for what does not depend on the database."""
    return prepare(f"sqlite:///{tmp_path / 'source.db'}", sqlite_url, tmp_path, ("docs",))


def test_a_pause_from_outside_stops_at_the_next_batch_border(scenario: Scenario) -> None:
    """The process ends with exit 5 and the reason; `rollback` refuses with the same until `resume`, and then takes all back."""
    before = targets(scenario)
    assert finished(Job(scenario)).code == 0
    [path] = scenario.mappings
    with started(Job(scenario, back=True, strikes=(BEFORE_THE_THIRD_BATCH,))) as running:
        running.until_held()
        pause(path, "年底关账", options(scenario))
        running.let_go()
        paused = running.ending()
    assert (paused.code, "年底关账" in paused.error) == (5, True), paused
    stands = summary(scenario)
    # The third batch saw the pause as it began, and was the last one.
    assert (stands.state, stands.reason, stands.passes[-1].done) == ("rolling_back", "年底关账", 3)
    left = everything(scenario)
    refused = finished(Job(scenario, back=True))
    assert (refused.code, "年底关账" in refused.error) == (5, True), refused
    assert everything(scenario) == left
    _, reason = resume(path, options(scenario))
    assert reason == "年底关账"
    assert_back(scenario, finished(Job(scenario, back=True)), before)


def test_a_paused_run_is_taken_back(small: Scenario) -> None:
    """A pause that was meant for the run is no obstacle to taking it back, and is forgotten with it; the next run is not paused."""
    scenario = small
    before = targets(scenario)
    paused_run(scenario)
    assert_back(scenario, finished(Job(scenario, back=True)), before)
    assert finished(Job(scenario)).code == 0


def test_a_paused_run_stays_paused_with_a_part_of_it_gone(small: Scenario) -> None:
    """A batch of a paused run goes back; the run is paused for the same reason, goes on after `resume`, and ends as an undisturbed one."""
    scenario = small
    expected = undisturbed(scenario)
    paused_run(scenario)
    back = finished(Job(scenario, back=True, request=Request(batches=(1,))))
    assert back.code == 0, back.error
    stands = summary(scenario)
    assert (stands.state, stands.reason) == ("paused", "lunch")
    assert finished(Job(scenario)).code == 5
    resume(scenario.mappings[0], options(scenario))
    assert finished(Job(scenario)).code == 0
    assert {name: rows for name, rows in everything(scenario).items() if name in expected.rows} == expected.rows


def test_a_throttle_holds_the_rollback_back_and_can_be_lifted(small: Scenario) -> None:
    """The rollback says that it is throttled and to what; lifted, it ends."""
    scenario = small
    before = targets(scenario)
    assert finished(Job(scenario)).code == 0
    [path] = scenario.mappings
    waiting = Strike("event Waiting", "after", 1, "hold")
    with started(Job(scenario, back=True, strikes=(BEFORE_THE_THIRD_BATCH, waiting))) as running:
        running.until_held()
        throttle(path, 1, options(scenario))
        running.let_go()
        running.until_held()
        throttle(path, None, options(scenario))
        running.let_go()
        ending = running.ending()
    assert any("throttled to 1 rows/s" in event for event in ending.events)
    assert_back(scenario, ending, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_lets_the_batch_in_hand_finish(scenario: Scenario, number: signal.Signals) -> None:
    """One SIGINT or SIGTERM: the batch in hand goes back, the process exits 130, and the same command goes on."""
    before = targets(scenario)
    assert finished(Job(scenario)).code == 0
    with started(Job(scenario, back=True, strikes=(IN_THE_THIRD_BATCH,))) as running:
        running.until_held()
        running.send(number)
        running.until_stopping()
        running.let_go()
        stopped = running.ending()
    assert stopped.code == 130, stopped
    assert (summary(scenario).state, summary(scenario).passes[-1].done) == ("rolling_back", 3)
    assert_back(scenario, finished(Job(scenario, back=True)), before)


def test_a_second_signal_stops_at_once(small: Scenario) -> None:
    """Twice: the process ends in the middle of its batch with exit 130, and nothing of the batch is back."""
    scenario = small
    before = targets(scenario)
    assert finished(Job(scenario)).code == 0
    with started(Job(scenario, back=True, strikes=(IN_THE_THIRD_BATCH,))) as running:
        running.until_held()
        running.send(signal.SIGTERM)
        running.send(signal.SIGINT)
        stopped = running.ending()
    assert stopped.code == 130
    assert summary(scenario).passes[-1].done == 2
    assert_sound(scenario, complete=False)
    assert_back(scenario, finished(Job(scenario, back=True)), before)


def paused_run(scenario: Scenario) -> None:
    """A run that an operator has paused after its first batches."""
    held = Strike("begin", "before", 4, "hold", "batches")
    with started(Job(scenario, workers=1, strikes=(held,))) as running:
        running.until_held()
        pause(scenario.mappings[0], "lunch", options(scenario))
        running.let_go()
        assert running.ending().code == 5


def options(scenario: Scenario) -> RunOptions:
    """Where the ledger is."""
    return RunOptions(target=scenario.target)


def summary(scenario: Scenario) -> RunSummary:
    """How the run stands."""
    [found] = status(scenario.mappings[0], options(scenario))
    return found
