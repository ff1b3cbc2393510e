"""Reads a SQLite source through one connection in one read transaction, in chunks bounded in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from migrate.checksum.sql_column import StoredColumn
from migrate.stores.port import ROW_NUMBER, Origin
from migrate.stores.predicates import KeyColumn
from migrate.stores.sqlite_adbc import Connection
from migrate.stores.sqlite_errors import sqlite_faults
from migrate.stores.sqlite_files import file_position
from migrate.stores.sqlite_keys import ORDERING, compiled, spellings
from migrate.stores.sqlite_select import Query, Selection, chain, reading_of
from migrate.stores.sqlite_shape import quoted, row_id_name
from migrate.values import Column, Key, KeyRange, SourceSpec, TableShape

_TABLE: Final = (
    "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE AND sql NOT LIKE 'CREATE VIRTUAL%'"
)
_MOST_ROWS: Final = 8192
_WHOLE: Final = 1 << 24
"""Bytes of a chunk where the result is one table anyway."""
_SIZED: Final = {"text", "bytes", "json", "unsupported"}
_BYTES_PER_COLUMN: Final = 64
_SHORT: Final = 4000
"""Declared length up to which a text is not measured before it is read."""


class SqliteReader:
    """See `migrate.stores.port.SourceReader`; keys of borders are values as SQLite stores them."""

    def __init__(self, connection: Connection, spec: SourceSpec, shape: TableShape, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._name = spec.table
        self._shape = shape
        self._where = f"source {spec.relation}"
        self._relation = quoted(spec.table) if spec.table else f"({(spec.query or '').rstrip().rstrip(';')}\n)"
        self._stored = spec.table is not None
        with sqlite_faults(self._where):
            before = file_position(path)
            connection.begin_reading()
            # The snapshot is that of the first query.
            connection.run("SELECT count(*) FROM (SELECT 1 FROM sqlite_schema LIMIT 1)")
        # Nobody wrote while the snapshot was taken.
        self._position = before if before == file_position(path) else None

    def border(self, columns: tuple[str, ...], after: Key | None, rows: int) -> Key | None:
        """The stored key `rows` rows behind `after`, or None."""
        keys = self._key_columns(columns)
        predicate, parameters = compiled(ORDERING.between(keys, after, None))
        names = ", ".join(self._source(name) for name in columns)
        sql = f"SELECT {names} FROM {self._relation} AS t WHERE {predicate} ORDER BY {names} LIMIT 1 OFFSET {rows - 1}"
        with sqlite_faults(self._where):
            found = self._connection.run(sql, parameters)
        return tuple(found[0]) if found else None

    def read(
        self, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, columns: tuple[str, ...] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows of the range, sorted by `order`."""
        predicate, parameters = compiled(ORDERING.in_range(self._key_columns(key_range.columns), key_range))
        yield from self._rows(self._chosen(columns), Query(f"WHERE {predicate}", parameters), order, chunk_bytes)

    def pick(
        self, by: tuple[str, ...], keys: Sequence[Key], order: tuple[str, ...], columns: tuple[str, ...] | None = None
    ) -> pa.Table:
        """All rows whose `by` equals one of `keys`, sorted by `order`."""
        wanted = list(dict.fromkeys(stored for key in keys for stored in product(*map(spellings, key))))
        chosen = self._chosen(columns)
        schema = self._selection(chosen).schema
        if not wanted:
            return schema.empty_table()
        return pa.Table.from_batches(self._rows(chosen, self._among(by, wanted), order, _WHOLE), schema)

    def scan(self, columns: tuple[str, ...], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        """The whole relation as it is stored."""
        yield from self._rows(self._chosen(columns), Query(""), (), chunk_bytes)

    def lookup(self, columns: tuple[str, ...]) -> pa.Table:
        """The whole relation, only `columns` and the anomaly."""
        chosen = self._chosen(columns)
        rows = self._rows(chosen, Query(""), (), _WHOLE)
        return pa.Table.from_batches(rows, self._selection(chosen).schema)

    def origin(self) -> Origin:
        """The relation, for sums of its own; the columns of a query have no affinity that would say how values are stored."""
        declared = (column for column in self._shape.columns if self._stored and column.name != ROW_NUMBER)
        columns = (StoredColumn(each.name, self._source(each.name), each.type, each.declared) for each in declared)
        return Origin("sqlite", self._relation, "t", tuple(columns))

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a small result, in the reader's snapshot."""
        with sqlite_faults(self._where):
            return self._connection.run(statement)

    def now(self) -> str:
        """The clock of this machine, in UTC: SQLite has no other."""
        with sqlite_faults(self._where):
            [(now,)] = self._connection.run("SELECT strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')")
        return str(now)

    def position(self) -> str | None:
        """The state of the file and of its log; None for what is no plain table, and for a file that was just being written."""
        with sqlite_faults(self._where):
            found = self._connection.run(_TABLE, [self._name])
        return self._position if found else None

    def close(self) -> None:
        """End the transaction and free the connection."""
        self._connection.close()

    def _chosen(self, names: tuple[str, ...] | None) -> Sequence[Column]:
        return self._shape.columns if names is None else [self._shape.column(name) for name in names]

    def _among(self, columns: tuple[str, ...], keys: list[tuple[Any, ...]]) -> Query:
        """The condition that `columns` equal one of `keys`, NULL being equal to NULL."""
        names = [f"k{number}" for number in range(len(columns))]
        values = ", ".join("(" + ", ".join("?" * len(columns)) + ")" for _ in keys)
        equal = " AND ".join(f"{self._source(column)} IS k.{name}" for column, name in zip(columns, names, strict=True))
        first = self._source(columns[0])
        # IN finds the candidates through the index; it never finds NULL.
        among = (
            f"({first} IN (SELECT k0 FROM wanted) OR {first} IS NULL)"
            if any(key[0] is None for key in keys)
            else (f"{first} IN (SELECT k0 FROM wanted)")
        )
        return Query(
            f"WHERE {among} AND EXISTS (SELECT 1 FROM wanted AS k WHERE {equal})",
            [value for key in keys for value in key],
            f"WITH wanted({', '.join(names)}) AS (VALUES {values}) ",
        )

    def _rows(
        self, columns: Sequence[Column], where: Query, order: tuple[str, ...], chunk_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        sorting = f" ORDER BY {', '.join(self._source(name) for name in order)}" if order else ""
        source = f"FROM {self._relation} AS t {where.tail}"
        with sqlite_faults(self._where):
            batch_rows = self._batch_rows(columns, replace(where, tail=source), chunk_bytes)
            query = replace(where, tail=source + sorting)
            yield from self._selection(columns).batches(self._connection, query, batch_rows, chunk_bytes)

    def _batch_rows(self, columns: Sequence[Column], query: Query, chunk_bytes: int) -> int:
        """Rows that the driver may build at once: it counts rows, not bytes, so the longest values are measured first."""
        unbounded = [
            f"coalesce(max(octet_length({self._source(column.name)})), 0)"
            for column in columns
            if column.type.kind in _SIZED and (column.type.length is None or column.type.length > _SHORT)
        ]
        longest = len(columns) * _BYTES_PER_COLUMN
        if unbounded:
            [(measured,)] = self._connection.run(
                f"{query.head}SELECT {chain(unbounded, ' + ')} {query.tail}", query.parameters
            )
            longest += int(measured)
        return max(1, min(_MOST_ROWS, chunk_bytes // longest))

    def _selection(self, columns: Sequence[Column]) -> Selection:
        return Selection([reading_of(column, self._source(column.name), stored=self._stored) for column in columns])

    def _source(self, name: str) -> str:
        """The expression of a column; the row number is SQLite's row id."""
        if name == ROW_NUMBER and self._shape.positional:
            return f"t.{row_id_name(self._shape)}"
        return f"t.{quoted(name)}"

    def _key_columns(self, names: tuple[str, ...]) -> list[KeyColumn]:
        return [KeyColumn(sa.literal_column(self._source(name)), self._shape.column(name).nullable) for name in names]
