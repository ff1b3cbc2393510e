"""PostgreSQL as a source: key ranges read through ADBC, in one exported snapshot, in the table's own order.

Never writes: every transaction is READ ONLY. A table without a key is read by TID ranges, where a row's number is
`block * 65536 + offset`: exact, ordered, and valid within one snapshot only, since ctid changes on UPDATE.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import NullPool

from migrate.checksum.sql_form import StoredRelation
from migrate.errors import EnvironmentFault, InputError, MigrateError, UnknownTable
from migrate.stores.port import ANOMALY, ROW_NUMBER, AbstractSnapshot, Origin
from migrate.stores.postgres_connection import LIBPQ_OPTIONS, PostgresConnection
from migrate.stores.postgres_constraints import hidden_rows, unique_keys
from migrate.stores.postgres_describe import (
    describe_query,
    describe_relation,
    estimated_rows,
    find_relation,
    server_encoding,
)
from migrate.stores.postgres_errors import connect_faults
from migrate.stores.postgres_keys import key_literal, parse_key, typed_values
from migrate.stores.postgres_position import position_in
from migrate.stores.postgres_read import Readout
from migrate.stores.postgres_snapshot import (
    READ_SETTINGS,
    ExportedSnapshot,
    PostgresSnapshot,
    exported,
    require_exportable,
)
from migrate.stores.postgres_types import PostgresColumn, Relation, literal, quote, stored_column
from migrate.stores.predicates import KeyColumn, Ordering
from migrate.stores.urls import parse_url, redacted, with_socket_folders
from migrate.values import Column, Key, KeyRange, LogicalType, SourceSpec, TableShape, UniqueKey

Positions = npt.NDArray[np.int64]

_ALIAS: Final = "s"
_ENCODED: Final = "_encoded"
_SAVEPOINT: Final = "asked"
_TID_BITS: Final = 16
_TABLE_CHUNK: Final = 1 << 24
_BESIDE_CHUNK: Final = 1 << 22
_TID_DTYPE: Final = np.dtype([("block", ">u4"), ("offset", ">u2")])
# numeric_dollar: other styles double percent signs in literals.
_DIALECT: Final = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_ORDERING: Final = Ordering(row_values=True, nulls_first=False, literal=key_literal)
_NOW: Final = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""


def open_source(spec: SourceSpec) -> PostgresSource:
    """The table or query of `spec`, with its shape read.

    Raises:
        InputError: no such table, or the server does not accept the query.
        EnvironmentFault: the database cannot be reached.
    """
    return PostgresSource(spec)


class PostgresSource:
    """A table or query of a PostgreSQL database."""

    shape: TableShape

    def __init__(self, spec: SourceSpec) -> None:
        if spec.url is None:
            raise InputError("the source has no url")
        self.url = with_socket_folders(parse_url(spec.url))
        self._spec = spec
        engine = sa.create_engine(self.url, poolclass=NullPool, connect_args=dict(LIBPQ_OPTIONS))
        with connect_faults(redacted(self.url)), engine.connect() as connection:
            connection.execute(sa.text("SET default_transaction_read_only = on"))
            number = connection.execute(sa.text("SELECT current_setting('server_version_num')::int")).scalar_one()
            self._version = str(int(number) // 10000)
            self._encoding = server_encoding(connection)
            self._raw_text = self._encoding == "SQL_ASCII"
            self.relation, self.shape = _described(connection, spec)

    @property
    def is_query(self) -> bool:
        """True for the rows of a query."""
        return self._spec.query is not None

    def snapshot(self) -> AbstractSnapshot:
        """Begin a snapshot that several readers can share; it ends with `close()`."""
        return PostgresSnapshot(self.url)

    def reader(self, snapshot: AbstractSnapshot | None = None) -> PostgresReader:
        """Open a connection, in `snapshot` if given, otherwise in a snapshot of its own."""
        return PostgresReader(self, snapshot)

    def fingerprint(self) -> dict[str, str]:
        """Engine and major version: minor ones do not change rows or their order."""
        return {"engine": "postgresql", "version": self._version}

    def readout(self, names: Sequence[str]) -> Readout:
        """How to select these columns of the relation; a row number among them is left out."""
        wanted = [self.relation.column(name) for name in names if name != ROW_NUMBER]
        return Readout(wanted, _ALIAS, raw_text=self._raw_text)

    def stored(self) -> StoredRelation:
        """The relation for expressions over it."""
        columns = tuple(stored_column(column, _ALIAS) for column in self.relation.columns)
        # Lengths of texts are counted in the encoding of the database.
        obstacle = None if self._encoding == "UTF8" else f"the database is encoded in {self._encoding}, not in UTF-8"
        return StoredRelation("postgresql", self.relation.sql, _ALIAS, columns, self.shape.rows, obstacle)

    def schema(self, names: Sequence[str]) -> pa.Schema:
        """Arrow schema of these columns, then `ANOMALY`."""
        fields = [pa.field(name, self.shape.column(name).type.arrow) for name in names]
        return pa.schema([*fields, pa.field(ANOMALY, pa.string())])


class PostgresReader:
    """One connection in one read-only snapshot. Implements `SourceReader`."""

    def __init__(self, source: PostgresSource, snapshot: AbstractSnapshot | None) -> None:
        self._source = source
        self._relation = source.relation
        self._connection = PostgresConnection(source.url, READ_SETTINGS)
        try:
            self._connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if isinstance(snapshot, PostgresSnapshot | ExportedSnapshot):
                self._connection.run(f"SET TRANSACTION SNAPSHOT '{snapshot.identifier}'")
            # Takes the snapshot now, and not with the first read.
            self._connection.rows("SELECT 1")
        except BaseException:
            self._connection.close()
            raise

    def border(self, columns: tuple[str, ...], after: Key | None, rows: int) -> Key | None:
        """The key of the row that is `rows` rows behind `after`, or None when fewer are left."""
        if columns == (ROW_NUMBER,):
            return self._border_position(after, rows)
        keys = self._key_columns(columns)
        where = _where(_ORDERING.between(keys, after, None))
        names = ", ".join(_qualified(name) for name in columns)
        texts = ", ".join(f"{_qualified(name)}::text AS k{index}" for index, name in enumerate(columns))
        found = self._connection.rows(
            f"SELECT {texts} FROM {self._relation.sql} AS {_ALIAS} {where} ORDER BY {names} OFFSET {rows - 1} LIMIT 1"
        )
        if not found:
            return None
        return parse_key([self._relation.column(name) for name in columns], found[0])

    def read(
        self, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, columns: tuple[str, ...] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows of the range, sorted by `order`, in chunks of about `chunk_bytes`; `columns`, then `ANOMALY`."""
        if key_range.columns == (ROW_NUMBER,):
            # No ORDER BY: a TID range scan returns rows in their order, which `_stream` makes sure of.
            return self._stream(columns, _tid_range(key_range.after, key_range.upto), chunk_bytes, by_position=True)
        where = _where(_ORDERING.in_range(self._key_columns(key_range.columns), key_range))
        return self._stream(columns, f"{where} {_order_by(order)}", chunk_bytes)

    def pick(
        self, by: tuple[str, ...], keys: Sequence[Key], order: tuple[str, ...], columns: tuple[str, ...] | None = None
    ) -> pa.Table:
        """All rows whose `by` equals one of `keys`, NULL being equal to NULL, sorted by `order`."""
        if by == (ROW_NUMBER,):
            condition = f"{_qualified(ROW_NUMBER)} = ANY ({literal(_tid_array(keys))}::tid[])"
        else:
            condition = _any_key([self._relation.column(name) for name in by], keys) or "false"
        return self._table(columns, f"WHERE {condition} {_order_by(order)}")

    def scan(self, columns: tuple[str, ...], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        """The whole relation as the server finds it."""
        return self._stream(columns, "", chunk_bytes)

    def lookup(self, columns: tuple[str, ...]) -> pa.Table:
        """The whole relation, only `columns` and `ANOMALY`."""
        return self._table(columns, "")

    def stored(self) -> StoredRelation:
        """The relation, for the expressions of `beside` and `ask`."""
        return self._source.stored()

    def origin(self) -> Origin:
        """The relation, for sums of its own."""
        stored = self._source.stored()
        return Origin("postgresql", stored.sql, stored.alias, stored.columns)

    def beside(
        self, expression: str, columns: tuple[str, ...], origin: str, tail: str
    ) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
        """Rows of `origin` as `read` has them, and beside each the value of `expression`, a bytea."""
        readout = self._source.readout(columns)
        encoded = f"{expression} AS {quote(_ENCODED)}"
        statement = f"SELECT {encoded}, {readout.select_list} FROM {origin} AS {_ALIAS} {tail}"
        with self._undone(), closing(self._connection.stream(statement, _BESIDE_CHUNK)) as batches:
            for batch in batches:
                converted = readout.convert(batch)
                yield converted.column(0), converted.select(range(1, converted.num_columns))

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a small result, in the reader's snapshot, which survives a failure."""
        with self._undone():
            return self._connection.rows(statement)

    @contextmanager
    def _undone(self) -> Iterator[None]:
        """What fails inside does not end the transaction, and with it the snapshot."""
        self._connection.run(f"SAVEPOINT {_SAVEPOINT}")
        try:
            yield
        except MigrateError:
            self._connection.run(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
            # It is still set, and in it no snapshot can be exported.
            self._connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
            raise
        except GeneratorExit:
            # Whoever reads the rows has enough of them.
            self._connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")
            raise
        self._connection.run(f"RELEASE SAVEPOINT {_SAVEPOINT}")

    def another(self) -> PostgresReader:
        """Open a reader in the snapshot of this one."""
        with self._undone():
            require_exportable(self._connection)
        return PostgresReader(self._source, ExportedSnapshot(exported(self._connection)))

    def now(self) -> str:
        """The server's clock in UTC."""
        return str(self._connection.rows(_NOW)[0][0])

    def position(self) -> str | None:
        """Where the snapshot stands; None for a query, which may ask for the time."""
        return None if self._source.is_query else position_in(self.ask, self._relation.sql)

    def close(self) -> None:
        """Free the connection."""
        self._connection.close()

    def _table(self, columns: Sequence[str] | None, tail: str) -> pa.Table:
        names = self._source.shape.names if columns is None else columns
        return pa.Table.from_batches(list(self._stream(names, tail, _TABLE_CHUNK)), self._source.schema(names))

    def _stream(
        self, columns: Sequence[str] | None, tail: str, chunk_bytes: int, *, by_position: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Batches of the rows of `tail`; `by_position` insists on ascending row numbers."""
        names = self._source.shape.names if columns is None else columns
        readout = self._source.readout(names)
        numbered = by_position or ROW_NUMBER in names
        position = f"{_ALIAS}.ctid, " if numbered else ""
        statement = f"SELECT {position}{readout.select_list} FROM {self._relation.sql} AS {_ALIAS} {tail}"
        last = -1
        with closing(self._connection.stream(statement, chunk_bytes)) as batches:
            if not numbered:
                # By `map`, which does not keep a batch while the next one is read.
                yield from map(readout.convert, batches)
                return
            for batch in batches:
                positions = _positions(batch.column(0))
                if by_position and len(positions):
                    self._require_ascending(positions, last)
                    last = int(positions[-1])
                converted = readout.convert(batch.select(range(1, batch.num_columns)))
                yield _arranged(converted, positions, self._source.schema(names))

    def _require_ascending(self, positions: Positions, last: int) -> None:
        if (np.diff(positions, prepend=last) <= 0).any():
            raise EnvironmentFault(
                "the server did not return rows in their physical order", where=self._source.shape.name
            )

    def _key_columns(self, names: tuple[str, ...]) -> list[KeyColumn]:
        return [
            KeyColumn(sa.literal_column(_qualified(name)), self._relation.column(name).column.nullable)
            for name in names
        ]

    def _border_position(self, after: Key | None, rows: int) -> Key | None:
        # No ORDER BY: a TID range scan returns rows in their order, and sorting would read the whole table for each border.
        found = self._connection.table(
            f"SELECT {_ALIAS}.ctid FROM {self._relation.sql} AS {_ALIAS} {_tid_range(after, None)} OFFSET {rows - 1} LIMIT 1"
        )
        return None if found is None or found.num_rows == 0 else (int(_positions(found.column(0))[0]),)


def _described(connection: sa.Connection, spec: SourceSpec) -> tuple[Relation, TableShape]:
    if spec.query is not None:
        relation = describe_query(connection, spec.query)
        columns = tuple(column.column for column in relation.columns)
        missing = sorted(set(spec.key) - {column.name for column in columns})
        if missing:
            raise InputError(f"the query has no column {', '.join(missing)}", where="source → key")
        declared = (UniqueKey("key", spec.key),) if spec.key else ()
        return relation, TableShape("query", columns, declared, rows=estimated_rows(connection, relation))
    name = spec.table or ""
    found = find_relation(connection, name)
    if found is None:
        raise UnknownTable(name, where=redacted(str(spec.url)), next_step="name it as table or schema.table")
    relation = describe_relation(connection, found)
    keys, _ = unique_keys(connection, found["oid"])
    columns = tuple(column.column for column in relation.columns)
    # Only one heap has physical ids that order all rows.
    positional = not spec.key and not any(key.primary for key in keys) and found["kind"] in ("r", "m")
    if positional:
        position = Column(ROW_NUMBER, LogicalType("integer"), nullable=False, default_kind="generated", declared="ctid")
        columns = (*columns, position)
        keys = (*keys, UniqueKey(ROW_NUMBER, (ROW_NUMBER,)))
    return relation, TableShape(
        name,
        columns,
        unique_keys=keys,
        obstacles=tuple(hidden_rows(connection, found["oid"])),
        rows=estimated_rows(connection, relation),
        positional=positional,
    )


def _qualified(name: str) -> str:
    # Qualified, since ORDER BY takes a bare name for the selected expression and not for the column with the index.
    return f"{_ALIAS}.ctid" if name == ROW_NUMBER else f"{_ALIAS}.{quote(name)}"


def _order_by(order: tuple[str, ...]) -> str:
    return f"ORDER BY {', '.join(_qualified(name) for name in order)}" if order else ""


def _where(predicate: sa.ColumnElement[bool]) -> str:
    if isinstance(predicate, type(sa.true())):
        return ""
    return f"WHERE {predicate.compile(dialect=_DIALECT, compile_kwargs={'literal_binds': True})}"


def _any_key(columns: Sequence[PostgresColumn], keys: Sequence[Key]) -> str:
    """True for rows that equal one of the keys; one IN per set of columns that are NULL in a key."""
    by_nulls: dict[tuple[bool, ...], list[Key]] = {}
    for key in keys:
        by_nulls.setdefault(tuple(value is None for value in key), []).append(key)
    arms = []
    for nulls, group in by_nulls.items():
        conditions = [f"{_qualified(column.name)} IS NULL" for column, null in zip(columns, nulls, strict=True) if null]
        filled = [column for column, null in zip(columns, nulls, strict=True) if not null]
        if filled:
            rows = [[value for value in key if value is not None] for key in group]
            names = ", ".join(_qualified(column.name) for column in filled)
            conditions.append(f"({names}) IN (VALUES {typed_values(filled, rows)})")
        arms.append(" AND ".join(conditions))
    return " OR ".join(f"({arm})" for arm in arms)


def _tid_range(after: Key | None, upto: Key | None) -> str:
    # Always a lower bound, so that the plan is a TID range scan and not a sequential one.
    lower = "(0,0)" if after is None else _tid(after)
    upper = "" if upto is None else f" AND {_ALIAS}.ctid <= {literal(_tid(upto))}"
    return f"WHERE {_ALIAS}.ctid > {literal(lower)}{upper}"


def _tid_array(keys: Sequence[Key]) -> str:
    return "{" + ",".join(f'"{_tid(key)}"' for key in keys) + "}"


def _tid(key: Key) -> str:
    position = key[0]
    if not isinstance(position, int):
        raise InputError(f"not a row number: {position!r}")
    return f"({position >> _TID_BITS},{position & 0xFFFF})"


def _positions(tids: pa.Array | pa.ChunkedArray) -> Positions:
    """The row numbers of a column of ctid, which arrives as six bytes each: block and offset, big-endian."""
    if isinstance(tids, pa.ChunkedArray):
        tids = tids.combine_chunks()
        tids = tids.chunk(0) if isinstance(tids, pa.ChunkedArray) else tids
    storage = tids.storage if isinstance(tids, pa.ExtensionArray) else tids
    raw = np.frombuffer(b"".join(storage.to_pylist()), dtype=_TID_DTYPE)
    return np.asarray((raw["block"].astype(np.int64) << _TID_BITS) | raw["offset"], dtype=np.int64)


def _arranged(batch: pa.RecordBatch, positions: Positions, schema: pa.Schema) -> pa.RecordBatch:
    """The columns in the order of `schema`, with the row numbers where it has them."""
    arrays = [pa.array(positions) if name == ROW_NUMBER else batch.column(name) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
