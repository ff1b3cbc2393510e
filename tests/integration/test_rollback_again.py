"""Rows that stayed under `--changed skip` go back with a later rollback, once they are as the run left them; what holds rows is told before anything goes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.engine.events import BatchDone
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan
from migrate.engine.prune import prune
from migrate.engine.stop import StopToken
from migrate.errors import Interrupted, RowsChanged
from migrate.rollback.request import Request
from migrate.rollback.rollback import rollback, survey
from tests.integration.test_rollback import SKIPPING, prepared, state
from tests.integration.test_undo import MAPPING
from tests.rig.back import log_verdict, rolled_back
from tests.rig.database import Database
from tests.rig.schedule import run_scheduled
from tests.rig.undo import Content


class Left:
    """A run that was taken back but for three rows: one changed in two columns, one deleted, one held."""

    def __init__(self, place: Path, url: str) -> None:
        self.target = Database(url)
        self.plan: Plan = prepared(place, self.target, MAPPING.format(mode="update"), 1)
        self.before = Content.read(self.plan)
        run_scheduled(self.plan)
        (self.was,) = self.target.rows("SELECT c, stamp FROM doc WHERE k = 'b'")
        self.target.run("UPDATE doc SET c = 'mine' WHERE k = 'b'", "DELETE FROM part WHERE id = 5")
        self.target.insert("part", [{"id": 99, "k": "c"}])
        self.place, self.url = place, url
        self.first = rolled_back(place, url, SKIPPING)

    def put_right(self) -> None:
        """As the run left it, with the time that the database stamped; nobody points at the other one any more."""
        self.target.run(f"UPDATE doc SET c = '{self.was['c']}', stamp = '{self.was['stamp']}' WHERE k = 'b'")
        self.target.run("DELETE FROM part WHERE id = 99")


@pytest.fixture
def left(tmp_path: Path, database_url: str) -> Left:
    """Fresh."""
    return Left(tmp_path, database_url)


def test_what_stayed_goes_back_once_it_is_put_right(left: Left) -> None:
    """A changed row that is as the run left it again and one that nobody holds any more; what was deleted and was not there before needs nothing more."""
    assert {each.kind for each in left.first.staying} == {"changed", "deleted", "held"}
    # Nothing can be done about them yet, but for the one that is gone, as it would be.
    left.put_right()
    done = rolled_back(left.place, left.url)
    assert (done.batches, done.again, done.staying) == (0, 3, ())
    assert Content.read(left.plan) == left.before
    assert (done.summary.state, done.summary.counts.warnings, done.summary.counts.read) == ("rolled_back", 0, 0)
    once_more = rolled_back(left.place, left.url)
    assert (once_more.again, once_more.staying, once_more.summary.passes) == (0, (), done.summary.passes)
    verdict = log_verdict(left.url)
    assert (verdict.findings, verdict.unsealed) == ((), 0)


def test_what_is_not_right_yet_stays_and_is_told_each_time(left: Left) -> None:
    """A row that is still another one is no refusal, since it was left on purpose; it stays, and is named, and the others go."""
    left.target.run("DELETE FROM part WHERE id = 99")
    for _ in range(2):
        done = rolled_back(left.place, left.url)
        assert [(each.target, each.key, each.kind) for each in done.staying] == [("doc", '[["s","b"]]', "changed")]
        assert (done.summary.state, done.summary.counts.warnings) == ("rolled_back", 1)
    assert Content.read(left.plan).rows["doc"].keys() == left.before.rows["doc"].keys() | {("b",)}
    left.put_right()
    seen = survey(left.place / "mapping.yaml", RunOptions(target=left.url), Request(), rows=True)
    assert ([each.key for each in seen.stayed.all_rows], len(seen.again)) == (['[["s","b"]]'], 1)
    assert rolled_back(left.place, left.url).again == 1
    assert Content.read(left.plan) == left.before


def test_nothing_is_begun_where_nothing_can_go(left: Left) -> None:
    """Rows that are as they were left by others: no pass, no entry, and the rows are told all the same."""
    left.target.run("DELETE FROM part WHERE id = 99")
    first = rolled_back(left.place, left.url)
    entries = left.target.rows("SELECT count(*) AS n FROM migrate_event")
    again = rolled_back(left.place, left.url, SKIPPING)
    assert (again.staying, again.again, again.summary.passes) == (first.staying, 0, first.summary.passes)
    assert left.target.rows("SELECT count(*) AS n FROM migrate_event") == entries


def test_what_a_new_run_has_met_is_its_own(left: Left) -> None:
    """Behind a new run the rows that an older one left are rows that were there; nobody takes them back for it."""
    left.put_right()
    there = Content.read(left.plan)
    run_scheduled(left.plan)
    done = rolled_back(left.place, left.url)
    assert (done.again, done.staying) == (0, ())
    assert Content.read(left.plan) == there


def test_stopped_on_the_way_it_goes_on(left: Left) -> None:
    """Stopped behind the first of these rows, the same command does the rest, each once."""
    left.put_right()
    stop = StopToken()

    def listen(event: object) -> None:
        if isinstance(event, BatchDone):
            stop.set("enough")

    path, options = left.place / "mapping.yaml", RunOptions(target=left.url)
    with pytest.raises(Interrupted):
        rollback(path, options, Request(), stop=stop, listen=listen)
    done = rolled_back(left.place, left.url)
    assert (done.summary.state, done.staying, done.summary.counts.warnings) == ("rolled_back", (), 0)
    assert Content.read(left.plan) == left.before


def test_pruned_is_signed_off(left: Left) -> None:
    """Without undo records what stays stays, and a rollback of it is as harmless as before."""
    left.put_right()
    there = Content.read(left.plan)
    prune(left.place / "mapping.yaml", RunOptions(target=left.url), stop=StopToken(), listen=lambda _: None)
    done = rolled_back(left.place, left.url)
    assert (done.again, len(done.staying)) == (0, 3)
    assert Content.read(left.plan) == there


def test_what_others_hold_is_told_before_anything_goes_back(tmp_path: Path, database_url: str) -> None:
    """A table of others that points at a row of the run: refused with that table's name, every row and the run as they were; without it all goes back."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"), 1)
    before = Content.read(plan)
    run_scheduled(plan)
    after = Content.read(plan)
    target.run("CREATE TABLE remark (id integer PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES doc (k))")
    target.run("INSERT INTO remark VALUES (1, NULL), (2, 'z')")
    assert survey(tmp_path / "mapping.yaml", RunOptions(target=database_url), Request(), rows=True).in_the_way == ()
    target.run("INSERT INTO remark VALUES (3, 'c'), (4, 'c')")
    (seen,) = survey(tmp_path / "mapping.yaml", RunOptions(target=database_url), Request(), rows=True).in_the_way
    assert (seen.target, seen.key, seen.kind) == ("doc", '[["s","c"]]', "held")
    assert seen.why == "held fast: rows of remark point at it"
    with pytest.raises(RowsChanged, match="1 held fast\n  doc c: held fast: rows of remark point at it") as refused:
        rolled_back(tmp_path, database_url)
    assert (refused.value.next_step or "").startswith("nothing was touched")
    assert (Content.read(plan), state(plan)) == (after, "complete")
    target.run("DELETE FROM remark WHERE id > 2")
    assert rolled_back(tmp_path, database_url).staying == ()
    assert Content.read(plan) == before


def test_what_others_still_hold_begins_no_pass(tmp_path: Path, database_url: str) -> None:
    """A row that was left because others point at it, and still do, is told each time, and nothing is written for it."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"), 1)
    target.run("CREATE TABLE remark (id integer PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES doc (k))")
    run_scheduled(plan)
    target.run("INSERT INTO remark VALUES (3, 'c')")
    first = rolled_back(tmp_path, database_url, SKIPPING)
    assert [(each.key, each.kind) for each in first.staying] == [('[["s","c"]]', "held")]
    again = rolled_back(tmp_path, database_url)
    assert (again.staying, again.again, again.summary.passes) == (first.staying, 0, first.summary.passes)
    target.run("DELETE FROM remark")
    done = rolled_back(tmp_path, database_url)
    assert (done.staying, done.again, done.summary.passes) == ((), 1, (*first.summary.passes, done.summary.passes[-1]))


def test_a_table_that_points_with_another_type_is_left_to_the_database(tmp_path: Path, sqlite_url: str) -> None:
    """Keys that its column could not hold are no reason to fail; what it does hold, the database refuses to delete."""
    target = Database(sqlite_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"), 1)
    before = Content.read(plan)
    target.run("CREATE TABLE remark (id integer PRIMARY KEY, k integer, FOREIGN KEY (k) REFERENCES doc (k))")
    run_scheduled(plan)
    target.run("INSERT INTO remark VALUES (3, 'c')")
    with pytest.raises(RowsChanged, match="1 held fast"):
        rolled_back(tmp_path, sqlite_url)
    target.run("DELETE FROM remark")
    rolled_back(tmp_path, sqlite_url)
    assert Content.read(plan) == before
