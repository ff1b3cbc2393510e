"""Writes to SQLite through one connection, rows and ledger in one transaction, begun as BEGIN IMMEDIATE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import pyarrow as pa
import sqlalchemy as sa

from migrate.errors import DataError
from migrate.stores.port import ORDINAL, Backend
from migrate.stores.sqlite_adbc import Connection, Error
from migrate.stores.sqlite_bind import check_rows, storable, unstorable_keys
from migrate.stores.sqlite_errors import sqlite_faults
from migrate.stores.sqlite_select import Query, Selection, reading_of
from migrate.stores.sqlite_shape import quoted, row_id_name
from migrate.values import Column, LogicalType, TableShape

_STAGE: Final = "temp.migrate_stage"
_BATCH_ROWS: Final = 4096
_CHUNK_BYTES: Final = 1 << 26


def driver_connection(connection: sa.Connection) -> Connection:
    """The connection under one of SQLAlchemy's."""
    return cast("Connection", connection.connection.driver_connection)


class SqliteSession:
    """See `migrate.stores.port.TargetSession`."""

    def __init__(self, connection: sa.Connection, where: str) -> None:
        self._sql = connection
        self._raw = driver_connection(connection)
        self._where = where

    def begin(self) -> None:
        """Take the write lock."""
        with sqlite_faults(self._where):
            self._raw.begin()

    def commit(self) -> None:
        """Commit; the transaction is still open when that fails."""
        with sqlite_faults(self._where):
            self._raw.commit()
            self._sql.commit()

    def rollback(self) -> None:
        """Roll back the whole transaction."""
        with sqlite_faults(self._where):
            self._raw.rollback()
            self._sql.rollback()

    def savepoint(self, name: str) -> None:
        """Set a savepoint; one of the same name set earlier is out of reach from now on."""
        with sqlite_faults(self._where):
            self._raw.run(f"SAVEPOINT {quoted(name)}")

    def rollback_to(self, name: str) -> None:
        """Back to the savepoint, which stays set."""
        with sqlite_faults(self._where):
            self._raw.run(f"ROLLBACK TO {quoted(name)}")

    def execute(self, statement: sa.Executable) -> Sequence[tuple[Any, ...]]:
        """Run one statement of SQLAlchemy Core."""
        with sqlite_faults(self._where):
            result = self._sql.execute(statement)
            return [tuple(row) for row in result.fetchall()] if result.returns_rows else ()

    def insert(self, table: TableShape, rows: pa.Table) -> None:
        """Check, then append."""
        check_rows(table, rows)
        columns = [table.column(name) for name in rows.column_names]
        names = ", ".join(quoted(column.name) for column in columns)
        marks = ", ".join("?" for _ in columns)
        with sqlite_faults(table.name):
            self._raw.write_rows(
                f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})", storable(columns, rows)
            )

    def fetch(
        self,
        table: TableShape,
        by: tuple[str, ...],
        keys: pa.Table,
        *,
        lock: bool,
        columns: tuple[str, ...] | None = None,
    ) -> pa.Table:
        """Stored rows equal to `keys` under the columns' own collations; the write lock is held anyway."""
        del lock
        chosen = [table.column(name) for name in columns or table.names]
        readings = [reading_of(column, f"t.{quoted(column.name)}", stored=True) for column in chosen]
        selection = Selection(readings, ordinal=(ORDINAL, "k.n"))
        with sqlite_faults(table.name):
            self._stage([table.column(name) for name in by], keys)
            tail = f"FROM {_STAGE} AS k CROSS JOIN {quoted(table.name)} AS t ON {_matching(by)} ORDER BY k.n"
            batches = list(selection.batches(self._raw, Query(tail), _BATCH_ROWS, _CHUNK_BYTES))
            self._raw.run(f"DROP TABLE {_STAGE}")
        return pa.Table.from_batches(batches, selection.schema)

    def update(self, table: TableShape, by: tuple[str, ...], rows: pa.Table) -> None:
        """Set all other columns where `by` matches, exactly once each."""
        check_rows(table, rows)
        others = [name for name in rows.column_names if name not in by]
        with sqlite_faults(table.name):
            self._stage([table.column(name) for name in (*by, *others)], rows)
            self._match_once(table, by, rows.num_rows)
            settings = ", ".join(f"{quoted(name)} = k.c{number}" for number, name in enumerate(others, len(by)))
            self._raw.run(f"UPDATE {quoted(table.name)} AS t SET {settings} FROM {_STAGE} AS k WHERE {_matching(by)}")
            self._changed(table, rows.num_rows, "updated")

    def delete(self, table: TableShape, by: tuple[str, ...], keys: pa.Table) -> None:
        """Delete the rows with these keys, exactly one each."""
        with sqlite_faults(table.name):
            self._stage([table.column(name) for name in by], keys)
            self._match_once(table, by, keys.num_rows)
            identity = self._identity(table)
            found = f"SELECT {identity} FROM {_STAGE} AS k CROSS JOIN {quoted(table.name)} AS t ON {_matching(by)}"
            self._raw.run(f"DELETE FROM {quoted(table.name)} AS t WHERE ({identity}) IN ({found})")
            self._changed(table, keys.num_rows, "deleted")

    def backend(self) -> Backend:
        """SQLite has no backends: a process that died holds no lock."""
        return Backend(None, None)

    def end_backend(self, backend: Backend) -> bool:
        """Nothing can be ended."""
        del backend
        return False

    def close(self) -> None:
        """Roll back what is open and free the connection; safe to call twice."""
        try:
            self._raw.rollback()
        except Error:
            pass  # the file is out of reach; closing frees its locks all the same
        finally:
            self._sql.close()

    def _stage(self, columns: Sequence[Column], rows: pa.Table) -> None:
        """Put `rows` into a temporary table with their position as `n`; keys that no row can have are left out."""
        self._raw.run(f"DROP TABLE IF EXISTS {_STAGE}")
        names = ", ".join(f"c{number}" for number in range(len(columns)))
        self._raw.run(f"CREATE TEMP TABLE migrate_stage (n INTEGER PRIMARY KEY, {names})")
        ordinals = pa.chunked_array([pa.array(range(rows.num_rows), pa.int64())])
        number = Column("position of the row", LogicalType("integer"))
        numbered = rows.select([column.name for column in columns]).add_column(0, number.name, ordinals)
        impossible = unstorable_keys(columns, numbered)
        kept = numbered if impossible is None else numbered.filter(pa.compute.invert(impossible))
        marks = ", ".join("?" for _ in range(len(columns) + 1))
        self._raw.write_rows(f"INSERT INTO {_STAGE} VALUES ({marks})", storable([number, *columns], kept))

    def _match_once(self, table: TableShape, by: tuple[str, ...], expected: int) -> None:
        """Raise DataError unless each staged key has exactly one row, and no two the same."""
        join = f"FROM {_STAGE} AS k CROSS JOIN {quoted(table.name)} AS t ON {_matching(by)}"
        [(pairs, keys)] = self._raw.run(f"SELECT count(*), count(DISTINCT k.n) {join}")
        if (pairs, keys) != (expected, expected):
            raise DataError(
                f"{keys} of {expected} keys were found, in {pairs} rows: each must have exactly one", where=table.name
            )

    def _identity(self, table: TableShape) -> str:
        """What tells the rows of a table apart and is never NULL: the row id, or the primary key WITHOUT ROWID."""
        try:
            self._raw.run(f"SELECT rowid FROM {quoted(table.name)} LIMIT 0")
        except Error:
            return ", ".join(f"t.{quoted(name)}" for name in table.primary_key)
        return f"t.{row_id_name(table)}"

    def _changed(self, table: TableShape, expected: int, what: str) -> None:
        [(changed,)] = self._raw.run("SELECT changes()")
        if changed != expected:
            raise DataError(f"{changed} rows were {what} instead of {expected}", where=table.name)


def _matching(by: tuple[str, ...]) -> str:
    """The column stands on the left, so that its collation and affinity decide; NULL equals NULL."""
    return " AND ".join(f"t.{quoted(name)} IS k.c{number}" for number, name in enumerate(by))
