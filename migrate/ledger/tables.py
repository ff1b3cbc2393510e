"""The ledger's tables. They live in the target database, so that rows and the record of them commit together.

Only types that are exact and alike everywhere are used: BIGINT, text, bytes. Times (`*_ms`) are milliseconds since 1970-01-01 UTC by
the database's own clock. Ledgers in the field cannot be changed: a column is never renamed or re-used, new ones are nullable.
docs/ledger.md says what each table is for; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

_ID = 40
_NAME = 190
_TOKEN = 200


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def _long_text() -> sa.types.TypeEngine[str]:
    wide = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(wide, "mysql", "mariadb")


def _bytes() -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def _token() -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.VARBINARY(_TOKEN + 8), "mysql", "mariadb")


def _counter() -> sa.types.TypeEngine[int]:
    # SQLite numbers rows by itself only in a column declared exactly INTEGER.
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


@dataclass(frozen=True, slots=True)
class LedgerTables:
    """All ledger tables under one schema (None: the database's default)."""

    metadata: sa.MetaData
    run: sa.Table
    passes: sa.Table
    lease: sa.Table
    worker: sa.Table
    ranges: sa.Table
    batch: sa.Table
    applied: sa.Table
    undo: sa.Table
    pending: sa.Table
    reject: sa.Table
    finding: sa.Table
    event: sa.Table
    seal: sa.Table


@cache
def ledger_tables(schema: str | None = None) -> LedgerTables:
    """The tables' metadata, made once (30 ms) and shared: nobody changes it. Nothing is created."""
    metadata = sa.MetaData(schema=schema)
    return LedgerTables(
        metadata,
        *_steering(metadata),
        *_progress(metadata),
        *_records(metadata),
        *_log(metadata),
    )


def _table(metadata: sa.MetaData, name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        # Numbers of deleted rows must not come again: seals name rows by number.
        sqlite_autoincrement=name in {"migrate_applied", "migrate_event"},
    )


def _incompressible(table: sa.Table, *columns: str) -> None:
    """Tell PostgreSQL not to compress columns that are compressed already: it tries all the same, for a second in two million rows (measured)."""
    for column in columns:
        external = sa.DDL(f"ALTER TABLE %(fullname)s ALTER COLUMN {column} SET STORAGE EXTERNAL")  # type: ignore[no-untyped-call]
        sa.event.listen(table, "after_create", external.execute_if(dialect="postgresql"))


def _big(name: str, *, null: bool = False, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=null, primary_key=key, autoincrement=False)


def _word(name: str, length: int = _NAME, *, null: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, _text(length), nullable=null, primary_key=key)


def _prose(name: str, *, null: bool = True) -> sa.Column[str]:
    return sa.Column(name, _long_text(), nullable=null)


def _steering(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table, sa.Table]:
    run = _table(
        metadata,
        "migrate_run",
        _word("run", _ID, key=True),
        _word("mapping"),
        _word("fingerprint", 64),
        _big("epoch"),
        _word("state", 16),
        _prose("reason"),
        _big("created_ms"),
        _big("changed_ms"),
        _big("ended_ms", null=True),
        _prose("source_start"),
        _prose("settings", null=False),
        _prose("definition", null=False),
        _prose("mapping_text", null=False),
        sa.Index("migrate_run_mapping", "mapping", "created_ms"),
    )
    passes = _table(
        metadata,
        "migrate_pass",
        _word("run", _ID, key=True),
        _big("pass_no", key=True),
        _word("kind", 16),
        _big("started_ms"),
        _big("ended_ms", null=True),
        _prose("lookups"),
        _prose("position"),
        _big("after_seq", null=True),
    )
    lease = _table(
        metadata,
        "migrate_lease",
        _word("mapping", key=True),
        _word("run", _ID),
        _big("epoch"),
        _big("wanted_epoch"),
        _prose("holder"),
        _big("expires_ms"),
        _prose("pause_reason"),
        _big("paused_ms", null=True),
        _big("throttle_rows", null=True),
    )
    worker = _table(
        metadata,
        "migrate_worker",
        _word("run", _ID, key=True),
        _big("epoch", key=True),
        _word("worker", _ID, key=True),
        _word("backend_id", 64, null=True),
        _word("backend_start", 64, null=True),
        _prose("process", null=False),
        _big("started_ms"),
    )
    return run, passes, lease, worker


def _progress(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table]:
    ranges = _table(
        metadata,
        "migrate_range",
        _word("run", _ID, key=True),
        _big("pass_no", key=True),
        _big("range_no", key=True),
        _prose("after_key"),
        _prose("upto_key"),
    )
    batch = _table(
        metadata,
        "migrate_batch",
        _word("run", _ID, key=True),
        _big("pass_no", key=True),
        _big("range_no", key=True),
        _big("epoch"),
        _word("worker", _ID),
        _big("claimed_ms"),
    )
    applied = _table(
        metadata,
        "migrate_applied",
        sa.Column("applied_seq", _counter(), primary_key=True, autoincrement=True),
        _word("run", _ID),
        _big("pass_no"),
        _big("range_no"),
        _big("epoch"),
        _big("rows_read"),
        _big("rows_mapped"),
        _big("rows_filtered"),
        _big("rows_rejected"),
        _big("rows_pending"),
        _big("warnings"),
        _prose("targets", null=False),
        _prose("digests", null=False),
        _prose("undo", null=False),
        _big("took_ms"),
        _big("applied_ms"),
        sa.Index("migrate_applied_batch", "run", "pass_no", "range_no", unique=True),
    )
    return ranges, batch, applied


def _records(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table, sa.Table]:
    def of_batch() -> tuple[sa.Column[str], sa.Column[int], sa.Column[int]]:
        return _word("run", _ID, key=True), _big("pass_no", key=True), _big("range_no", key=True)

    undo = _table(
        metadata,
        "migrate_undo",
        *of_batch(),
        _big("chunk_no", key=True),
        _word("target"),
        _big("rows"),
        sa.Column("low_unit", _token(), nullable=False),
        sa.Column("high_unit", _token(), nullable=False),
        sa.Column("key_filter", _bytes(), nullable=False),
        sa.Column("payload", _bytes(), nullable=True),
        _word("sha256", 64),
        sa.Index("migrate_undo_unit", "run", "target", "low_unit"),
    )
    _incompressible(undo, "key_filter", "payload")
    pending = _table(
        metadata,
        "migrate_pending",
        *of_batch(),
        _big("chunk_no", key=True),
        _big("units"),
        _big("rows"),
        _big("first_range"),
        _big("first_position"),
        sa.Column("payload", _bytes(), nullable=False),
    )
    _incompressible(pending, "payload")
    named = ("unit_key", "target", "field", "rule", "reason", "value")
    reject = _table(
        metadata,
        "migrate_reject",
        *of_batch(),
        _big("entry_no", key=True),
        *(_prose(name) for name in named),
        _prose("raw"),
    )
    finding = _table(
        metadata,
        "migrate_finding",
        *of_batch(),
        _big("entry_no", key=True),
        _word("level", 16),
        *(_prose(name) for name in named),
    )
    return undo, pending, reject, finding


def _log(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    event = _table(
        metadata,
        "migrate_event",
        sa.Column("event_no", _counter(), primary_key=True, autoincrement=True),
        _word("mapping"),
        _word("run", _ID, null=True),
        _word("kind", 32),
        _prose("detail", null=False),
        _big("at_ms"),
        sa.Index("migrate_event_run", "run"),
    )
    seal = _table(
        metadata,
        "migrate_seal",
        _big("seal_no", key=True),
        _word("run", _ID, null=True),
        _prose("entries", null=False),
        _word("previous", 64),
        _word("hash", 64),
        _big("sealed_ms"),
        sa.Index("migrate_seal_run", "run"),
    )
    return event, seal
