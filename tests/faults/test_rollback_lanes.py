"""Two batches in hand at a time: the next one is locked and looked at while one changes its rows, and never changes any before that is committed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.faults.injection import Strike
from tests.faults.runner import Job, finished, started
from tests.faults.scenario import Scenario
from tests.rig.database import Database

pytestmark = pytest.mark.campaign

BATCH_ROWS: Final = 3
ROWS: Final = 8 * BATCH_ROWS
MAPPING: Final = """
mapping: plain
source: {table: src, key: [id]}
targets:
  - {table: t, key: [k], fields: {k: id, n: n}}
"""
AT_THE_FIRST_DELETE: Final = Strike("delete t", "before", action="hold")


@pytest.fixture
def scenario(database_url: str, second_database_url: str, tmp_path: Path) -> Scenario:
    """A run that inserted every row, on each database."""
    source, target = Database(second_database_url), Database(database_url)
    source.run("CREATE TABLE src (id bigint NOT NULL PRIMARY KEY, n bigint)")
    source.insert("src", [{"id": number, "n": number * 7} for number in range(ROWS)])
    target.run("CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, n bigint)")
    path = tmp_path / "plain.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    made = Scenario(source.url, target.url, (path,), batch_rows=BATCH_ROWS)
    # One worker: so the newest batch has the greatest keys.
    ran = finished(Job(made, workers=1))
    assert ran.code == 0, ran.error
    return made


def keys(scenario: Scenario) -> list[int]:
    """The rows that are there."""
    return [int(row["k"]) for row in Database(scenario.target).rows("SELECT k FROM t ORDER BY k")]


def entries(scenario: Scenario, kind: str) -> list[tuple[int, int]]:
    """Number and place in the order of changes of each batch that was committed in passes of a kind."""
    rows = Database(scenario.target).rows(
        "SELECT a.range_no, a.applied_seq FROM migrate_applied a JOIN migrate_pass p ON p.run = a.run AND p.pass_no = a.pass_no"
        f" WHERE p.kind = '{kind}' AND a.rows_read <> 0 ORDER BY a.applied_seq"
    )
    return [(int(row["range_no"]), int(row["applied_seq"])) for row in rows]


def assert_newest_first(scenario: Scenario) -> None:
    """What went back are the newest batches without a gap, one after the other, and nothing else."""
    gone = [number for number, _ in entries(scenario, "rollback")]
    written = [seq for _, seq in entries(scenario, "full")]
    assert gone == written[::-1][: len(gone)]
    assert keys(scenario) == list(range(ROWS - BATCH_ROWS * len(gone)))


def until_locked(scenario: Scenario, rows: int) -> None:
    """Return when so many rows are locked by somebody."""
    target = Database(scenario.target)
    while len(target.rows("SELECT k FROM t FOR UPDATE SKIP LOCKED")) > ROWS - rows:
        pass


@pytest.fixture
def with_locks(database_kind: str) -> None:
    """SQLite has one writer, and so one batch in hand."""
    if database_kind == "sqlite":
        pytest.skip("one writer at a time")


@pytest.mark.usefixtures("with_locks")
@pytest.mark.timeout(300)
def test_the_next_batch_is_locked_and_changes_nothing(scenario: Scenario) -> None:
    """While the newest is about to delete its rows, those of the next are locked too; killed then, nothing was taken back, and the same command does it."""
    with started(Job(scenario, back=True, strikes=(AT_THE_FIRST_DELETE,))) as running:
        running.until_held()
        until_locked(scenario, 2 * BATCH_ROWS)
        assert keys(scenario) == list(range(ROWS))
        running.kill()
    assert_newest_first(scenario)
    assert finished(Job(scenario, back=True)).code == 0
    assert_newest_first(scenario)
    assert keys(scenario) == []


@pytest.mark.usefixtures("with_locks")
@pytest.mark.timeout(300)
def test_one_in_trouble_is_waited_for(scenario: Scenario) -> None:
    """The newest loses its connection with the next one waiting: it is done again first, and all go back in their order."""
    lost = Strike("delete t", "after", action="lose")
    with started(Job(scenario, back=True, strikes=(AT_THE_FIRST_DELETE, lost))) as running:
        running.until_held()
        until_locked(scenario, 2 * BATCH_ROWS)
        running.let_go()
        ending = running.ending()
    assert ending.code == 0, ending.error
    assert any("Waiting" in event for event in ending.events), ending.events
    assert_newest_first(scenario)
    assert keys(scenario) == []


@pytest.mark.timeout(300)
def test_killed_anywhere_the_newest_are_gone(scenario: Scenario, campaign: Callable[[int], int]) -> None:
    """At any point of any batch."""
    points = ("insert migrate_batch", "fetch t", "delete t", "insert migrate_applied", "commit")
    strikes = [Strike(point, when, hit) for hit in (2, 1) for point in points for when in ("before", "after")]
    died = 0
    for strike in strikes[:: 1 if campaign(10) == 10 else 3]:
        ending = finished(Job(scenario, back=True, strikes=(strike,)))
        assert ending.code in {0, -signal.SIGKILL}, ending.error
        died += ending.code != 0
        assert_newest_first(scenario)
    assert died
    assert finished(Job(scenario, back=True)).code == 0
    assert keys(scenario) == []


@pytest.mark.timeout(300)
def test_what_stands_in_the_way_of_an_older_batch_stops_no_newer_one(scenario: Scenario) -> None:
    """All newer ones went back, none behind it did, whatever was in hand when it was seen."""
    target = Database(scenario.target)
    target.run("UPDATE t SET n = -1 WHERE k IN (7, 10)")
    refused = finished(Job(scenario, back=True))
    assert (refused.code, "t 10: changed since" in refused.error) == (4, True), refused
    assert keys(scenario) == list(range(12))
    target.run("UPDATE t SET n = 70 WHERE k = 10")
    refused = finished(Job(scenario, back=True))
    assert (refused.code, "t 7: changed since" in refused.error) == (4, True), refused
    assert_newest_first(scenario)
    assert keys(scenario) == list(range(9))
