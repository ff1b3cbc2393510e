"""Everything at once, by several workers: groups, versions, several targets and mappings, parents that come later, keys that are wanted twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrate.engine.options import RunOptions
from migrate.engine.replay import rejects_replay
from migrate.engine.run import run
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary
from migrate.errors import StateError
from migrate.rollback.dependants import dependants
from migrate.rollback.request import Request
from migrate.rollback.rollback import RolledBack, rollback
from tests.faults.outcome import Outcome, assert_sound, outcome
from tests.faults.scenario import BATCH_ROWS, MAPPINGS, Scenario, connected, prepare
from tests.faults.test_rollback_kills import targets


def test_all_mappings_go_back_to_what_was_there(database_url: str, second_database_url: str, tmp_path: Path) -> None:
    """Lines before headers, with replays and with updates: after it all rows and columns are those from before; once more the same."""
    scenario = prepare(second_database_url, database_url, tmp_path)
    before = targets(scenario)
    ran(scenario)
    first = targets(scenario)
    # What docs had rejected fits by now: kind Q is known.
    path = scenario.mappings[0]
    path.write_text(path.read_text(encoding="utf-8").replace('B: "02"', 'B: "02", Q: "03"'), encoding="utf-8")
    assert rejects_replay(path, options(scenario), stop=StopToken(), listen=print).mapped == 1
    assert targets(scenario) != first
    for each in reversed(scenario.mappings):
        assert back(scenario, each, Request()).summary.state == "rolled_back"
    assert targets(scenario) == before
    assert_sound(scenario, complete=False)
    ran(scenario)
    for each in reversed(scenario.mappings):
        back(scenario, each, Request())
    assert targets(scenario) == before


def test_what_points_at_a_run_is_named_before_it_goes_back(
    database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """The mapping whose rows point at a run's tables, with the command that takes it back; none once it is back, or for a table that nobody points at."""
    scenario = prepare(second_database_url, database_url, tmp_path)
    ran(scenario)
    docs, items, goods = scenario.mappings
    [found] = dependants(docs, options(scenario), {"header"})
    assert (found.mapping, found.tables) == ("items", ("position",))
    assert found.command.startswith(f"migrate rollback {items} --target ")
    assert dependants(goods, options(scenario), {"goods"}) == ()
    back(scenario, items, Request())
    assert dependants(docs, options(scenario), {"header"}) == ()
    assert back(scenario, docs, Request()).summary.state == "rolled_back"


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_any_batch_is_taken_back_and_done_again(
    database_url: str, second_database_url: str, tmp_path: Path, campaign: Callable[[int], int]
) -> None:
    """Each batch of each mapping by itself, or, where that is refused, with those that the refusal names: `run` ends as an undisturbed one."""
    scenario = prepare(second_database_url, database_url, tmp_path)
    ran(scenario)
    expected = rows_of(outcome(scenario))
    went = 0
    for place, name in enumerate(MAPPINGS):
        path = scenario.mappings[place]
        for number in batches(scenario, name)[:9] if campaign(9) == 9 else (5,):
            went += taken_back_with_all_that_hangs_on(scenario, path, number)
            assert ran(scenario)[place].state == "complete", name
            assert rows_of(outcome(scenario)) == expected, f"{name} {number}"
    assert went > 0


def batches(scenario: Scenario, mapping: str) -> list[int]:
    """The numbers of a mapping's batches."""
    query = (
        "select distinct range_no from migrate_range g join migrate_run r on g.run = r.run where r.mapping = :mapping"
    )
    with connected(scenario.target) as connection:
        return sorted(connection.scalars(sa.text(query), {"mapping": mapping}))


def taken_back_with_all_that_hangs_on(scenario: Scenario, path: Path, number: int) -> bool:
    """Was a batch taken back, if need be with others? False where rows of another mapping hold it; then all mappings go."""
    refused = refusal(scenario, path, (number,))
    named = () if refused is None else tuple(map(int, re.findall(r"--batch (\d+)", refused.next_step or "")))
    if named:
        refused = refusal(scenario, path, named)
    if refused is not None:
        assert "held fast" in refused.message, refused
        for each in reversed(scenario.mappings):
            back(scenario, each, Request())
    return refused is None


def refusal(scenario: Scenario, path: Path, batches: tuple[int, ...]) -> StateError | None:
    """Why these batches could not be taken back; None when they could."""
    try:
        back(scenario, path, Request(batches=batches))
    except StateError as refused:
        return refused
    return None


def rows_of(found: Outcome) -> tuple[object, ...]:
    """The rows and what was rejected; counts are of all passes."""
    return found.rows, sorted(set(found.rejects))


def options(scenario: Scenario) -> RunOptions:
    """Several workers, small batches."""
    return RunOptions(source=scenario.source, target=scenario.target, batch_rows=BATCH_ROWS, workers=3, no_backup=True)


def ran(scenario: Scenario) -> list[RunSummary]:
    """Run or go on with all mappings."""
    return run(scenario.mappings, options(scenario), stop=StopToken(), listen=lambda _: None)


def back(scenario: Scenario, path: Path, request: Request) -> RolledBack:
    """Take back a mapping's run or a part of it."""
    return rollback(path, options(scenario), request, stop=StopToken(), listen=lambda _: None)
