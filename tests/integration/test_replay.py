"""Rejects that are read again: interrupted in the middle, taken over, and counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.engine.events import PhaseStarted
from migrate.engine.options import RunOptions
from migrate.engine.replay import Replayed, rejects_replay
from migrate.engine.steer import status
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary
from migrate.errors import Interrupted
from tests.faults.outcome import outcome, undisturbed
from tests.faults.runner import Job, finished
from tests.faults.scenario import BATCH_ROWS, Scenario, prepare


def _options(scenario: Scenario) -> RunOptions:
    return RunOptions(source=scenario.source, target=scenario.target, batch_rows=BATCH_ROWS)


def _summary(scenario: Scenario) -> RunSummary:
    [found] = status(scenario.mappings[0], _options(scenario))
    return found


def _replay(scenario: Scenario, stop_before: str | None = None) -> Replayed:
    """Replay; the phase of this name is told to stop as it begins."""
    stop = StopToken()

    def listen(event: object) -> None:
        if isinstance(event, PhaseStarted) and event.phase == stop_before:
            stop.set("a signal")

    return rejects_replay(scenario.mappings[0], _options(scenario), stop=stop, listen=listen)


def test_a_run_after_an_interrupted_replay_leaves_nothing_pending(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """A run says complete only when the units of an interrupted replay are settled too; the next replay ends that one."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    before = undisturbed(scenario)
    assert finished(Job(scenario)).code == 0
    with pytest.raises(Interrupted):
        _replay(scenario, "settle")
    assert _summary(scenario).counts.pending > 0
    ending = finished(Job(scenario))
    assert ending.code == 0, ending.error
    counts = _summary(scenario).counts
    assert (counts.adds_up, counts.pending) == (True, 0)
    replayed = _replay(scenario)
    assert [each.ended for each in replayed.summary.passes] == [True, True]
    assert outcome(scenario).rows == before.rows
