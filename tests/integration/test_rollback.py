"""A run that is rolled back leaves every row and column as it was before, on each database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.engine.events import BatchDone
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan
from migrate.engine.rejects import rejects_show
from migrate.engine.replay import rejects_replay
from migrate.engine.stop import StopToken
from migrate.errors import Interrupted, RowsChanged, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import acquire, read_lease, release
from migrate.ledger.runs import current_run
from migrate.rollback.request import Request
from migrate.rollback.rollback import rollback, survey
from migrate.stores.opening import open_target
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.integration.test_undo import MAPPING, backwards, prepare
from tests.rig.back import rolled_back, table_digests
from tests.rig.database import Database
from tests.rig.schedule import Order, in_order, plan_of, run_scheduled
from tests.rig.undo import Content

TABLES = ("doc", "part")
SKIPPING = Request("skip")


@pytest.mark.parametrize("mode", ["fail", "keep", "update", "{newer: n}"])
@pytest.mark.parametrize(
    ("batch_rows", "order"),
    [pytest.param(1000, in_order, id="one batch"), pytest.param(1, backwards, id="a batch each, backwards")],
)
def test_everything_is_as_it_was_before_the_run(
    tmp_path: Path, database_url: str, mode: str, batch_rows: int, order: Order
) -> None:
    """Inserted, updated, kept and displaced rows of two tables go back, unmapped, computed and stamped columns too."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode=mode), batch_rows)
    before, content = table_digests(target, *TABLES), Content.read(plan)
    run_scheduled(plan, order, workers=2)
    assert Content.read(plan) != content
    done = rolled_back(tmp_path, database_url)
    assert Content.read(plan) == content
    # SQLite keeps a time as text: an updated row gets it back in the toolkit's own spelling (docs/limits.md).
    assert target.kind == "sqlite" or table_digests(target, *TABLES) == before
    assert (done.summary.state, done.staying) == ("rolled_back", ())
    counts = done.summary.counts
    assert (counts.read, counts.mapped, counts.rejected, counts.pending) == (0, 0, 0, 0)


def test_run_rollback_run_ends_equal(tmp_path: Path, database_url: str) -> None:
    """After a rollback `run` begins a new run, which verifies; rolling that back gives the first content again; once more does nothing."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    before = Content.read(plan)
    first = run_scheduled(plan)
    after = Content.read(plan)
    rolled_back(tmp_path, database_url)
    second = run_scheduled(plan)
    assert second.summary.run != first.summary.run
    assert second.outcome == first.outcome
    assert Content.read(plan).rows["part"] == after.rows["part"]
    assert verify_plan(plan, VerifyOptions()).targets["part"].verdict == "EQUAL"
    assert rolled_back(tmp_path, database_url).batches > 0
    again = rolled_back(tmp_path, database_url)
    assert (again.batches, again.summary.state) == (0, "rolled_back")
    assert Content.read(plan) == before


def test_a_row_that_was_changed_since_is_named_and_its_batch_untouched(tmp_path: Path, database_url: str) -> None:
    """A mapped column, one that the mapping does not write, and a row that is gone: each keeps its batch; the run is rolling back."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    run_scheduled(plan)
    target.run(
        "UPDATE doc SET c = 'mine' WHERE k = 'b'",
        "UPDATE doc SET spare = 'mine' WHERE k = 'd'",
        "DELETE FROM part WHERE id = 5",
    )
    left = Content.read(plan)
    with pytest.raises(RowsChanged) as refused:
        rolled_back(tmp_path, database_url)
    assert {(row["target"], row["key"]) for row in refused.value.rows} == {
        ("doc", '[["s","b"]]'),
        ("doc", '[["s","d"]]'),
        ("part", '[["i","5"]]'),
    }
    shown = refused.value.message.splitlines()
    assert {"  doc b: changed since", "  doc d: changed since", "  part 5: deleted since"} <= set(shown)
    assert shown[0].endswith("rows of it stand in the way: 2 changed since, 1 deleted since")
    assert {row["key"]: row["kind"] for row in refused.value.rows}['[["i","5"]]'] == "deleted"
    assert Content.read(plan) == left
    assert state(plan) == "rolling_back"
    with pytest.raises(StateError, match="is being rolled back"):
        run_scheduled(plan)


def test_changed_rows_can_be_left(tmp_path: Path, database_url: str) -> None:
    """With `skip` a changed row stays as somebody left it, and is reported with its former and its present content; the rest goes back."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    before = Content.read(plan)
    run_scheduled(plan)
    target.run("UPDATE doc SET c = 'mine' WHERE k = 'b'", "DELETE FROM part WHERE id = 5")
    seen = survey(tmp_path / "mapping.yaml", RunOptions(target=database_url), SKIPPING, rows=True)
    done = rolled_back(tmp_path, database_url, SKIPPING)
    assert [(each.target, each.key) for each in done.staying] == [(each.target, each.key) for each in seen.in_the_way]
    by_key = {each.key: each for each in done.staying}
    changed, gone = by_key['[["s","b"]]'], by_key['[["i","5"]]']
    assert changed.found is not None
    assert changed.before is not None
    assert (changed.before["c"], changed.found["c"]) == ("old", "mine")
    assert (gone.before, gone.found) == (None, None)
    (left,) = (each.found for each in seen.in_the_way if each.key == changed.key)
    assert left is not None
    expected = before.rows["doc"] | {("b",): left}
    assert Content.read(plan).rows == {**before.rows, "doc": expected}
    assert done.summary.counts.warnings == len(done.staying)
    findings = target.rows("SELECT target, unit_key, rule FROM migrate_finding")
    assert {(row["target"], row["unit_key"], row["rule"]) for row in findings} == {
        (each.target, each.key, "ROLLBACK") for each in done.staying
    }


def test_a_row_that_others_point_at_stays(tmp_path: Path, database_url: str) -> None:
    """A row that somebody's own row points at cannot go: its batch is refused with the database's reason, or with `skip` the row stays."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    before = Content.read(plan)
    run_scheduled(plan)
    target.insert("part", [{"id": 99, "k": "c"}])
    with pytest.raises(RowsChanged, match="held fast"):
        rolled_back(tmp_path, database_url)
    done = rolled_back(tmp_path, database_url, SKIPPING)
    assert [(each.target, each.key) for each in done.staying] == [("doc", '[["s","c"]]')]
    now = Content.read(plan).rows
    assert now["part"] == before.rows["part"] | {(99,): {"id": 99, "k": "c"}}
    assert now["doc"].keys() == before.rows["doc"].keys() | {("c",)}


def test_numbers_that_the_database_alone_gives_go_back(tmp_path: Path, postgres_url: str) -> None:
    """A row that was updated keeps its number, one that is inserted again has it as before: GENERATED ALWAYS lets nobody else choose it."""
    source, target = Database(f"sqlite:///{tmp_path / 'units.db'}"), Database(postgres_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k text, v integer)")
    source.insert("src", [{"id": 1, "k": "a", "v": 10}, {"id": 2, "k": "b", "v": 20}])
    target.run(
        "CREATE TABLE doc (k varchar(20) NOT NULL PRIMARY KEY, v integer UNIQUE, nr bigint GENERATED ALWAYS AS IDENTITY)",
        "INSERT INTO doc (k, v) VALUES ('x', 0), ('a', 1)",
    )
    mapping = """
mapping: numbered
source: {table: src, key: [id]}
targets:
  - {table: doc, key: [k], on_conflict: update, fields: {k: k, v: v}}
"""
    before = target.rows("SELECT * FROM doc ORDER BY k")
    run_scheduled(plan_of(tmp_path, mapping, source.url, target.url))
    assert target.rows("SELECT v FROM doc ORDER BY k") == [{"v": 10}, {"v": 20}, {"v": 0}]
    rolled_back(tmp_path, target.url)
    assert target.rows("SELECT * FROM doc ORDER BY k") == before


FOLLOWER = (
    "CREATE TABLE remark (id integer PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES doc (k) ON DELETE CASCADE)"
)
TRIGGER = {
    "sqlite": ("CREATE TRIGGER sweep AFTER DELETE ON doc BEGIN DELETE FROM own; END", "DROP TRIGGER sweep"),
    "postgresql": (
        """
        CREATE FUNCTION sweep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM own; RETURN NULL; END $$;
        CREATE TRIGGER sweep AFTER DELETE ON doc FOR EACH ROW EXECUTE FUNCTION sweep()
        """,
        "DROP TRIGGER sweep ON doc",
    ),
    "mariadb": ("CREATE TRIGGER sweep AFTER DELETE ON doc FOR EACH ROW DELETE FROM own", "DROP TRIGGER sweep"),
}


def test_what_would_take_other_rows_along_is_refused(tmp_path: Path, database_url: str) -> None:
    """A table that cascades, or a trigger, that came after the run: nothing goes back, nobody's rows vanish; without it the rollback goes on."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    before = Content.read(plan)
    run_scheduled(plan)
    after = Content.read(plan)
    target.run(
        FOLLOWER, "INSERT INTO remark VALUES (1, 'c')", "CREATE TABLE own (n integer)", "INSERT INTO own VALUES (1)"
    )
    with pytest.raises(StateError, match="doc cannot be rolled back as it is now"):
        rolled_back(tmp_path, database_url, SKIPPING)
    with pytest.raises(StateError, match="doc cannot be rolled back as it is now"):
        survey(tmp_path / "mapping.yaml", RunOptions(target=database_url), SKIPPING, rows=True)
    assert (Content.read(plan), state(plan)) == (after, "complete")
    assert len(target.rows("SELECT * FROM remark")) == 1
    made, dropped = TRIGGER[target.kind]
    target.run("DROP TABLE remark", made)
    with pytest.raises(StateError, match="trigger"):
        rolled_back(tmp_path, database_url)
    target.run(dropped)
    rolled_back(tmp_path, database_url)
    assert Content.read(plan) == before
    assert len(target.rows("SELECT * FROM own")) == 1


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_new_column_that_nobody_can_judge_is_refused(
    tmp_path: Path, new_database: Callable[[str], str], kind: str
) -> None:
    """Its default is no constant, so nobody knows whether somebody wrote to it; dropped, it is in nobody's way."""
    target = Database(new_database(kind))
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    before = Content.read(plan)
    run_scheduled(plan)
    target.run("ALTER TABLE part ADD COLUMN seen timestamp DEFAULT CURRENT_TIMESTAMP")
    with pytest.raises(StateError, match="part has a new column seen"):
        rolled_back(tmp_path, target.url)
    target.run("ALTER TABLE part DROP COLUMN seen")
    rolled_back(tmp_path, target.url)
    assert Content.read(plan) == before


def test_rows_that_an_earlier_attempt_left_are_told(tmp_path: Path, database_url: str) -> None:
    """A rollback that was interrupted and goes on tells of every row that stays, not only of those that it came upon last."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"), batch_rows=1)
    run_scheduled(plan)
    target.run("UPDATE doc SET c = 'mine' WHERE k = 'd'")
    path, options = tmp_path / "mapping.yaml", RunOptions(target=database_url)
    left = len(survey(path, options, SKIPPING, rows=False).entries) - 1
    stop, done = StopToken(), []

    def listen(event: object) -> None:
        if isinstance(event, BatchDone):
            done.append(event)
            if len(done) == left:
                stop.set("enough")

    with pytest.raises(Interrupted):
        rollback(path, options, SKIPPING, stop=stop, listen=listen)
    assert target.rows("SELECT unit_key FROM migrate_finding") == [{"unit_key": '[["s","d"]]'}]
    ended = rolled_back(tmp_path, database_url, SKIPPING)
    assert ended.batches == 1
    (row,) = ended.staying
    assert (row.target, row.key, row.why) == ("doc", '[["s","d"]]', "changed since")
    assert row.found is not None
    assert row.found["c"] == "mine"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM migrate_undo WHERE target = 'part'", "are not those that it recorded"),
        ("UPDATE migrate_undo SET payload = NULL WHERE target = 'part'", "were pruned"),
        ("UPDATE migrate_undo SET payload = key_filter WHERE target = 'part'", "were altered"),
        ("UPDATE migrate_undo SET sha256 = 'x' WHERE target = 'part'", "are not those that it recorded"),
    ],
)
def test_undo_records_that_cannot_be_used_are_refused(
    tmp_path: Path, database_url: str, damage: str, said: str
) -> None:
    """Missing, pruned or altered: the batch is named, and nothing is touched."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    run_scheduled(plan)
    target.run(damage)
    left = Content.read(plan)
    with pytest.raises(StateError, match=said) as refused:
        rollback(
            tmp_path / "mapping.yaml",
            RunOptions(target=database_url),
            SKIPPING,
            stop=StopToken(),
            listen=lambda _: None,
        )
    assert "batch 1/" in refused.value.message
    assert Content.read(plan) == left


def test_a_run_in_other_hands_is_not_rolled_back(tmp_path: Path, database_url: str) -> None:
    """A live lease is refused with its holder; once that is given back the rollback goes on, with a run that never ended."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    before = Content.read(plan)
    run_scheduled(plan)
    store = open_target(database_url)
    try:
        ledger = Ledger(store)
        holding = read_lease(ledger, plan.name)
        assert holding is not None
        lease = acquire(ledger, plan.name, holding.run, holding)
        with pytest.raises(StateError, match="another process holds the run"):
            rolled_back(tmp_path, database_url)
        release(ledger, lease)
    finally:
        store.close()
    rolled_back(tmp_path, database_url)
    assert Content.read(plan) == before


def test_what_a_rejected_unit_said_stays_readable(tmp_path: Path, database_url: str) -> None:
    """Rejects outlive the rollback of their run."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="fail"))
    finished = run_scheduled(plan)
    assert finished.rejects
    rolled_back(tmp_path, database_url)
    assert len(rejects_show(tmp_path / "mapping.yaml", RunOptions(target=database_url))) == len(finished.rejects)


def test_rows_of_a_later_pass_go_back_first(tmp_path: Path, database_url: str) -> None:
    """A replay writes units that the first pass rejected; the rollback takes back both passes, and replaying is refused after it."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="fail"))
    before = Content.read(plan)
    assert run_scheduled(plan).rejects
    Database(plan.source.url or "").run("UPDATE src SET k = 'q', n = 77 WHERE id = 2")
    path, options = tmp_path / "mapping.yaml", RunOptions(source=plan.source.url, target=database_url)
    replayed = rejects_replay(path, options, stop=StopToken(), listen=lambda _: None)
    assert replayed.mapped > 0
    rolled_back(tmp_path, database_url)
    assert Content.read(plan) == before
    with pytest.raises(StateError, match="no run with rejects"):
        rejects_replay(path, options, stop=StopToken(), listen=lambda _: None)


def state(plan: Plan) -> str:
    """How the newest run of the plan's mapping stands."""
    store = open_target(plan.target_url)
    try:
        run = current_run(Ledger(store), plan.name)
        assert run is not None
        return run.state
    finally:
        store.close()


def prepared(folder: Path, target: Database, mapping: str, batch_rows: int = 1000) -> Plan:
    """The databases of the undo test, filled, and the plan between them."""
    source = Database(f"sqlite:///{folder / 'units.db'}")
    prepare(source, target)
    return plan_of(folder, mapping, source.url, target.url, batch_rows)
