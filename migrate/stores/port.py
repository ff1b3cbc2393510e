"""The port behind which databases and files hide: what the engine may ask of a source and of a target.

Contract of every implementation:

- *Lossless reading*: a value arrives exactly in its column's Arrow type (`LogicalType.arrow`), or its row is marked with a reason
  and the bytes in the column `ANOMALY`; never a changed value, never a dropped row.
- *Strict writing*: `insert` writes every row exactly as given, or raises; nothing is ignored, replaced, rounded or truncated.
- Driver errors become errors of `migrate.errors` (transient ones `TransientFault`, a dead connection `ConnectionLost`).
- A reader or session belongs to one thread at a time, holds one connection, and frees it in `close()`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa
import sqlalchemy as sa

from migrate.checksum.sql_column import StoredColumn
from migrate.checksum.sql_form import StoredRelation
from migrate.values import Key, KeyRange, PointingTable, TableShape

ANOMALY = "_anomaly"
"""Column (string, nullable) of every batch read: why this row could not be read without loss, with its bytes; NULL when it could."""

ORDINAL = "_n"
"""Column (int64) of `fetch`: position, from 0, of the requested key that a stored row answers."""

ROW_NUMBER = "_row"
"""Key column (int64) of a positional source: the row's number or physical id."""


class SourceReader(Protocol):
    """One connection to a source, read-only, in one snapshot where the source has snapshots."""

    def border(self, columns: tuple[str, ...], after: Key | None, rows: int) -> Key | None:
        """The key of the row that is `rows` rows behind `after` in the source's order of `columns`, or None when fewer are left.

        Uses the index where there is one. `after` None starts at the first row, NULLs included.
        """
        ...

    def read(
        self,
        key_range: KeyRange,
        order: tuple[str, ...],
        chunk_bytes: int,
        columns: tuple[str, ...] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """All rows of the range, sorted by `order`, in chunks of about `chunk_bytes`.

        Schema: `columns` in the order given (default: all of the source's, in the order of its shape), then `ANOMALY`. Columns by name,
        never by `*`. `order` need not be among `columns`. An anomaly in a column that is not asked for is none.
        """
        ...

    def pick(
        self,
        by: tuple[str, ...],
        keys: Sequence[Key],
        order: tuple[str, ...],
        columns: tuple[str, ...] | None = None,
    ) -> pa.Table:
        """All rows whose `by` equals one of `keys` (NULL equals NULL), sorted by `order`; schema as `read`. At most some thousand keys."""
        ...

    def scan(self, columns: tuple[str, ...], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        """The whole relation in any order, in one statement, without ranges; schema and chunks as `read`. For verification."""
        ...

    def lookup(self, columns: tuple[str, ...]) -> pa.Table:
        """The whole relation, only `columns` (and `ANOMALY`); for lookup tables."""
        ...

    def now(self) -> str:
        """The source's clock, ISO 8601 with microseconds."""
        ...

    def close(self) -> None:
        """Free the connection; safe to call twice."""
        ...


@runtime_checkable
class SqlReader(Protocol):
    """What a reader has besides where its database can encode rows by itself (`migrate.checksum.sql_form`)."""

    def stored(self) -> StoredRelation:
        """The relation, for the expressions of `beside` and `ask`."""
        ...

    def beside(
        self, expression: str, columns: tuple[str, ...], origin: str, tail: str
    ) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
        """Rows as `read` has them, and beside each the value of `expression` (bytes, in SQL), in one statement and so of the same row.

        `origin` stands behind FROM, in the place of the relation, under its alias and with its columns; `tail` behind both.
        """
        ...

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a small result, in the snapshot of the reader, which survives a statement that fails."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """What a statement reads from: `sql` stands behind FROM, under `alias`; `columns` as declared, without those of which nobody knows how they are stored."""

    dialect: Literal["postgresql", "mariadb", "sqlite"]
    sql: str
    alias: str
    columns: tuple[StoredColumn, ...]


@runtime_checkable
class SumsReader(Protocol):
    """What a reader has besides where its database can be asked for sums of its own."""

    def origin(self) -> Origin:
        """The relation, for the statements of `ask`."""
        ...

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a small result, in the snapshot of the reader, which survives a statement that fails."""
        ...

    def close(self) -> None:
        """Free the connection; safe to call twice."""
        ...


@runtime_checkable
class PositionedReader(Protocol):
    """What a reader has besides where its store can tell two states apart for certain."""

    def position(self) -> str | None:
        """Where the reader's snapshot stands: another reader of the same source with an equal position has the same rows. None: it cannot be told."""
        ...


@runtime_checkable
class SharingReader(Protocol):
    """What a reader has besides where its database can show the snapshot of one connection to another one."""

    def another(self) -> SumsReader:
        """Open a reader of the same source in the snapshot of this one, which must be at rest; each is closed by itself.

        Raises MigrateError where the server does not give one (a limit of connections, a pooler, no right to show it); this one goes on all the
        same. Only where showing the snapshot itself fails (the server's disk is full) it is at its end, and says so when it is read.
        """
        ...


class SourceStore(Protocol):
    """A source as a whole."""

    shape: TableShape

    def snapshot(self) -> AbstractSnapshot:
        """Begin a snapshot that several readers can share, where the database can; it ends with `close()`."""
        ...

    def reader(self, snapshot: AbstractSnapshot | None = None) -> SourceReader:
        """Open a connection, in `snapshot` if given."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """What identifies the content beyond its shape and decides the rows: engine and version, for files names, sizes and SHA-256."""
        ...


class AbstractSnapshot(Protocol):
    """A shared, exported snapshot (PostgreSQL), or a token without effect (others)."""

    @property
    def shared(self) -> bool:
        """True when all readers of it see the same state."""
        ...

    def close(self) -> None:
        """End it; readers in it keep what they have."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """The database's own identity of a connection; `start` tells a reused id from the same one. Both None where it has none."""

    id: str | None
    start: str | None


class TargetSession(Protocol):
    """One connection to the target: data and ledger in the same transaction. READ COMMITTED where there is a choice."""

    def begin(self) -> None:
        """Start a transaction (SQLite: BEGIN IMMEDIATE) with a bounded lock wait."""
        ...

    def commit(self) -> None:
        """Commit; ConnectionLost means that the outcome is unknown."""
        ...

    def rollback(self) -> None:
        """Roll back the whole transaction; never raises for one that is already gone."""
        ...

    def savepoint(self, name: str) -> None:
        """Set a savepoint; an existing one of the name is replaced."""
        ...

    def rollback_to(self, name: str) -> None:
        """Back to the savepoint, which stays set; the transaction can go on."""
        ...

    def execute(self, statement: sa.Executable) -> Sequence[tuple[Any, ...]]:
        """Run one SQLAlchemy Core statement (ledger tables); rows for those that return any, else ()."""
        ...

    def insert(self, table: TableShape, rows: pa.Table) -> None:
        """Append `rows`, whose columns are a subset of the table's, in Arrow types of `LogicalType.arrow`; omitted columns get their default.

        Bulk path. Raises ConstraintViolation with the kind; the caller then rolls back to a savepoint.
        """
        ...

    def fetch(
        self,
        table: TableShape,
        by: tuple[str, ...],
        keys: pa.Table,
        *,
        lock: bool,
        columns: tuple[str, ...] | None = None,
    ) -> pa.Table:
        """Stored rows that the *database* holds equal to a row of `keys` (columns `by`) under its own collations.

        Returns `ORDINAL`, then `columns` of the table (default: all), losslessly read, then `ANOMALY`. One key may find several rows, and none.
        `lock` takes row locks until the end of the transaction, in key order.
        """
        ...

    def update(self, table: TableShape, by: tuple[str, ...], rows: pa.Table) -> None:
        """Set all other columns of `rows` where `by` matches; raises ConstraintViolation, or DataError unless each matched exactly once."""
        ...

    def delete(self, table: TableShape, by: tuple[str, ...], keys: pa.Table) -> None:
        """Delete the rows with these keys; raises ConstraintViolation, or DataError unless each matched exactly once."""
        ...

    def backend(self) -> Backend:
        """Identity of this connection."""
        ...

    def end_backend(self, backend: Backend) -> bool:
        """End that other connection if it still has that start; false when it is gone or may not be ended."""
        ...

    def close(self) -> None:
        """Free the connection, rolling back what is open; safe to call twice."""
        ...


class TargetStore(Protocol):
    """A target database as a whole. Its ledger lives in the same database."""

    dialect: str
    ledger_schema: str | None
    """The schema that the ledger's tables are in; None is the connection's default."""
    writers: int | None
    """How many sessions can usefully write at once: 1 for SQLite, None for no limit."""

    def describe(self, table: str) -> TableShape | None:
        """The table's shape, or None when there is none."""
        ...

    def pointing_at(self, tables: Collection[str]) -> list[PointingTable]:
        """The foreign keys of other tables onto these, in whatever schema of the database (MariaDB: of the server) this user may read rows.

        The generic store sees those of the default schema.
        """
        ...

    def session(self) -> TargetSession:
        """Open a connection."""
        ...

    def engine(self) -> sa.Engine:
        """For DDL and small ledger statements outside of batch transactions; the store owns it."""
        ...

    def advance_sequences(self, table: TableShape) -> list[str]:
        """Set identity and serial sequences beyond the highest stored value; sentences about what was set."""
        ...

    def fingerprint(self) -> dict[str, str]:
        """Engine and version."""
        ...

    def close(self) -> None:
        """Free everything; safe to call twice."""
        ...
