"""A backup has every row and column within the scope, is found out when it is damaged, and is put back exactly, on each database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.backup.create import create
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan
from migrate.engine.stop import StopToken
from migrate.errors import DataError, Interrupted, NotProven, RowsChanged, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import acquire, read_lease, release
from migrate.ledger.runs import current_run
from migrate.rollback.request import Request
from migrate.rollback.rollback import rollback, survey
from migrate.signing.keys import generate_key
from migrate.stores.opening import open_target
from migrate.stores.scratch import PREFIX
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.integration.test_rollback import prepared
from tests.integration.test_undo import MAPPING
from tests.rig.back import log_verdict, rolled_back, table_digests
from tests.rig.damage import altered, cut, flip, forge
from tests.rig.database import Database
from tests.rig.kept import checked, created, ran, restored
from tests.rig.schedule import plan_of, run_scheduled
from tests.rig.undo import Content

TABLES = ("doc", "part")


@pytest.mark.parametrize("mode", ["fail", "update"])
def test_backup_run_restore_ends_as_before(tmp_path: Path, database_url: str, mode: str) -> None:
    """Rows that the run inserted, updated or left, in two tables; columns that the mapping does not write, computed and stamped ones too."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode=mode))
    before, content = table_digests(target, *TABLES), Content.read(plan)
    made = created(tmp_path, database_url)
    assert {name: table.rows for name, table in made.manifest.tables.items()} == {"doc": 3, "part": 1}
    assert checked(tmp_path, database_url).current
    ran(tmp_path, plan.source.url or "", database_url)
    assert Content.read(plan) != content
    done = restored(tmp_path, database_url)
    assert Content.read(plan) == content
    # SQLite keeps a time as text: an overwritten row gets it back in the toolkit's own spelling (docs/limits.md).
    assert target.kind == "sqlite" or table_digests(target, *TABLES) == before
    counts = done.summary.counts
    assert done.summary.state == "rolled_back"
    assert (counts.read, counts.mapped, counts.rejected, counts.pending) == (0, 0, 0, 0)
    assert not any(each.written or each.updated or each.deleted for each in counts.targets.values())
    assert set(done.summary.digests.values()) <= {"CRE/1:0:0:0:0"}
    assert scratch_tables(target) == []


def test_after_a_restore_a_run_begins_afresh(tmp_path: Path, database_url: str) -> None:
    """The restored scope is as it was backed up, so that a new run needs no other backup; it verifies, and is rolled back like any other."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    content = Content.read(plan)
    created(tmp_path, database_url)
    checked(tmp_path, database_url)
    first = ran(tmp_path, plan.source.url or "", database_url)
    restored(tmp_path, database_url)
    second = ran(tmp_path, plan.source.url or "", database_url)
    assert second.run != first.run
    assert second.counts == first.counts
    assert verify_plan(plan, VerifyOptions()).targets["part"].verdict == "EQUAL"
    rolled_back(tmp_path, database_url)
    assert Content.read(plan) == content


def test_only_what_differs_is_touched_and_it_is_counted(tmp_path: Path, database_url: str) -> None:
    """Overwritten, deleted, inserted and identical rows are told apart, also where the mapping never ran; once more does nothing."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    content = Content.read(plan)
    created(tmp_path, database_url)
    target.run("UPDATE doc SET spare = 'mine' WHERE k = 'b'", "DELETE FROM part", "DELETE FROM doc WHERE k = 'z'")
    target.insert("doc", [{"k": "new", "n": 77}])
    done = restored(tmp_path, database_url)
    assert Content.read(plan) == content
    assert {name: table.to_json() for name, table in done.tables.items()} == {
        "doc": {"rows": 3, "identical": 1, "overwritten": 1, "inserted": 1, "deleted": 1},
        "part": {"rows": 1, "identical": 0, "overwritten": 0, "inserted": 1, "deleted": 0},
    }
    assert done.summary.state == "rolled_back"
    again = restored(tmp_path, database_url)
    assert again.tables["doc"].to_json() == {"rows": 3, "identical": 3, "overwritten": 0, "inserted": 0, "deleted": 0}
    assert Content.read(plan) == content


def test_rows_that_exchanged_unique_values_and_parents_go_back(tmp_path: Path, database_url: str) -> None:
    """A row's unique value was taken by another, a child was moved to a new parent: what one batch cannot do, the next round does."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    content = Content.read(plan)
    created(tmp_path, database_url)
    target.run(
        "UPDATE doc SET n = 100 WHERE k = 'a'",
        "UPDATE doc SET n = 1 WHERE k = 'b'",
        "UPDATE doc SET n = 2 WHERE k = 'a'",
    )
    target.insert("doc", [{"k": "new", "n": 77}])
    target.run("UPDATE part SET k = 'new' WHERE id = 3", "UPDATE doc SET n = 78 WHERE k = 'new'")
    restored(tmp_path, database_url)
    assert Content.read(plan) == content


def test_rows_of_two_batches_exchange_unique_values(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the other, in a transaction of its own: what is left over of all batches is brought back at once."""
    monkeypatch.setattr("migrate.backup.rounds._BATCH_ROWS", 1)
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    content = Content.read(plan)
    created(tmp_path, database_url)
    one, other = (target.rows(f"SELECT n FROM doc WHERE k = '{k}'")[0]["n"] for k in "ab")
    target.run(
        "UPDATE doc SET n = 100 WHERE k = 'a'",
        f"UPDATE doc SET n = {one} WHERE k = 'b'",
        f"UPDATE doc SET n = {other} WHERE k = 'a'",
    )
    restored(tmp_path, database_url)
    assert Content.read(plan) == content


SCOPED = MAPPING.format(mode="update").replace(
    "    fields: {k: k, n: n, c", "    scope: \"c = 'old'\"\n    fields: {k: k, n: n, c"
)


def test_rows_outside_of_the_scope_are_nobodys_business(tmp_path: Path, database_url: str) -> None:
    """They are not backed up, and not touched; a row of the backup that was moved out of the scope is named and left, the rest goes back."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, SCOPED)
    made = created(tmp_path, database_url)
    assert made.manifest.tables["doc"].rows == 1
    target.run("UPDATE doc SET word = 'theirs' WHERE k = 'a'", "UPDATE doc SET word = 'mine' WHERE k = 'b'")
    assert restored(tmp_path, database_url).tables["doc"].overwritten == 1
    rows = Content.read(plan).rows["doc"]
    assert (rows["a",]["word"], rows["b",]["word"]) == ("theirs", "old")
    target.run("UPDATE doc SET c = 'moved' WHERE k = 'b'", "DELETE FROM part")
    with pytest.raises(RowsChanged, match="a row outside of the scope has its key") as refused:
        restored(tmp_path, database_url)
    assert [row["key"] for row in refused.value.rows] == ["b"]
    assert Content.read(plan).rows["part"]
    assert state(plan) == "rolling_back"
    with pytest.raises(StateError, match="is being restored from a backup") as held:
        run_scheduled(plan)
    assert "migrate backup restore" in str(held.value)
    with pytest.raises(StateError, match="being restored from a backup"):
        rolled_back(tmp_path, database_url)
    target.run("UPDATE doc SET c = 'old' WHERE k = 'b'")
    restored(tmp_path, database_url)
    assert state(plan) == "rolled_back"


def test_an_unreadable_row_outside_of_the_scope_is_left(tmp_path: Path, sqlite_url: str) -> None:
    """It has the key of a backed-up row, and is a row of others for certain whatever cannot be read of it; where the scope itself cannot be, it is overwritten."""
    target = Database(sqlite_url)
    plan = prepared(tmp_path, target, SCOPED)
    content = Content.read(plan)
    created(tmp_path, sqlite_url)
    target.run("UPDATE doc SET c = 'moved', day = 'soon', word = 'theirs' WHERE k = 'b'")
    with pytest.raises(RowsChanged, match="a row outside of the scope has its key"):
        restored(tmp_path, sqlite_url)
    assert target.rows("SELECT day, word FROM doc WHERE k = 'b'") == [{"day": "soon", "word": "theirs"}]
    target.run("UPDATE doc SET c = CAST('?' AS blob) WHERE k = 'b'")
    restored(tmp_path, sqlite_url)
    assert Content.read(plan) == content


def test_a_row_that_others_point_at_stays_and_is_named(tmp_path: Path, database_url: str) -> None:
    """A row that is not in the backup, but has children outside of it, cannot go: it is named with the database's reason; the run stands as before."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    target.run(
        "CREATE TABLE other (id integer NOT NULL PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES doc (k))"
    )
    created(tmp_path, database_url)
    checked(tmp_path, database_url)
    ran(tmp_path, plan.source.url or "", database_url)
    target.insert("other", [{"id": 1, "k": "c"}])
    with pytest.raises(RowsChanged, match="the database refuses it") as refused:
        restored(tmp_path, database_url)
    assert [(row["target"], row["key"]) for row in refused.value.rows] == [("doc", "c")]
    target.run("DELETE FROM other")
    restored(tmp_path, database_url)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a byte": lambda folder: flip(next(folder.glob("*.parquet"))),
    "a file cut off": lambda folder: cut(next(folder.glob("*.parquet"))),
    "a file gone": lambda folder: next(folder.glob("*.parquet")).unlink(),
    "the manifest altered": lambda folder: altered(folder / "manifest.json"),
    "the manifest cut off": lambda folder: cut(folder / "manifest.json"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_a_damaged_backup_is_not_restored(tmp_path: Path, sqlite_url: str, damage: str) -> None:
    """Whatever was changed in the folder, check and restore refuse it and touch nothing, and it does not let a run begin any more."""
    target = Database(sqlite_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    made = created(tmp_path, sqlite_url)
    checked(tmp_path, sqlite_url)
    DAMAGES[damage](made.folder)
    before = table_digests(target, *TABLES)
    with pytest.raises(NotProven):
        checked(tmp_path, sqlite_url)
    with pytest.raises(NotProven):
        restored(tmp_path, sqlite_url)
    assert table_digests(target, *TABLES) == before
    assert log_verdict(sqlite_url).findings == ()
    with pytest.raises(StateError, match="no checked backup"):
        ran(tmp_path, plan.source.url or "", sqlite_url)


def test_rows_that_do_not_come_back_as_they_were_are_found(tmp_path: Path, database_url: str) -> None:
    """Files with other rows under a manifest that fits them, all of it known to the log: only the restore into scratch tables tells."""
    target = Database(database_url)
    prepared(tmp_path, target, MAPPING.format(mode="update"))
    made = created(tmp_path, database_url)
    forge(made.folder / "manifest.json", target)
    with pytest.raises(NotProven, match="has not the rows that were backed up"):
        checked(tmp_path, database_url)
    assert scratch_tables(target) == []
    assert [row["kind"] for row in target.rows("SELECT kind FROM migrate_event ORDER BY event_no")][
        -1
    ] == "backup-failed"


def test_two_checks_at_once_do_not_meet(tmp_path: Path, database_url: str) -> None:
    """While one check has its scratch table, another one of the same backup comes and goes: both hold, and no table is left."""
    target = Database(database_url)
    prepared(tmp_path, target, MAPPING.format(mode="update"))
    created(tmp_path, database_url)
    others: list[bool] = []

    def watch(_rows: int) -> None:
        if not others and scratch_tables(target):
            others.append(False)
            others.append(checked(tmp_path, database_url).current)

    assert checked(tmp_path, database_url, watch=watch).current
    assert others == [False, True]
    assert scratch_tables(target) == []


def test_a_half_written_backup_is_none(tmp_path: Path, sqlite_url: str) -> None:
    """A backup that is stopped leaves nothing; a folder that a killed process left is named as half-written; an older whole one is taken."""
    prepared(tmp_path, Database(sqlite_url), MAPPING.format(mode="update"))

    def stop(_rows: int) -> None:
        raise Interrupted("enough")

    with pytest.raises(Interrupted):
        create(tmp_path / "mapping.yaml", tmp_path / "backups", RunOptions(target=sqlite_url), None, stop)
    assert list((tmp_path / "backups").iterdir()) == []
    with pytest.raises(StateError, match="there is no backup of undo"):
        checked(tmp_path, sqlite_url)
    made = created(tmp_path, sqlite_url)
    half = tmp_path / "backups" / "undo-20990101T000000-ffff.partial"
    made.folder.rename(half)
    for refused in (checked, restored):
        with pytest.raises(StateError, match="half-written"):
            refused(tmp_path, sqlite_url)
    whole = created(tmp_path, sqlite_url)
    assert checked(tmp_path, sqlite_url).folder == whole.folder


def test_a_run_meanwhile_spoils_a_backup(tmp_path: Path, database_url: str) -> None:
    """Rows of before a run and of after it are no backup: it is refused, and nothing is left of it."""
    plan = prepared(tmp_path, Database(database_url), MAPPING.format(mode="update"))
    runs: list[str] = []

    def run_once(_rows: int) -> None:
        if not runs:
            runs.append(run_scheduled(plan).summary.run)

    with pytest.raises(StateError, match="was run while its backup was made"):
        create(tmp_path / "mapping.yaml", tmp_path / "backups", RunOptions(target=database_url), None, run_once)
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_signature_is_asked_for(tmp_path: Path, sqlite_url: str) -> None:
    """With a key that is trusted, a backup that is not signed with it, or not at all, is refused."""
    prepared(tmp_path, Database(sqlite_url), MAPPING.format(mode="update"))
    ours, theirs = generate_key(tmp_path / "ours"), generate_key(tmp_path / "theirs")
    created(tmp_path, sqlite_url)
    with pytest.raises(NotProven, match="not signed"):
        checked(tmp_path, sqlite_url, trust=ours)
    made = created(tmp_path, sqlite_url, tmp_path / "ours")
    assert checked(tmp_path, sqlite_url, made.manifest.backup, ours).folder == made.folder
    with pytest.raises(NotProven, match="another key"):
        checked(tmp_path, sqlite_url, made.manifest.backup, theirs)
    altered(made.folder / "manifest.json")
    with pytest.raises(NotProven, match="was altered"):
        checked(tmp_path, sqlite_url, made.manifest.backup, ours)


def test_tables_and_scope_must_be_those_of_the_backup(tmp_path: Path, database_url: str) -> None:
    """A column that was added since, or another scope in the mapping, is refused before anything is touched."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    created(tmp_path, database_url)
    plan_of(tmp_path, SCOPED, plan.source.url or "", database_url)
    with pytest.raises(StateError, match="answers for other rows"):
        restored(tmp_path, database_url)
    plan_of(tmp_path, MAPPING.format(mode="update"), plan.source.url or "", database_url)
    target.run("ALTER TABLE doc ADD COLUMN late varchar(9)")
    with pytest.raises(StateError, match="has not the columns"):
        checked(tmp_path, database_url)


def test_a_value_that_cannot_be_kept_is_refused_by_name(tmp_path: Path, sqlite_url: str) -> None:
    """A text in a column of dates: the row is named, and there is no backup."""
    target = Database(sqlite_url)
    prepared(tmp_path, target, MAPPING.format(mode="update"))
    target.run("UPDATE doc SET day = 'soon' WHERE k = 'z'")
    with pytest.raises(DataError, match="no backup was made") as refused:
        created(tmp_path, sqlite_url)
    assert "doc z: " in refused.value.message
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_live_run_is_waited_for(tmp_path: Path, database_url: str) -> None:
    """While a process holds the run neither a backup is made nor one restored."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, MAPPING.format(mode="update"))
    created(tmp_path, database_url)
    run_scheduled(plan)
    store = open_target(database_url)
    try:
        ledger = Ledger(store)
        holding = read_lease(ledger, plan.name)
        assert holding is not None
        lease = acquire(ledger, plan.name, holding.run, holding)
        for refused in (created, restored):
            with pytest.raises(StateError, match="another process holds the run"):
                refused(tmp_path, database_url)
        release(ledger, lease)
    finally:
        store.close()
    restored(tmp_path, database_url)


def test_a_restored_run_has_nothing_to_roll_back(tmp_path: Path, sqlite_url: str) -> None:
    """Its rows are those of the backup: rollback and its dry run find no batch."""
    plan = prepared(tmp_path, Database(sqlite_url), MAPPING.format(mode="update"))
    content = Content.read(plan)
    created(tmp_path, sqlite_url)
    run_scheduled(plan)
    restored(tmp_path, sqlite_url)
    assert survey(tmp_path / "mapping.yaml", RunOptions(target=sqlite_url), Request(), rows=True).entries == ()
    done = rollback(
        tmp_path / "mapping.yaml", RunOptions(target=sqlite_url), Request(), stop=StopToken(), listen=lambda _: None
    )
    assert (done.batches, done.summary.state) == (0, "rolled_back")
    assert Content.read(plan) == content


def state(plan: Plan) -> str:
    """How the newest run of the plan's mapping stands."""
    store = open_target(plan.target_url)
    try:
        run = current_run(Ledger(store), plan.name)
        assert run is not None
        return run.state
    finally:
        store.close()


def scratch_tables(target: Database) -> list[str]:
    """Scratch tables that are left in a database."""
    catalogue = {"sqlite": "SELECT name AS t FROM sqlite_schema"}.get(
        target.kind, "SELECT table_name AS t FROM information_schema.tables"
    )
    return [row["t"] for row in target.rows(catalogue) if row["t"].startswith(PREFIX)]
