"""Statements on one table of any SQLAlchemy dialect, with its values neither processed nor rounded by SQLAlchemy's types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from migrate.stores.generic_values import from_driver, to_driver
from migrate.stores.port import ANOMALY
from migrate.stores.predicates import KeyColumn
from migrate.values import KeyValue, TableShape

_AS_TEXT: Final = ("json", "unsupported")


class GenericTable:
    """The table behind `shape` in a database of `dialect`."""

    def __init__(self, reflected: sa.Table, shape: TableShape, dialect: str) -> None:
        self.shape = shape
        self.dialect = dialect
        # NullType: what the driver gives is what we see, and what we bind is what the driver gets.
        self.columns: dict[str, sa.ColumnClause[Any]] = {name: sa.column(name) for name in shape.names}
        self.table = sa.table(reflected.name, *self.columns.values(), schema=reflected.schema)

    def selected(self, names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
        """The expressions that read these columns; documents and unknown types as the database's own text."""
        return [
            sa.cast(self.columns[name], sa.Text()).label(name)
            if self.shape.column(name).type.kind in _AS_TEXT
            else self.columns[name]
            for name in names
        ]

    def key_columns(self, names: Sequence[str]) -> list[KeyColumn]:
        """Columns for predicates."""
        return [KeyColumn(self.columns[name], self.shape.column(name).nullable) for name in names]

    def equals(self, names: Sequence[str], values: Sequence[KeyValue]) -> sa.ColumnElement[bool]:
        """True for rows whose columns are those values, NULL being equal to NULL."""
        return sa.and_(
            *(
                self.columns[name].is_(None)
                if value is None
                else self.columns[name] == sa.literal(self.bound(name, value), sa.types.NullType())
                for name, value in zip(names, values, strict=True)
            )
        )

    def bound(self, name: str, value: Any) -> Any:
        """A value as the driver binds it for that column."""
        return to_driver(value, self.shape.column(name).type, self.dialect)

    def schema(self, names: Sequence[str]) -> pa.Schema:
        """Arrow schema of these columns, then `ANOMALY`."""
        fields = [pa.field(name, self.shape.column(name).type.arrow) for name in names]
        return pa.schema([*fields, pa.field(ANOMALY, pa.string())])

    def batch(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> pa.RecordBatch:
        """Rows of `selected(names)` in exact types; what has no exact value is NULL and named in `ANOMALY`."""
        types = [self.shape.column(name).type for name in names]
        values: list[list[Any]] = [[] for _ in names]
        anomalies: list[str | None] = []
        for row in rows:
            reasons = []
            for name, logical, column, value in zip(names, types, values, row, strict=True):
                try:
                    column.append(from_driver(value, logical))
                except ValueError as error:
                    column.append(None)
                    reasons.append(f"{name} cannot be held: {error}")
            anomalies.append("; ".join(reasons) or None)
        arrays = [pa.array(column, logical.arrow) for column, logical in zip(values, types, strict=True)]
        return pa.RecordBatch.from_arrays([*arrays, pa.array(anomalies, pa.string())], schema=self.schema(names))

    def rows(self, data: pa.Table) -> list[dict[str, Any]]:
        """Rows as the driver binds them."""
        columns = {
            name: [self.bound(name, value) for value in data.column(name).to_pylist()] for name in data.column_names
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
