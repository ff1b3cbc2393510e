"""A restore among others: whoever writes, alters tables or the mapping meanwhile is met by name, and never overwritten or called equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrate.backup.batch import Outcome, RestoredTable
from migrate.backup.opened import Wanted
from migrate.backup.restore import restore
from migrate.backup.tables import kept_rows
from migrate.engine.events import BatchDone
from migrate.engine.options import RunOptions
from migrate.engine.run import run
from migrate.engine.steer import pause
from migrate.engine.stop import StopToken
from migrate.errors import Interrupted, NotProven, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import current_run, read_passes
from migrate.mapping.reader import read_mapping
from migrate.signing.keys import generate_key
from migrate.stores.opening import open_target
from migrate.stores.port import TargetSession
from tests.integration.test_backup import SCOPED
from tests.integration.test_rollback import prepared
from tests.integration.test_undo import MAPPING
from tests.rig.database import Database
from tests.rig.kept import checked, created, ran, restored
from tests.rig.schedule import plan_of
from tests.rig.undo import Content

UPDATING = MAPPING.format(mode="update")
ONE_TABLE = UPDATING[: UPDATING.index("  - table: part")]


def in_one_batch(folder: Path, url: str, work: Callable[[RestoredTable, TargetSession], Outcome]) -> Outcome:
    """What one batch comes to in the table `doc`; committed."""
    store = open_target(url)
    try:
        kept = kept_rows(read_mapping(folder / "mapping.yaml"), url)[0].table
        shape = store.describe("doc")
        assert shape is not None
        session = store.session()
        session.begin()
        outcome = work(RestoredTable(kept, shape), session)
        session.commit()
        session.close()
        return outcome
    finally:
        store.close()


def test_a_row_that_left_the_scope_since_it_was_compared_stays(tmp_path: Path, database_url: str) -> None:
    """What a batch deletes is looked at again under its lock: only what is inside of the scope goes."""
    target = Database(database_url)
    prepared(tmp_path, target, SCOPED)
    target.run("UPDATE doc SET c = 'old' WHERE k = 'a'", "UPDATE doc SET c = 'moved' WHERE k = 'b'")
    keys = pa.table({"k": ["a", "b", "gone"]})
    outcome = in_one_batch(tmp_path, database_url, lambda table, session: table.delete(session, keys))
    assert (outcome.counts.deleted, outcome.left) == (1, ())
    assert {row["k"] for row in target.rows("SELECT k FROM doc")} == {"b", "z"}


def test_a_row_of_which_the_scope_cannot_be_read_is_not_deleted(tmp_path: Path, sqlite_url: str) -> None:
    """A person decides whose it is; one that is outside for certain is nobody's business, whatever else of it cannot be read."""
    target = Database(sqlite_url)
    prepared(tmp_path, target, SCOPED)
    target.run(
        "UPDATE doc SET c = CAST('?' AS blob) WHERE k = 'a'", "UPDATE doc SET c = 'moved', day = 'soon' WHERE k = 'b'"
    )
    keys = pa.table({"k": ["a", "b"]})
    outcome = in_one_batch(tmp_path, sqlite_url, lambda table, session: table.delete(session, keys))
    assert (outcome.counts.deleted, [each.key for each in outcome.left]) == (0, ["a"])
    assert len(target.rows("SELECT k FROM doc")) == 3


def test_a_value_that_cannot_be_read_does_not_pass_for_the_null_that_was_backed_up(
    tmp_path: Path, sqlite_url: str
) -> None:
    """A text in a column of dates is read as nothing: it is overwritten all the same."""
    target = Database(sqlite_url)
    plan = prepared(tmp_path, target, UPDATING)
    target.run("UPDATE doc SET day = NULL WHERE k = 'z'")
    content = Content.read(plan)
    created(tmp_path, sqlite_url)
    target.run("UPDATE doc SET day = 'soon' WHERE k = 'z'")
    assert restored(tmp_path, sqlite_url).tables["doc"].overwritten == 1
    assert Content.read(plan) == content


def test_whoever_writes_meanwhile_is_found_at_the_end(tmp_path: Path, database_url: str) -> None:
    """A row comes into the scope behind the comparison: the restore is refused, goes on with the same command, and is right then."""
    target = Database(database_url)
    plan = prepared(tmp_path, target, UPDATING)
    content = Content.read(plan)
    created(tmp_path, database_url)
    target.run("UPDATE doc SET spare = 'mine' WHERE k = 'b'")

    def write(event: object) -> None:
        if isinstance(event, BatchDone):
            target.insert("doc", [{"k": "late", "n": 99}])

    wanted, options = Wanted(tmp_path / "backups"), RunOptions(target=database_url)
    with pytest.raises(StateError, match="somebody else writes to it"):
        restore(tmp_path / "mapping.yaml", wanted, options, stop=StopToken(), listen=write)
    assert target.rows("SELECT state FROM migrate_run") == [{"state": "rolling_back"}]
    assert restored(tmp_path, database_url).tables["doc"].deleted == 1
    assert Content.read(plan) == content


def test_tables_that_change_rows_by_themselves_are_not_restored(tmp_path: Path, database_url: str) -> None:
    """A cascade that came since the backup would take rows of others along: refused before anything is touched."""
    target = Database(database_url)
    prepared(tmp_path, target, UPDATING)
    created(tmp_path, database_url)
    target.insert("doc", [{"k": "new", "n": 77}])
    target.run(
        "CREATE TABLE other (id integer NOT NULL PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES doc (k) ON DELETE CASCADE)"
    )
    target.insert("other", [{"id": 1, "k": "new"}])
    with pytest.raises(StateError, match="cannot be restored safely"):
        restored(tmp_path, database_url)
    assert len(target.rows("SELECT k FROM doc")) == 4
    assert target.rows("SELECT count(*) AS n FROM migrate_run") == [{"n": 0}]
    target.run("DROP TABLE other")
    restored(tmp_path, database_url)


def test_a_table_that_the_mapping_got_since_is_not_in_the_backup(tmp_path: Path, sqlite_url: str) -> None:
    """It would stay as it is while the rest goes back: refused."""
    plan = prepared(tmp_path, Database(sqlite_url), ONE_TABLE)
    created(tmp_path, sqlite_url)
    plan_of(tmp_path, UPDATING, plan.source.url or "", sqlite_url)
    for refused in (checked, restored):
        with pytest.raises(StateError, match="has other tables than when the backup was made"):
            refused(tmp_path, sqlite_url)


def test_another_signature_is_no_damage(tmp_path: Path, sqlite_url: str) -> None:
    """Who trusts another key does not spoil the backup for everybody: a run still begins on it."""
    plan = prepared(tmp_path, Database(sqlite_url), UPDATING)
    theirs = generate_key(tmp_path / "theirs")
    created(tmp_path, sqlite_url)
    checked(tmp_path, sqlite_url)
    with pytest.raises(NotProven, match="not signed"):
        checked(tmp_path, sqlite_url, trust=theirs)
    ran(tmp_path, plan.source.url or "", sqlite_url)


def test_nothing_of_the_run_is_open_after_a_restore(tmp_path: Path, sqlite_url: str) -> None:
    """Every pass is ended, and a pause of the run that is gone does not keep the next one."""
    plan = prepared(tmp_path, Database(sqlite_url), UPDATING)
    created(tmp_path, sqlite_url)
    options, stop = RunOptions(source=plan.source.url, target=sqlite_url, no_backup=True), StopToken()
    stop.set("enough")
    with pytest.raises(Interrupted):
        run([tmp_path / "mapping.yaml"], options, stop=stop, listen=lambda _: None)
    pause(tmp_path / "mapping.yaml", "wait", options)
    restored(tmp_path, sqlite_url)
    assert open_passes(sqlite_url) == []
    assert ran(tmp_path, plan.source.url or "", sqlite_url).state == "complete"


def open_passes(url: str) -> list[Any]:
    """Passes of the newest run that are not ended."""
    store = open_target(url)
    try:
        ledger = Ledger(store)
        run = current_run(ledger, "undo")
        assert run is not None
        return [each for each in read_passes(ledger, run.run) if each.ended_ms is None]
    finally:
        store.close()
