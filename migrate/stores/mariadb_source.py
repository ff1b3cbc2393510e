"""MariaDB and MySQL as a source: a read-only, consistent snapshot per connection, read in key order through the text protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from migrate.checksum.sql_form import StoredRelation
from migrate.errors import DataError, UnknownTable
from migrate.stores import mariadb_wire as wire
from migrate.stores.mariadb_connection import connect, driver_connection, reading_engine
from migrate.stores.mariadb_errors import mariadb_faults
from migrate.stores.mariadb_keys import ORDERING, compiled, key_sql
from migrate.stores.mariadb_select import Readout, converted_values
from migrate.stores.mariadb_shape import MariaColumn, describe_query, describe_table, quoted, stored_column
from migrate.stores.port import ANOMALY, AbstractSnapshot, Origin
from migrate.stores.predicates import KeyColumn
from migrate.stores.urls import parse_url, redacted
from migrate.values import Key, KeyRange, KeyValue, SourceSpec

_ALIAS: Final = "s"
_WHOLE: Final = 1 << 24
_COMPARED_AS_TEXT: Final = ("enum", "set")
"""Types that ORDER BY sorts by number but comparison takes as text."""


class PrivateSnapshot:
    """Stands for a snapshot where each reader has one of its own."""

    shared = False

    def close(self) -> None:
        """Nothing to end."""


class MariaSource:
    """See `migrate.stores.port.SourceStore`. A table without a key has no row ids to go by: give `key:` in the mapping."""

    def __init__(self, spec: SourceSpec) -> None:
        url = parse_url(spec.url or "")
        self._engine = reading_engine(url)
        self.where = f"{redacted(url)} {spec.relation}"
        with connect(self._engine) as connection:
            raw = driver_connection(connection)
            [(self._version,)] = wire.rows_of(raw, "SELECT version()")
            if spec.query is not None:
                self.relation, self.shape = describe_query(raw, spec.query, spec.key)
            else:
                described = describe_table(raw, spec.table or "", writing=False)
                if described is None:
                    raise UnknownTable(spec.table or "", where=redacted(url))
                self.relation, self.shape = described

    def snapshot(self) -> AbstractSnapshot:
        """A token: a snapshot of MariaDB belongs to one connection."""
        return PrivateSnapshot()

    def reader(self, snapshot: AbstractSnapshot | None = None) -> MariaReader:
        """Open a connection in a snapshot of its own."""
        del snapshot
        return MariaReader(self, connect(self._engine))

    def fingerprint(self) -> dict[str, str]:
        """The engine and its series: patch releases do not change rows or their order."""
        return engine_and_series(str(self._version))


def engine_and_series(version: str) -> dict[str, str]:
    """The fingerprint of a server by what `version()` returns."""
    series = ".".join(version.split("-", 1)[0].split(".")[:2])
    return {"engine": "mariadb" if "MariaDB" in version else "mysql", "version": series}


class MariaReader:
    """See `migrate.stores.port.SourceReader`. A key value that its column's type cannot hold (0000-00-00) is given as text."""

    def __init__(self, source: MariaSource, connection: sa.Connection) -> None:
        self._relation = source.relation
        self._estimated_rows = source.shape.rows
        self._where = source.where
        self._connection = connection
        self._raw = driver_connection(connection)
        try:
            with mariadb_faults(self._where):
                # One statement: a second one could fall into another snapshot.
                self._raw.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        except BaseException:
            self.close()
            raise

    def border(self, columns: tuple[str, ...], after: Key | None, rows: int) -> Key | None:
        """The key `rows` rows behind `after`, or None."""
        described = [self._relation.column(name) for name in columns]
        readout = Readout(described, _ALIAS)
        predicate = compiled(ORDERING.between(self._key_columns(columns), after, None))
        sql = (
            f"SELECT {readout.select_list} FROM {self._relation.sql} AS {_ALIAS} WHERE {predicate} "
            f"ORDER BY {self._sorted_by(columns)} LIMIT {rows - 1}, 1"
        )
        for arrays in self._chunks(sql, _WHOLE):
            batch = readout.convert(arrays)
            told = batch.column(ANOMALY)[0].as_py()
            if told is not None and any(array[0].is_valid for array in arrays[len(columns) :]):
                raise DataError(f"a key cannot be read: {told}", where=self._where, next_step="declare another key")
            return tuple(_key_value(column, array) for column, array in zip(described, arrays, strict=False))
        return None

    def read(
        self, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, columns: tuple[str, ...] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows of the range, sorted by `order`, in one statement."""
        predicate = compiled(ORDERING.in_range(self._key_columns(key_range.columns), key_range))
        yield from self._rows(self._chosen(columns), f"WHERE {predicate}", order, chunk_bytes)

    def pick(
        self, by: tuple[str, ...], keys: Sequence[Key], order: tuple[str, ...], columns: tuple[str, ...] | None = None
    ) -> pa.Table:
        """All rows whose `by` equals one of `keys`, NULL being equal to NULL."""
        chosen = self._chosen(columns)
        schema = Readout(chosen, _ALIAS).schema
        if not keys:
            return schema.empty_table()
        return pa.Table.from_batches(self._rows(chosen, f"WHERE {self._any_key(by, keys)}", order, _WHOLE), schema)

    def scan(self, columns: tuple[str, ...], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        """The whole relation as the server finds it."""
        yield from self._rows(self._chosen(columns), "", (), chunk_bytes)

    def lookup(self, columns: tuple[str, ...]) -> pa.Table:
        """The whole relation, only `columns` and the anomaly."""
        chosen = self._chosen(columns)
        return pa.Table.from_batches(self._rows(chosen, "", (), _WHOLE), Readout(chosen, _ALIAS).schema)

    def stored(self) -> StoredRelation:
        """The relation, for the expressions of `beside` and `ask`."""
        columns = tuple(stored_column(column, _ALIAS) for column in self._relation.columns)
        return StoredRelation("mariadb", self._relation.sql, _ALIAS, columns, self._estimated_rows)

    def origin(self) -> Origin:
        """The relation, for sums of its own."""
        stored = self.stored()
        return Origin("mariadb", stored.sql, stored.alias, stored.columns)

    def beside(
        self, expression: str, columns: tuple[str, ...], origin: str, tail: str
    ) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
        """Rows of `origin` as `read` has them, and beside each the bytes of `expression`."""
        readout = Readout(self._chosen(columns), _ALIAS)
        sql = f"SELECT {expression}, {readout.select_list} FROM {origin} AS {_ALIAS} {tail}"
        for encoded, *arrays in self._chunks(sql, _WHOLE):
            yield encoded, readout.convert(arrays)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a small result, in the reader's snapshot."""
        with mariadb_faults(self._where):
            return wire.rows_of(self._raw, statement)

    def now(self) -> str:
        """The server's clock in UTC."""
        with mariadb_faults(self._where):
            [(now,)] = wire.rows_of(self._raw, "SELECT date_format(utc_timestamp(6), '%Y-%m-%dT%H:%i:%s.%f+00:00')")
        return str(now)

    def close(self) -> None:
        """Free the connection; safe to call twice."""
        self._connection.close()

    def _chosen(self, names: tuple[str, ...] | None) -> Sequence[MariaColumn]:
        return self._relation.columns if names is None else [self._relation.column(name) for name in names]

    def _rows(
        self, columns: Sequence[MariaColumn], where: str, order: tuple[str, ...], chunk_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        readout = Readout(columns, _ALIAS)
        sorting = f" ORDER BY {self._sorted_by(order)}" if order else ""
        sql = f"SELECT {readout.select_list} FROM {self._relation.sql} AS {_ALIAS} {where}{sorting}"
        for arrays in self._chunks(sql, chunk_bytes):
            yield readout.convert(arrays)

    def _chunks(self, sql: str, chunk_bytes: int) -> Iterator[list[pa.Array]]:
        with mariadb_faults(self._where), closing(wire.stream(self._raw, sql, chunk_bytes)) as chunks:
            yield from chunks

    def _source(self, name: str) -> str:
        source = f"{_ALIAS}.{quoted(name)}"
        as_text = self._relation.column(name).declared.data_type.lower() in _COMPARED_AS_TEXT
        return f"CONCAT({source})" if as_text else source

    def _sorted_by(self, names: tuple[str, ...]) -> str:
        return ", ".join(self._source(name) for name in names)

    def _key_columns(self, names: tuple[str, ...]) -> list[KeyColumn]:
        return [
            KeyColumn(sa.literal_column(self._source(name)), self._relation.column(name).column.nullable)
            for name in names
        ]

    def _any_key(self, columns: tuple[str, ...], keys: Sequence[Key]) -> str:
        if len(columns) == 1:
            values = ", ".join(key_sql(key[0]) for key in keys if key[0] is not None)
            arms = [f"{self._source(columns[0])} IN ({values})"] if values else []
            arms += [f"{self._source(columns[0])} IS NULL"] if any(key[0] is None for key in keys) else []
            return " OR ".join(arms)
        names = [self._source(name) for name in columns]
        return " OR ".join(
            "(" + " AND ".join(f"{name} <=> {key_sql(value)}" for name, value in zip(names, key, strict=True)) + ")"
            for key in dict.fromkeys(keys)
        )


def _key_value(column: MariaColumn, raw: pa.Array) -> KeyValue:
    """The exact value of a key; a text where the column's type has no room for it."""
    values, bad = converted_values(column, raw)
    if bad is not None and bad[0].as_py():
        return bytes(raw[0].as_buffer()).decode()
    value = values[0].as_py()
    if column.column.type.wide and value is not None:
        return int(value)
    result: KeyValue = value
    return result
