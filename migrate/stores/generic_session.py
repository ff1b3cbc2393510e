"""A writing connection to any database: rows one by one through SQLAlchemy, checked before and counted after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from migrate.errors import DataError, EnvironmentFault, MigrateError
from migrate.stores.fits import check_fits
from migrate.stores.generic_errors import generic_faults
from migrate.stores.generic_table import GenericTable
from migrate.stores.port import ORDINAL, Backend
from migrate.values import TableShape


class GenericSession:
    """Implements `TargetSession`."""

    def __init__(self, connection: sa.Connection, table_of: Callable[[TableShape], GenericTable], where: str) -> None:
        self._connection = connection
        self._table_of = table_of
        self._where = where
        self._transaction: sa.RootTransaction | None = None
        self._savepoints: list[tuple[str, sa.NestedTransaction]] = []

    def begin(self) -> None:
        """Start a transaction, with whatever lock wait the database has."""
        with generic_faults(self._where):
            self._transaction = self._connection.begin()
        self._savepoints = []

    def commit(self) -> None:
        """Commit; ConnectionLost means that the outcome is unknown."""
        transaction, self._transaction, self._savepoints = self._transaction, None, []
        if transaction is None or not transaction.is_active:
            if transaction is not None:
                transaction.rollback()
            raise EnvironmentFault("the transaction had failed, so nothing was committed", where=self._where)
        with generic_faults(self._where):
            transaction.commit()

    def rollback(self) -> None:
        """Roll back the whole transaction; a lost connection has done so already."""
        transaction, self._transaction, self._savepoints = self._transaction, None, []
        if transaction is None:
            return
        try:
            with generic_faults(self._where):
                transaction.rollback()
        except MigrateError:
            self._connection.invalidate()

    def savepoint(self, name: str) -> None:
        """Set a savepoint; an existing one of the name is replaced."""
        with generic_faults(self._where):
            if self._savepoints and self._savepoints[-1][0] == name:
                self._savepoints.pop()[1].commit()
            self._savepoints.append((name, self._connection.begin_nested()))

    def rollback_to(self, name: str) -> None:
        """Back to the savepoint, which stays set; the transaction can go on."""
        with generic_faults(self._where):
            while self._savepoints:
                found, nested = self._savepoints.pop()
                nested.rollback()
                if found == name:
                    self._savepoints.append((name, self._connection.begin_nested()))
                    return
        raise EnvironmentFault(f"there is no savepoint {name}", where=self._where)

    def execute(self, statement: sa.Executable) -> Sequence[tuple[Any, ...]]:
        """Run one SQLAlchemy Core statement."""
        with generic_faults(self._where):
            result = self._connection.execute(statement)
            return [tuple(row) for row in result] if result.returns_rows else ()

    def insert(self, table: TableShape, rows: pa.Table) -> None:
        """Append `rows` exactly as given, or raise ConstraintViolation."""
        check_fits(table, rows)
        if rows.num_rows == 0:
            return
        target = self._table_of(table)
        with generic_faults(f"{self._where}, table {table.name}"):
            self._connection.execute(sa.insert(target.table), target.rows(rows))

    def fetch(
        self,
        table: TableShape,
        by: tuple[str, ...],
        keys: pa.Table,
        *,
        lock: bool,
        columns: tuple[str, ...] | None = None,
    ) -> pa.Table:
        """Stored rows that the database holds equal to a row of `keys`; one statement per key, locks in the order of `keys`."""
        target = self._table_of(table)
        names = table.names if columns is None else columns
        ordinals: list[int] = []
        found: list[Sequence[Any]] = []
        for position, key in enumerate(zip(*(keys.column(name).to_pylist() for name in by), strict=True)):
            statement = sa.select(*target.selected(names)).select_from(target.table).where(target.equals(by, key))
            with generic_faults(self._where):
                rows = self._connection.execute(statement.with_for_update() if lock else statement).all()
            found += rows
            ordinals += [position] * len(rows)
        stored = pa.Table.from_batches([target.batch(names, found)])
        return stored.add_column(0, pa.field(ORDINAL, pa.int64()), pa.array(ordinals, pa.int64()))

    def update(self, table: TableShape, by: tuple[str, ...], rows: pa.Table) -> None:
        """Set all other columns of `rows` where `by` matches, each row exactly once."""
        check_fits(table, rows)
        target = self._table_of(table)
        others = [name for name in rows.column_names if name not in by]
        raw = {name: rows.column(name).to_pylist() for name in by}
        for position, values in enumerate(target.rows(rows)):
            key = [raw[name][position] for name in by]
            typed = {target.columns[name]: sa.literal(values[name], sa.types.NullType()) for name in others}
            self._change_once(sa.update(target.table).where(target.equals(by, key)).values(typed), table)

    def delete(self, table: TableShape, by: tuple[str, ...], keys: pa.Table) -> None:
        """Delete the rows with these keys, each exactly once."""
        target = self._table_of(table)
        for key in zip(*(keys.column(name).to_pylist() for name in by), strict=True):
            self._change_once(sa.delete(target.table).where(target.equals(by, key)), table)

    def backend(self) -> Backend:
        """Unknown."""
        return Backend(None, None)

    def end_backend(self, backend: Backend) -> bool:
        """No dialect-neutral way to end another connection exists."""
        del backend
        return False

    def close(self) -> None:
        """Free the connection, rolling back what is open."""
        self.rollback()
        self._connection.close()

    def _change_once(self, statement: sa.Update | sa.Delete, table: TableShape) -> None:
        with generic_faults(f"{self._where}, table {table.name}"):
            changed = self._connection.execute(statement).rowcount
        if changed != 1:
            raise DataError(f"a key matched {changed} rows instead of one", where=table.name)
