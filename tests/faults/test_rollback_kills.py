"""A rollback that is killed at any named point, and the same command that goes on from there."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.injection import Strike
from tests.faults.outcome import assert_sound, everything
from tests.faults.runner import Ending, Job, finished, started
from tests.faults.scenario import TARGETS, Scenario, prepare

pytestmark = pytest.mark.campaign

STRIKES = (
    Strike("begin", "after"),
    Strike("ledger update migrate_run", "after", phase="start"),
    Strike("insert migrate_batch", "after", 3),
    Strike("delete header", "after"),
    Strike("delete migrate_pending", "after", 2),
    Strike("insert migrate_applied", "after", 4),
    Strike("commit", "before", 5),
    Strike("commit", "after", 6),
    Strike("ledger insert migrate_seal", "before"),
)
"""Where the rollback dies, one time after the other: before and after the claim, within the rows, around the commit, at the end."""


@pytest.mark.timeout(900)
def test_a_rollback_killed_at_any_point_ends_like_an_undisturbed_one(
    database_url: str, second_database_url: str, tmp_path: Path, campaign: Callable[[int], int]
) -> None:
    """Headers that point at headers, pending and settled units, rejects: after any kill the same command ends with what was before."""
    names = ("docs", "items", "goods") if campaign(10) == 10 else ("docs",)
    scenario = prepare(second_database_url, database_url, tmp_path, names)
    before = targets(scenario)
    ran = finished(Job(scenario))
    assert ran.code == 0, ran.error
    assert targets(scenario) != before
    for strike in STRIKES:
        ending = finished(Job(scenario, strikes=(strike,), back=True))
        assert ending.code in {0, -signal.SIGKILL}, f"{strike}: {ending.error}"
        assert_sound(scenario, complete=False)
    assert_back(scenario, finished(Job(scenario, back=True)), before)


@pytest.mark.timeout(900)
def test_a_killed_run_is_rolled_back(database_url: str, second_database_url: str, tmp_path: Path) -> None:
    """A run that died amid its last phase, with units pending, goes back too; then a run ends as ever, and a lost answer does no harm."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    before = targets(scenario)
    killed = finished(Job(scenario, strikes=(Strike("commit", "before", phase="settle"),)))
    assert killed.code == -signal.SIGKILL, killed.error
    lost = Strike("commit", "after", 2, action="lose")
    assert_back(scenario, finished(Job(scenario, strikes=(lost,), back=True)), before)
    again = finished(Job(scenario))
    assert again.code == 0, again.error
    assert_sound(scenario)


@pytest.mark.timeout(900)
def test_a_run_that_goes_on_is_not_rolled_back_under_it(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """While a process holds the run, a rollback is refused with exit 4 and changes nothing; when it is dead the rollback takes over."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    before = targets(scenario)
    with started(Job(scenario, strikes=(Strike("event BatchDone", "after", 3, action="hold"),))) as running:
        running.until_held()
        refused = finished(Job(scenario, back=True))
        assert refused.code == 4, refused.error
        assert "another process holds the run" in refused.error
        running.kill()
    assert_back(scenario, finished(Job(scenario, back=True)), before)


def targets(scenario: Scenario) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the target tables, with all columns."""
    return {name: rows for name, rows in everything(scenario).items() if name in TARGETS}


def assert_back(scenario: Scenario, ending: Ending, before: object) -> None:
    """The rollback ended well, every row is as before, and each claim of the ledger has its entry."""
    assert ending.code == 0, ending.error
    assert {run["state"] for run in ending.runs} == {"rolled_back"}
    assert targets(scenario) == before
    assert_sound(scenario, complete=False)
