"""A restore that is killed at any named point, and the same command that goes on from there."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.backup.create import create
from migrate.engine.options import RunOptions
from tests.faults.injection import Strike
from tests.faults.outcome import assert_sound
from tests.faults.runner import Ending, Job, finished, started
from tests.faults.scenario import Scenario, prepare
from tests.faults.test_rollback_kills import targets

pytestmark = pytest.mark.campaign

STRIKES = (
    Strike("begin", "after"),
    Strike("ledger update migrate_run", "after", phase="start"),
    Strike("insert migrate_batch", "after"),
    Strike("delete header", "after"),
    Strike("commit", "before"),
    Strike("commit", "after"),
    Strike("insert migrate_applied", "after"),
    Strike("delete migrate_pending", "after"),
    Strike("ledger insert migrate_seal", "before"),
)
"""Where the restore dies, one time after the other: before and after the claim, within the rows, around the commit, at the end."""


@pytest.mark.timeout(900)
def test_a_restore_killed_at_any_point_ends_like_an_undisturbed_one(
    database_url: str, second_database_url: str, tmp_path: Path, campaign: Callable[[int], int]
) -> None:
    """Headers that point at headers, in several tables and mappings: after any kill the same command ends with what was before."""
    names = ("docs", "items", "goods") if campaign(10) == 10 else ("docs",)
    scenario = prepare(second_database_url, database_url, tmp_path, names)
    backups = backed_up(scenario, tmp_path)
    before = targets(scenario)
    ran = finished(Job(scenario))
    assert ran.code == 0, ran.error
    assert targets(scenario) != before
    missed = []
    for strike in STRIKES:
        ending = finished(Job(scenario, strikes=(strike,), restored_from=backups))
        assert ending.code in {0, -signal.SIGKILL}, f"{strike}: {ending.error}"
        missed += [strike] if ending.code == 0 else []
        assert_sound(scenario, complete=False)
    # A restore that has ended leaves the next one little to do: it may miss what would have killed it.
    assert len(missed) < len(STRIKES) / 2, missed
    assert_back(scenario, finished(Job(scenario, restored_from=backups)), before)


@pytest.mark.timeout(900)
def test_a_killed_run_is_restored_over(database_url: str, second_database_url: str, tmp_path: Path) -> None:
    """A run that died amid its last phase, with units pending, is put back; a lost answer does no harm; then a run ends as ever."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    backups = backed_up(scenario, tmp_path)
    before = targets(scenario)
    killed = finished(Job(scenario, strikes=(Strike("commit", "before", phase="settle"),)))
    assert killed.code == -signal.SIGKILL, killed.error
    lost = Strike("commit", "after", action="lose")
    assert_back(scenario, finished(Job(scenario, strikes=(lost,), restored_from=backups)), before)
    again = finished(Job(scenario))
    assert again.code == 0, again.error
    assert_sound(scenario)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("point", "code"),
    [("ledger insert migrate_pass", 0), ("ledger insert migrate_worker", 4)],
    ids=["no pass", "a pass"],
)
def test_a_restore_killed_at_its_start_leaves_a_way(
    database_url: str, second_database_url: str, tmp_path: Path, point: str, code: int
) -> None:
    """No row is touched yet: a rollback does its work as long as the restore has no pass, and is told to go on with the restore after that."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    backups = backed_up(scenario, tmp_path)
    before = targets(scenario)
    assert finished(Job(scenario)).code == 0
    killed = finished(Job(scenario, strikes=(Strike(point, "before"),), restored_from=backups))
    assert killed.code == -signal.SIGKILL, killed.error
    back = finished(Job(scenario, back=True))
    assert back.code == code, back.error
    assert ("being restored from a backup" in back.error) == (code == 4)
    assert_back(scenario, finished(Job(scenario, restored_from=backups)), before)


@pytest.mark.timeout(900)
def test_a_restore_waits_for_whoever_runs(database_url: str, second_database_url: str, tmp_path: Path) -> None:
    """While a process holds the run, a restore is refused with exit 4; while one restores, so is a run."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    backups = backed_up(scenario, tmp_path)
    before = targets(scenario)
    with started(Job(scenario, strikes=(Strike("event BatchDone", "after", 3, action="hold"),))) as running:
        running.until_held()
        refused = finished(Job(scenario, restored_from=backups))
        assert refused.code == 4, refused.error
        assert "another process holds the run" in refused.error
        running.kill()
    held = Strike("event BatchDone", "after", action="hold")
    with started(Job(scenario, strikes=(held,), restored_from=backups)) as running:
        running.until_held()
        refused = finished(Job(scenario))
        assert refused.code == 4, refused.error
        running.kill()
    assert_back(scenario, finished(Job(scenario, restored_from=backups)), before)


def backed_up(scenario: Scenario, folder: Path) -> Path:
    """A backup of each mapping's scope; the folder that holds them."""
    for path in scenario.mappings:
        create(path, folder / "backups", RunOptions(target=scenario.target), None, lambda _: None)
    return folder / "backups"


def assert_back(scenario: Scenario, ending: Ending, before: dict[str, list[tuple[object, ...]]]) -> None:
    """The restore ended well: the tables are as they were, the runs count nothing, the ledger holds."""
    assert ending.code == 0, ending.error
    assert targets(scenario) == before
    assert [run["state"] for run in ending.runs] == ["rolled_back"] * len(scenario.mappings)
    assert all(run["rows"]["read"] == run["rows"]["pending"] == 0 for run in ending.runs)
    assert_sound(scenario, complete=False)
