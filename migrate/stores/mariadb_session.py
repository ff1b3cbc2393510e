"""Writes to MariaDB through one connection: rows and ledger in one transaction, strictly, under READ COMMITTED."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import sqlalchemy as sa

from migrate.errors import DataError
from migrate.stores import mariadb_wire as wire
from migrate.stores.casting import either
from migrate.stores.fits import misfits
from migrate.stores.mariadb_connection import driver_connection
from migrate.stores.mariadb_errors import mariadb_faults
from migrate.stores.mariadb_load import Loader, check_rows
from migrate.stores.mariadb_select import Readout
from migrate.stores.mariadb_shape import Relation, describe_table, literal, quoted, quoted_table
from migrate.stores.port import ORDINAL, Backend
from migrate.values import Column, LogicalType, TableShape

_STAGE: Final = "migrate_stage"
_NUMBER: Final = Column("n", LogicalType("integer", low=0, high=2**63 - 1), nullable=False, declared="bigint")
_CHUNK_BYTES: Final = 1 << 24
_END_SECONDS: Final = 10
_NO_SUCH_THREAD: Final = 1094
_NOT_OWNER: Final = 1095


class MariaSession:
    """See `migrate.stores.port.TargetSession`. A connection is told from later ones of the same number by a lock that only it holds."""

    def __init__(self, connection: sa.Connection, where: str) -> None:
        self._sql = connection
        self._raw = driver_connection(connection)
        self._where = where
        self._token = f"migrate:{uuid.uuid4().hex}"
        self._relations: dict[str, Relation] = {}
        try:
            with mariadb_faults(where):
                [(self._number, _)] = wire.rows_of(self._raw, f"SELECT connection_id(), get_lock('{self._token}', 0)")
                self._loader = Loader(self._raw)
                self._raw.rollback()
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Start a transaction; lock waits are bounded by the session's settings."""
        self._run("START TRANSACTION")

    def commit(self) -> None:
        """Commit; ConnectionLost means that the outcome is unknown."""
        self._run("COMMIT")
        self._sql.commit()

    def rollback(self) -> None:
        """Roll back the whole transaction; never raises for one that is already gone."""
        if self._sql.closed:
            return
        try:
            self._raw.rollback()
            self._sql.rollback()
        except (pymysql.MySQLError, sa.exc.DBAPIError):
            # The server has rolled back what a lost connection left open.
            self._sql.invalidate()

    def savepoint(self, name: str) -> None:
        """Set a savepoint; an existing one of the name is replaced."""
        self._run(f"SAVEPOINT {quoted(name)}")

    def rollback_to(self, name: str) -> None:
        """Back to the savepoint, which stays set."""
        self._run(f"ROLLBACK TO SAVEPOINT {quoted(name)}")

    def execute(self, statement: sa.Executable) -> Sequence[tuple[Any, ...]]:
        """Run one statement of SQLAlchemy Core."""
        with mariadb_faults(self._where):
            result = self._sql.execute(statement)
            return [tuple(row) for row in result.fetchall()] if result.returns_rows else ()

    def insert(self, table: TableShape, rows: pa.Table) -> None:
        """Check what the server would change in silence, then append."""
        check_rows(table, rows)
        columns = [table.column(name) for name in rows.column_names]
        with mariadb_faults(table.name):
            self._loader.load(quoted_table(table.name), rows.column_names, columns, rows)

    def fetch(
        self,
        table: TableShape,
        by: tuple[str, ...],
        keys: pa.Table,
        *,
        lock: bool,
        columns: tuple[str, ...] | None = None,
    ) -> pa.Table:
        """Stored rows equal to `keys` under the columns' own collations; with `lock`, locked in the order of the keys."""
        with mariadb_faults(table.name):
            relation = self._relation(table)
            readout = Readout([relation.column(name) for name in columns or table.names], "t")
            self._stage([table.column(name) for name in by], keys)
            order = ", ".join(f"k.c{number}" for number in range(len(by)))
            sql = (
                f"SELECT k.n, {readout.select_list} FROM {_STAGE} AS k STRAIGHT_JOIN {quoted_table(table.name)} AS t "
                f"ON {_matching(table, by)} ORDER BY {order}{' FOR UPDATE' if lock else ''}"
            )
            batches = [
                readout.convert(arrays).add_column(0, ORDINAL, arrays_first.cast(pa.string()).cast(pa.int64()))
                for arrays_first, *arrays in wire.stream(self._raw, sql, _CHUNK_BYTES)
            ]
            self._unstage()
        schema = readout.schema.insert(0, pa.field(ORDINAL, pa.int64()))
        return pa.Table.from_batches(batches, schema)

    def update(self, table: TableShape, by: tuple[str, ...], rows: pa.Table) -> None:
        """Set all other columns where `by` matches, exactly once each."""
        check_rows(table, rows)
        others = [name for name in rows.column_names if name not in by]
        settings = ", ".join(f"t.{quoted(name)} = k.c{number}" for number, name in enumerate(others, len(by)))
        with mariadb_faults(table.name):
            self._stage([table.column(name) for name in (*by, *others)], rows, keys=len(by))
            self._match_once(table, by, rows.num_rows)
            done = wire.run(
                self._raw,
                f"UPDATE {_STAGE} AS k STRAIGHT_JOIN {quoted_table(table.name)} AS t ON {_matching(table, by)} SET {settings}",
            )
            # The client counts found rows, so a row that already had these values counts too.
            self._changed(table, done.affected, rows.num_rows, "updated")
            self._unstage()

    def delete(self, table: TableShape, by: tuple[str, ...], keys: pa.Table) -> None:
        """Delete the rows with these keys, exactly one each."""
        with mariadb_faults(table.name):
            self._stage([table.column(name) for name in by], keys)
            self._match_once(table, by, keys.num_rows)
            done = wire.run(
                self._raw,
                f"DELETE t FROM {_STAGE} AS k STRAIGHT_JOIN {quoted_table(table.name)} AS t ON {_matching(table, by)}",
            )
            self._changed(table, done.affected, keys.num_rows, "deleted")
            self._unstage()

    def backend(self) -> Backend:
        """The connection's number, and the name of the lock that it alone holds."""
        return Backend(str(self._number), self._token)

    def end_backend(self, backend: Backend) -> bool:
        """Kill that connection if it still holds its lock, and wait until it has let go of it."""
        if backend.id is None or backend.start is None:
            return False
        token = literal(backend.start)
        with mariadb_faults(self._where):
            [(holder,)] = wire.rows_of(self._raw, f"SELECT is_used_lock({token})")
            if holder is None or str(holder) != backend.id:
                return False
            try:
                wire.run(self._raw, f"KILL CONNECTION {int(backend.id)}")
            except pymysql.MySQLError as error:
                if error.args[0] in {_NO_SUCH_THREAD, _NOT_OWNER}:
                    return False
                raise
            [(gone,)] = wire.rows_of(self._raw, f"SELECT get_lock({token}, {_END_SECONDS})")
            if gone:
                wire.rows_of(self._raw, f"SELECT release_lock({token})")
        return bool(gone)

    def close(self) -> None:
        """Roll back what is open and free the connection; safe to call twice."""
        if self._raw is not None and self._raw.open:
            self.rollback()
        self._sql.close()

    def _run(self, sql: str) -> None:
        with mariadb_faults(self._where):
            wire.run(self._raw, sql)

    def _relation(self, table: TableShape) -> Relation:
        """How the table's columns are stored, character sets included."""
        if table.name not in self._relations:
            described = describe_table(self._raw, table.name, writing=False)
            if described is None:
                raise DataError(f"the table {table.name} is gone")
            self._relations[table.name] = described[0]
        return self._relations[table.name]

    def _stage(self, columns: Sequence[Column], rows: pa.Table, *, keys: int | None = None) -> None:
        """Put `rows` into a temporary table with their position as `n` and the first `keys` columns typed and collated as the table's.

        Keys that cannot be stored, and so cannot be there, are left out. CREATE and DROP TEMPORARY TABLE do not commit; TRUNCATE would.
        """
        self._unstage()
        definitions = ", ".join(f"c{number} {_definition(column)}" for number, column in enumerate(columns))
        wire.run(self._raw, f"CREATE TEMPORARY TABLE {_STAGE} (n BIGINT NOT NULL, {definitions}) ENGINE=InnoDB")
        selected = rows.select([column.name for column in columns])
        position = pa.array(range(rows.num_rows), pa.int64())
        impossible = _impossible(columns[:keys], selected)
        numbered = selected.add_column(0, "position of the row", pa.chunked_array([position]))
        kept = numbered if impossible is None else numbered.filter(pc.invert(impossible))
        names = ["n", *(f"c{number}" for number in range(len(columns)))]
        self._loader.load(_STAGE, names, [_NUMBER, *columns], kept)

    def _unstage(self) -> None:
        wire.run(self._raw, f"DROP TEMPORARY TABLE IF EXISTS {_STAGE}")

    def _match_once(self, table: TableShape, by: tuple[str, ...], expected: int) -> None:
        """Lock the rows; raise DataError unless each staged key has exactly one."""
        counted = (
            f"SELECT count(*), count(DISTINCT k.n) FROM {_STAGE} AS k "
            f"STRAIGHT_JOIN {quoted_table(table.name)} AS t ON {_matching(table, by)} FOR UPDATE"
        )
        [(pairs, keys)] = wire.rows_of(self._raw, counted)
        if (pairs, keys) != (expected, expected):
            raise DataError(
                f"{keys} of {expected} keys were found, in {pairs} rows: each must have exactly one", where=table.name
            )

    def _changed(self, table: TableShape, changed: int, expected: int, what: str) -> None:
        if changed != expected:
            raise DataError(f"{changed} rows were {what} instead of {expected}", where=table.name)


def _definition(column: Column) -> str:
    """The column's type in the staging table: as declared, so that the index is used; an ENUM as text, for it would refuse other keys."""
    declared = column.declared
    if declared.lower().startswith(("enum", "set")):
        declared = "longtext"
    collation = f" COLLATE {column.collation}" if column.collation else ""
    return f"{declared}{collation} NULL"


def _matching(table: TableShape, by: tuple[str, ...]) -> str:
    """NULL equals NULL where there can be any; a plain comparison finds the index more surely."""
    return " AND ".join(
        f"t.{quoted(name)} {'<=>' if table.column(name).nullable else '='} k.c{number}"
        for number, name in enumerate(by)
    )


def _impossible(columns: Sequence[Column], keys: pa.Table) -> pa.Array | None:
    """Keys that no row of the table can have, as a mask, or None. Trailing spaces do not count: CHAR drops them on both sides."""
    found = None
    for column in columns:
        values = keys.column(column.name).combine_chunks()
        array = values.chunk(0) if isinstance(values, pa.ChunkedArray) and values.num_chunks else values
        if len(array):
            bad = misfits(replace(column.type, keeps_spaces=True), array)
            if column.type.kind == "float":
                bad = either(bad, pc.invert(pc.is_finite(array)).fill_null(False))
            found = either(found, bad)
    return found
