"""Any database that SQLAlchemy has a dialect for, as a source or target: correct on common ground, and slower than a store of its own.

Not seen through it: triggers, identity of connections, shared snapshots, types of query columns. The database itself must not change
values in silence: what does not fit is refused before it is sent, as far as reflection tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.sql.elements import Grouping

from migrate.errors import InputError, UnknownTable
from migrate.stores.generic_errors import generic_faults
from migrate.stores.generic_session import GenericSession
from migrate.stores.generic_shape import pointing_at, reflect
from migrate.stores.generic_table import GenericTable
from migrate.stores.port import AbstractSnapshot
from migrate.stores.predicates import Ordering
from migrate.stores.urls import parse_url, redacted
from migrate.values import Key, KeyRange, KeyValue, PointingTable, SourceSpec, TableShape

_SNAPSHOT_LEVELS: Final = ("REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE")
_FIRST_ROWS: Final = 32
_PICK_KEYS: Final = 200


def open_source(spec: SourceSpec) -> GenericSource:
    """The table of `spec`, with its shape read.

    Raises:
        InputError: a query (its types cannot be known for any dialect), no such table, or no such driver.
        EnvironmentFault: the database cannot be reached.
    """
    return GenericSource(_engine(spec.url or ""), spec)


def open_target(url: str, ledger_schema: str | None = None) -> GenericTarget:
    """The target database at `url`; nothing is connected yet."""
    return GenericTarget(_engine(url), ledger_schema)


class NoSnapshot:
    """A token without effect: every reader sees a state of its own."""

    shared = False

    def close(self) -> None:
        """Nothing to end."""


class GenericSource:
    """A table behind an engine. Implements `SourceStore`."""

    shape: TableShape

    def __init__(self, engine: sa.Engine, spec: SourceSpec) -> None:
        self.engine = engine
        if spec.table is None:
            raise InputError(
                f"a query on {engine.dialect.name} has columns of unknown types",
                next_step="make it a view, and name that as table",
            )
        with generic_faults(redacted(engine.url)), engine.connect() as connection:
            found = reflect(connection, spec.table)
            self._version = ".".join(str(part) for part in connection.dialect.server_version_info or ("unknown",))
            self.nulls_first = _nulls_first(connection)
        if found is None:
            engine.dispose()
            raise UnknownTable(spec.table, where=redacted(engine.url))
        self.shape = found[1]
        self.table = GenericTable(*found, engine.dialect.name)

    def snapshot(self) -> AbstractSnapshot:
        """A token: no dialect-neutral way to share a snapshot exists."""
        return NoSnapshot()

    def reader(self, snapshot: AbstractSnapshot | None = None) -> GenericReader:
        """Open a connection in the strictest snapshot that the dialect offers."""
        del snapshot
        return GenericReader(self)

    def fingerprint(self) -> dict[str, str]:
        """Dialect and version."""
        return {"engine": self.engine.dialect.name, "version": self._version}


class GenericReader:
    """One connection that only ever selects. Implements `SourceReader`."""

    def __init__(self, source: GenericSource) -> None:
        self._table = source.table
        self._where = redacted(source.engine.url)
        self._ordering = Ordering(row_values=False, nulls_first=source.nulls_first, literal=_raw_literal)
        with generic_faults(self._where):
            self._connection = _consistent(source.engine.connect())

    def border(self, columns: tuple[str, ...], after: Key | None, rows: int) -> Key | None:
        """The key of the row that is `rows` rows behind `after`, or None when fewer are left."""
        keys = self._table.key_columns(columns)
        statement = (
            sa.select(*self._table.selected(columns))
            .where(self._ordering.between(keys, self._bound(columns, after), None))
            .order_by(*self._ordering.order_by(keys))
            .offset(rows - 1)
            .limit(1)
        )
        with generic_faults(self._where):
            found = self._connection.execute(statement).first()
        if found is None:
            return None
        exact = self._table.batch(columns, [found])
        return tuple(exact.column(index)[0].as_py() for index in range(len(columns)))

    def read(
        self, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, columns: tuple[str, ...] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows of the range, sorted by `order`, in chunks of about `chunk_bytes`; `columns`, then `ANOMALY`."""
        by = key_range.columns
        names = self._table.shape.names if columns is None else columns
        predicate = self._ordering.between(
            self._table.key_columns(by), self._bound(by, key_range.after), self._bound(by, key_range.upto)
        )
        return self._stream(names, self._select(names, predicate, order), chunk_bytes)

    def pick(
        self, by: tuple[str, ...], keys: Sequence[Key], order: tuple[str, ...], columns: tuple[str, ...] | None = None
    ) -> pa.Table:
        """All rows whose `by` equals one of `keys`, sorted by `order`."""
        names = self._table.shape.names if columns is None else columns
        if not keys:
            return self._table.schema(names).empty_table()
        # Nested, since one long chain of OR is deeper than some parsers go.
        groups = [keys[start : start + _PICK_KEYS] for start in range(0, len(keys), _PICK_KEYS)]
        arms = [Grouping(sa.or_(*(self._table.equals(by, key) for key in group))) for group in groups]
        statement = self._select(names, sa.or_(*arms), order)
        return pa.Table.from_batches(list(self._stream(names, statement, 1 << 24)), self._table.schema(names))

    def scan(self, columns: tuple[str, ...], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        """The whole relation as the database finds it."""
        return self._stream(columns, self._select(columns, sa.true(), ()), chunk_bytes)

    def lookup(self, columns: tuple[str, ...]) -> pa.Table:
        """The whole relation, only `columns` and `ANOMALY`."""
        statement = self._select(columns, sa.true(), ())
        return pa.Table.from_batches(list(self._stream(columns, statement, 1 << 24)), self._table.schema(columns))

    def now(self) -> str:
        """The database's clock, or where its form is unknown, this machine's, in UTC."""
        with generic_faults(self._where):
            found: Any = self._connection.execute(sa.select(sa.func.current_timestamp())).scalar_one()
        moment = found if isinstance(found, datetime) else datetime.fromisoformat(str(found))
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return moment.isoformat(timespec="microseconds")

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()

    def _bound(self, columns: Sequence[str], key: Key | None) -> Key | None:
        if key is None:
            return None
        return tuple(self._table.bound(name, value) for name, value in zip(columns, key, strict=True))

    def _select(self, names: Sequence[str], predicate: sa.ColumnElement[bool], order: Sequence[str]) -> sa.Select[Any]:
        columns = [self._table.columns[name] for name in order]
        return (
            sa.select(*self._table.selected(names)).select_from(self._table.table).where(predicate).order_by(*columns)
        )

    def _stream(self, names: Sequence[str], statement: sa.Select[Any], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        size = _FIRST_ROWS
        streaming = self._connection.execution_options(stream_results=True)
        with generic_faults(self._where), streaming.execute(statement) as result:
            while rows := result.fetchmany(size):
                batch = self._table.batch(names, rows)
                size = max(1, min(8 * size, len(rows) * chunk_bytes // max(batch.nbytes, 1)))
                yield batch


class GenericTarget:
    """A database behind an engine. Implements `TargetStore`."""

    writers: int | None = None

    def __init__(self, engine: sa.Engine, ledger_schema: str | None = None) -> None:
        self._engine = engine
        self.dialect = engine.dialect.name
        self.ledger_schema = ledger_schema
        self._tables: dict[str, GenericTable] = {}

    def describe(self, table: str) -> TableShape | None:
        """The table's shape, read anew, or None when there is none."""
        with generic_faults(redacted(self._engine.url)), self._engine.connect() as connection:
            found = reflect(connection, table)
        if found is None:
            return None
        self._tables[table] = GenericTable(*found, self.dialect)
        return found[1]

    def pointing_at(self, tables: Collection[str]) -> list[PointingTable]:
        """See `TargetStore`; of the default schema."""
        with generic_faults(redacted(self._engine.url)), self._engine.connect() as connection:
            return pointing_at(connection, tables)

    def session(self) -> GenericSession:
        """Open a connection for writing."""
        where = redacted(self._engine.url)
        with generic_faults(where):
            return GenericSession(self._engine.connect(), self._table_of, where)

    def engine(self) -> sa.Engine:
        """For DDL and small statements outside of batch transactions."""
        return self._engine

    def advance_sequences(self, table: TableShape) -> list[str]:
        """Nothing is set; a sentence for each column whose sequence a person has to look after."""
        return [
            f"the sequence of {table.name}.{column.name} was left as it is: {self.dialect} has no store of its own here"
            for column in table.columns
            if column.default_kind == "identity"
        ]

    def fingerprint(self) -> dict[str, str]:
        """Dialect and version."""
        with generic_faults(redacted(self._engine.url)), self._engine.connect() as connection:
            version = connection.dialect.server_version_info or ("unknown",)
        return {"engine": self.dialect, "version": ".".join(str(part) for part in version)}

    def close(self) -> None:
        """Free the pool of connections."""
        self._engine.dispose()

    def _table_of(self, shape: TableShape) -> GenericTable:
        if shape.name not in self._tables and self.describe(shape.name) is None:
            raise UnknownTable(shape.name, where=redacted(self._engine.url))
        return self._tables[shape.name]


def _engine(url: str) -> sa.Engine:
    parsed = parse_url(url)
    try:
        return sa.create_engine(parsed, pool_pre_ping=True)
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise InputError(
            f"no driver for {parsed.drivername} is installed: {error}",
            where=redacted(parsed),
            next_step="install it with pip",
        ) from error


def _consistent(connection: sa.Connection) -> sa.Connection:
    """The connection in the dialect's repeatable level, where it has one."""
    try:
        levels = connection.dialect.get_isolation_level_values(connection.connection.dbapi_connection)  # type: ignore[arg-type]
    except NotImplementedError:
        return connection
    level = next((level for level in _SNAPSHOT_LEVELS if level in levels), None)
    return connection if level is None else connection.execution_options(isolation_level=level)


def _nulls_first(connection: sa.Connection) -> bool:
    """Where the database sorts NULL by itself."""
    values = sa.union_all(
        sa.select(sa.literal(1).label("v")), sa.select(sa.cast(sa.null(), sa.Integer()).label("v"))
    ).subquery()
    return connection.execute(sa.select(values.c.v).order_by(values.c.v)).scalars().first() is None


def _raw_literal(_column: sa.ColumnElement[object], value: KeyValue) -> sa.ColumnElement[object]:
    return sa.literal(value, sa.types.NullType())
