"""What the log says of backups: sealed under their own names, found out when changed, and which one counts for a new run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from migrate.ledger.backups import (
    CHECKED,
    CREATED,
    FAILED,
    RESTORED,
    BackupRecord,
    checked_backup,
    created_backup,
    log_backup,
    position,
    scope_digest,
)
from migrate.ledger.connection import Ledger
from migrate.ledger.log import REHEARSED, add_event, seal_others, verify_log
from migrate.stores.opening import open_target
from tests.rig.database import Database

SCOPES = {"doc": "\"c\" = 'x'", "part": None}
ONE = BackupRecord("20260101T000000-aaaa", "m1", scope_digest(SCOPES), 0)
TWO = BackupRecord("20260102T000000-bbbb", "m2", scope_digest(SCOPES), 0)
MOVED = BackupRecord("20260103T000000-cccc", "m3", scope_digest(SCOPES), 7)
WIDER = BackupRecord("20260104T000000-dddd", "m4", scope_digest({"doc": None, "part": None}), 0)


@pytest.fixture
def ledger(sqlite_url: str) -> Iterator[Ledger]:
    """A ledger into which nothing was ever run."""
    store = open_target(sqlite_url)
    made = Ledger(store)
    made.create()
    yield made
    store.close()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([(CREATED, ONE)], None),
        ([(CREATED, ONE), (CHECKED, ONE)], ONE),
        ([(CHECKED, ONE), (CHECKED, TWO)], TWO),
        ([(CHECKED, ONE), (FAILED, ONE)], None),
        ([(CHECKED, ONE), (FAILED, ONE), (CHECKED, ONE)], ONE),
        ([(CHECKED, ONE), (CHECKED, TWO), (FAILED, TWO)], ONE),
        ([(CHECKED, ONE), (CREATED, TWO)], ONE),
        ([(CHECKED, MOVED)], None),
        ([(CHECKED, WIDER)], None),
        ([(RESTORED, ONE)], ONE),
    ],
)
def test_the_newest_good_backup_of_these_rows_counts(
    ledger: Ledger, events: list[tuple[str, BackupRecord]], expected: BackupRecord | None
) -> None:
    """Checked or restored, its last check not failed, of exactly this scope, at the position that the mapping stands at; of others' mappings none."""
    for kind, record in events:
        log_backup(ledger, "undo", kind, record)
    assert checked_backup(ledger, "undo", SCOPES) == expected
    assert checked_backup(ledger, "other", SCOPES) is None


def test_an_entry_that_commits_late_moves_the_position(ledger: Ledger) -> None:
    """A worker that stood still commits a lower number than others have by then: no backup of before counts any more."""
    add_run(ledger, "mine", "undo")
    add_run(ledger, "theirs", "other")
    add_entry(ledger, "mine", 7)
    now = replace(ONE, position=position(ledger, "undo"))
    log_backup(ledger, "undo", CHECKED, now)
    add_entry(ledger, "theirs", 9)
    assert checked_backup(ledger, "undo", SCOPES) == now
    add_entry(ledger, "mine", 5)
    assert checked_backup(ledger, "undo", SCOPES) is None


def test_a_backup_is_known_by_what_was_logged_when_it_was_made(ledger: Ledger) -> None:
    """Its manifest's digest is that of its making; one that was never made is not known."""
    log_backup(ledger, "undo", CREATED, ONE, {"rows": 3})
    assert created_backup(ledger, "undo", ONE.backup) == ONE
    assert created_backup(ledger, "undo", TWO.backup) is None
    assert created_backup(ledger, "other", ONE.backup) is None


def test_what_a_killed_process_logged_is_sealed_by_who_comes_next(ledger: Ledger) -> None:
    """An event that was committed and not sealed is sealed once, that of a rehearsal too."""
    add_event(ledger, "undo", ONE.backup, CREATED, ONE.to_json())
    add_event(ledger, "undo", "20260102T000000-cccc", REHEARSED, {})
    assert verify_log(ledger).unsealed == 2
    assert (seal_others(ledger), seal_others(ledger)) == (2, 0)
    assert (verify_log(ledger).unsealed, verify_log(ledger).findings) == (0, ())


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE migrate_event SET detail = replace(detail, 'm1', 'm9')", "was changed"),
        ("DELETE FROM migrate_event WHERE kind = 'backup-created'", "was removed"),
        ("UPDATE migrate_event SET run = '20260102T000000-bbbb' WHERE kind = 'backup-created'", "was removed"),
    ],
)
def test_events_of_backups_are_sealed_without_any_run(
    ledger: Ledger, sqlite_url: str, statement: str, finding: str
) -> None:
    """The log holds with them, and whoever changes, removes or moves one is found out."""
    log_backup(ledger, "undo", CREATED, ONE)
    log_backup(ledger, "undo", CHECKED, ONE)
    whole = verify_log(ledger)
    assert (whole.seals, whole.entries, whole.unsealed, whole.findings) == (2, 2, 0, ())
    Database(sqlite_url).run(statement)
    assert any(finding in each.what for each in verify_log(ledger).findings)


def add_run(ledger: Ledger, run: str, mapping: str) -> None:
    """A run of a mapping, as its start leaves it."""
    table = ledger.tables.run
    row = {each.name: 0 if isinstance(each.type, sa.BigInteger) else "{}" for each in table.columns}
    with ledger.writing() as connection:
        connection.execute(sa.insert(table).values({**row, "run": run, "mapping": mapping}))


def add_entry(ledger: Ledger, run: str, number: int) -> None:
    """A batch that was applied under this number."""
    table = ledger.tables.applied
    row = {each.name: number if isinstance(each.type, sa.Integer) else "{}" for each in table.columns}
    with ledger.writing() as connection:
        connection.execute(sa.insert(table).values({**row, "run": run}))
