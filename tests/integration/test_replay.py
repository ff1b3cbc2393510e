"""Rejects that are read again: interrupted in the middle, taken over, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrate.engine.events import Event, Listener, Notice, PhaseStarted
from migrate.engine.options import RunOptions
from migrate.engine.replay import Replayed, rejects_replay
from migrate.engine.steer import status
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary
from migrate.errors import Fenced, Interrupted
from tests.faults.outcome import everything, outcome, undisturbed
from tests.faults.runner import Job, finished
from tests.faults.scenario import BATCH_ROWS, Scenario, prepare
from tests.faults.test_zombies import expire_leases


def _options(scenario: Scenario) -> RunOptions:
    return RunOptions(source=scenario.source, target=scenario.target, batch_rows=BATCH_ROWS)


def _summary(scenario: Scenario) -> RunSummary:
    [found] = status(scenario.mappings[0], _options(scenario))
    return found


def _replay(scenario: Scenario, listen: Listener = print, stop: StopToken | None = None) -> Replayed:
    return rejects_replay(scenario.mappings[0], _options(scenario), stop=stop or StopToken(), listen=listen)


def test_a_run_after_an_interrupted_replay_leaves_nothing_pending(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """A run says complete only when the units of an interrupted replay are settled too; the next replay ends that one."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    before = undisturbed(scenario)
    assert finished(Job(scenario)).code == 0
    stop = StopToken()

    def listen(event: Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == "settle":
            stop.set("a signal")

    with pytest.raises(Interrupted):
        _replay(scenario, listen, stop)
    assert _summary(scenario).counts.pending > 0
    ending = finished(Job(scenario))
    assert ending.code == 0, ending.error
    counts = _summary(scenario).counts
    assert (counts.adds_up, counts.pending) == (True, 0)
    replayed = _replay(scenario)
    assert [each.ended for each in replayed.summary.passes] == [True, True]
    assert outcome(scenario).rows == before.rows


def test_a_replay_that_lost_its_run_writes_nothing_more(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """Taken over between two of its first steps, before it begins a pass of its own: it changes nothing and ends as Fenced."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    [path] = scenario.mappings
    assert finished(Job(scenario)).code == 0
    path.write_text(path.read_text(encoding="utf-8").replace('B: "02"', 'B: "02", Q: "03"'), encoding="utf-8")
    after_takeover: list[dict[str, list[tuple[Any, ...]]]] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice) and "the mapping was changed" in event.message:
            expire_leases(scenario)
            assert finished(Job(scenario)).code == 0
            after_takeover.append(everything(scenario))

    with pytest.raises(Fenced):
        _replay(scenario, listen)
    assert [everything(scenario)] == after_takeover
