"""A process that is killed at any named point of a run, and a run that goes on from there."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrate.ledger.tables import ledger_tables
from tests.faults.injection import Passed, Strike, When
from tests.faults.outcome import Outcome, assert_sound, outcome
from tests.faults.runner import Job, finished
from tests.faults.scenario import Scenario, connected, prepare, reset

pytestmark = pytest.mark.campaign

STEPS: tuple[tuple[str, When], ...] = (
    ("begin", "after"),
    ("select migrate_run", "after"),
    ("insert migrate_batch", "before"),
    ("insert migrate_batch", "after"),
    ("insert header", "after"),
    ("insert detail", "after"),
    ("insert migrate_undo", "before"),
    ("insert migrate_undo", "after"),
    ("insert migrate_applied", "after"),
    ("commit", "before"),
    ("commit", "after"),
)
"""The steps of the batch transaction that every run passes; tried in every test run, the others in turn."""


BEATS = {"ledger select migrate_lease", "ledger update migrate_lease"}
"""What the heartbeat does every two seconds: a run that is quicker than the recorded one may end without it."""


@pytest.mark.timeout(900)
def test_a_run_killed_at_any_point_ends_like_an_undisturbed_one(
    database_url: str, second_database_url: str, tmp_path: Path, campaign: Callable[[int], int]
) -> None:
    """Killed before or after any call of the ports, the same command goes on, and the end is the same state."""
    # Four batches of each mapping: every kill repeats most of a run.
    whole = replace(prepare(second_database_url, database_url, tmp_path), batch_rows=20)
    # The first mapping passes most points; the others run only for what it does not pass. A tenth of the campaign leaves them out.
    scenarios = [replace(whole, mappings=whole.mappings[:1]), whole]
    passed: set[Passed] = set()
    for scenario in scenarios if campaign(10) == 10 else scenarios[:1]:
        reset(scenario.target)
        undisturbed = finished(Job(scenario, workers=1))
        assert undisturbed.code == 0, undisturbed.error
        expected = outcome(scenario)
        assert_sound(scenario)
        strikes = _strikes(undisturbed.trace, passed)
        passed |= set(undisturbed.trace)
        chosen = _chosen(strikes, campaign(len(strikes)))
        missed = _kill_one_after_the_other(scenario, chosen) if len(chosen) < len(strikes) else chosen
        if len(chosen) < len(strikes):
            _assert_same(scenario, expected)
        for strike in missed:
            _kill_and_go_on(scenario, strike, expected)


def _strikes(trace: tuple[Passed, ...], passed: set[Passed]) -> list[Strike]:
    """Each named point of each phase that was not passed yet, when it is passed first and, where it is passed often, once more in the middle.

    Between the answer of a call and the next call of the same thread nothing happens but in the memory that a kill takes: both points are one.
    """
    times = Counter(trace)
    hits: Counter[Passed] = Counter()
    struck: dict[int, bool] = {}
    found = []
    for passing in trace:
        hits[passing] += 1
        wanted = {1, 1 + times[passing] // 2} if times[passing] > 3 else {1}
        strikes = passing not in passed and hits[passing] in wanted
        if strikes and not (passing.when == "before" and struck.get(passing.thread)):
            found.append(Strike(passing.point, passing.when, hits[passing], phase=passing.phase))
        struck[passing.thread] = strikes and passing.when == "after" and passing.point not in BEATS
    return found


def _chosen(strikes: list[Strike], rounds: int) -> list[Strike]:
    """All of them, or the steps of the batch transaction and an even choice of the others."""
    if rounds >= len(strikes):
        return strikes
    steps = [Strike(point, when, phase="batches") for point, when in STEPS]
    others = [each for each in strikes if each not in steps and each.hit == 1 and each.phase != "start"]
    few = others[:: max(1, len(others) // max(1, rounds - len(steps)))]
    # In the order in which a run passes them.
    later = [each for each in few if each.phase != "batches"]
    return [*steps, *(each for each in few if each not in later), *later]


def _kill_one_after_the_other(scenario: Scenario, strikes: list[Strike]) -> list[Strike]:
    """Kill one run at all of these points in turn, then let it end; the points that it did not come to any more."""
    reset(scenario.target)
    missed = []
    for strike in strikes:
        ending = finished(Job(scenario, strikes=(strike,)))
        assert ending.code in (0, -signal.SIGKILL), f"{strike}: {ending.error}"
        if ending.code == 0:
            missed.append(strike)
        assert_sound(scenario, complete=False)
    return missed


def _kill_and_go_on(scenario: Scenario, strike: Strike, expected: Outcome) -> None:
    reset(scenario.target)
    killed = finished(Job(scenario, workers=1, strikes=(strike,)))
    reached = killed.code == -signal.SIGKILL
    assert reached or (killed.code == 0 and strike.point in BEATS), f"{strike} was not reached: {killed.error}"
    _assert_same(scenario, expected, str(strike))


def _assert_same(scenario: Scenario, expected: Outcome, story: str = "") -> None:
    ending = finished(Job(scenario))
    assert ending.code == 0, f"{story}: {ending.error}"
    assert outcome(scenario) == expected, story
    assert_sound(scenario)


@pytest.mark.parametrize("table", ["migrate_run", "migrate_applied", "migrate_seal"])
def test_a_ledger_whose_making_was_interrupted_is_made_whole(
    database_url: str, second_database_url: str, tmp_path: Path, table: str
) -> None:
    """Killed between a table and its index, the next run finds both missing or makes the index."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    killed = finished(Job(scenario, strikes=(Strike(f"ledger create table {table}", "after"),)))
    assert killed.code == -signal.SIGKILL, killed.error
    ending = finished(Job(scenario, strikes=(Strike("begin", "before"),)))
    assert ending.code == -signal.SIGKILL, ending.error
    with connected(scenario.target) as connection:
        for each in ledger_tables().metadata.sorted_tables:
            made = {index["name"] for index in sa.inspect(connection).get_indexes(each.name)}
            assert made >= {index.name for index in each.indexes}, each.name
