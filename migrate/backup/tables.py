"""The tables of a backup: what of each the mapping answers for, with all columns, and how whole rows are digested.

Rows are read as `verify` reads them, losslessly or not at all. A value that cannot be read so is never left out: its row is named, and there is no backup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.errors import DataError, InputError, UnknownTable
from migrate.mapping.columns import find_column
from migrate.mapping.expressions import ExpressionError
from migrate.mapping.model import Mapping, TargetTable
from migrate.mapping.scope import scope_sql
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, ROW_NUMBER, AbstractSnapshot, SourceReader, SourceStore
from migrate.stores.urls import redacted
from migrate.values import Column, LogicalType, SourceSpec, TableShape
from migrate.verify.unread import is_unreadable, split_unreadable
from migrate.write.scope import rows_in_scope

CHUNK_BYTES: Final = 2 * 2**20
"""Arrow bytes that are read at a time, and so about the size of a row group; several are in the hands of threads at once."""


@dataclass(frozen=True, slots=True)
class KeptTable:
    """One target table. `scope`: the rows that the mapping answers for, in DuckDB's SQL, or None for all; `contract` covers all columns of `shape`."""

    name: str
    key: tuple[str, ...]
    scope: str | None
    shape: TableShape
    contract: Contract

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of its rows."""
        return pa.schema([(column.name, column.type.arrow) for column in self.shape.columns])

    def perhaps_inside(self, broken: pa.Table) -> pa.Array:
        """Which of these rows, unreadable in part and with `ANOMALY`, are not outside of the scope for certain: a value that cannot be read may be any."""
        if self.scope is None:
            return pa.array([True] * broken.num_rows, pa.bool_())
        named = [name for name in self.shape.names if name in self.scope]
        inside = rows_in_scope(broken.drop_columns([ANOMALY]), self.scope).to_pylist()
        rows = zip(inside, broken.select([*named, ANOMALY]).to_pylist(), strict=True)
        return pa.array(
            [known or any(is_unreadable(name, row[name], row[ANOMALY]) for name in named) for known, row in rows],
            pa.bool_(),
        )


class KeptRows:
    """Reads the rows of one table that the mapping answers for. `table` says how they look."""

    def __init__(self, target: TargetTable, url: str) -> None:
        try:
            self.store: SourceStore = open_source(SourceSpec(url=url, table=target.table, key=tuple(target.key)))
        except UnknownTable as error:
            error.where = f"{redacted(url)} (targets → {target.table})"
            raise
        self.table = _kept(target, self.store.shape)

    def chunks(self, snapshot: AbstractSnapshot | None = None) -> Iterator[pa.RecordBatch]:
        """All of the table, with `ANOMALY`, in chunks of about `CHUNK_BYTES`; which of it is inside of the scope, `split` tells."""
        reader: SourceReader = self.store.reader(snapshot)
        try:
            yield from reader.scan(self.table.shape.names, CHUNK_BYTES)
        finally:
            reader.close()

    def split(self, chunk: pa.RecordBatch) -> tuple[pa.Table, pa.Table]:
        """The rows inside of the scope, and those that may be inside and cannot be read without loss, with `ANOMALY`. Any thread may call it."""
        rows, broken = split_unreadable(pa.Table.from_batches([chunk]))
        inside = rows.drop_columns([ANOMALY])
        if self.table.scope is not None:
            inside = inside.filter(rows_in_scope(inside, self.table.scope))
        return inside, broken.filter(self.table.perhaps_inside(broken)) if broken.num_rows else broken


def kept_rows(mapping: Mapping, url: str) -> list[KeptRows]:
    """Readers of the mapping's target tables, as the mapping has them. Raises InputError for a table or column that is not there."""
    return [KeptRows(target, url) for target in mapping.targets]


def _kept(target: TargetTable, shape: TableShape) -> KeptTable:
    columns = tuple(column for column in shape.columns if column.name != ROW_NUMBER)
    shape = TableShape(target.table, columns, shape.unique_keys, shape.foreign_keys)
    key = tuple(_exact(shape, name) for name in target.key)
    contract = Contract(tuple((column.name, _digested(column)) for column in columns), key)
    return KeptTable(target.table, key, _scope(target, shape), shape, contract)


def _scope(target: TargetTable, shape: TableShape) -> str | None:
    if target.scope is None:
        return None
    try:
        return scope_sql(target.scope, {name.lower(): name for name in shape.names})
    except (ExpressionError, KeyError) as error:
        raise InputError(
            f"the scope of {target.table} cannot be meant: {error}", next_step="migrate check names all mistakes"
        ) from error


def _exact(shape: TableShape, name: str) -> str:
    found = find_column(shape, name)
    if found is None:
        raise InputError(
            f"table {shape.name} has no column {name}, which is its key", next_step="migrate check names all mistakes"
        )
    return found.name


def _digested(column: Column) -> LogicalType:
    """What decides the digest of a column: what is held as text counts as this very text, so that nothing but the same text is the same."""
    if column.type.kind != "text" and pa.types.is_string(column.type.arrow):
        return LogicalType("text")
    return column.type


def fitted(rows: pa.Table, columns: Sequence[Column]) -> pa.Table:
    """The same values in the Arrow types of these columns, in their order. Raises DataError where one does not fit."""
    schema = pa.schema([(column.name, column.type.arrow) for column in columns])
    try:
        return rows.select(schema.names).cast(schema)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"a value does not fit the columns of the table any more: {error}",
            where=f"columns {', '.join(schema.names)}",
            next_step="put the columns back as they were when the backup was made",
        ) from error
