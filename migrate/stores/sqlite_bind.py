"""Arrow values as SQLite is to store them: int64, double, text or blob, each checked first, since SQLite refuses nothing.

Decimals become canonical text (exactly their scale's digits), dates and times ISO text with six digits of a second, booleans 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from migrate.errors import ConstraintViolation
from migrate.stores.fits import check_fits, misfits, value_violation
from migrate.stores.sqlite_types import affinity
from migrate.values import Column, LogicalType, TableShape

_FORMATS: Final = {
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S%.6f",
    "timestamp": "%Y-%m-%d %H:%M:%S%.6f",
    "instant": "%Y-%m-%d %H:%M:%S%.6f+00:00",
}
_INT64: Final = LogicalType("integer", low=-(2**63), high=2**63 - 1)
_EXACT_DIGITS: Final = 15


def check_rows(table: TableShape, rows: pa.Table) -> None:
    """Raise ConstraintViolation for the first value that SQLite would store as something else, or that the column's declaration excludes."""
    check_fits(table, rows)
    for name in rows.column_names:
        column = table.column(name)
        if column.default_kind == "generated":
            raise ConstraintViolation(f"{name} is generated and cannot be written", kind="value", where=table.name)
        for chunk in rows.column(name).chunks:
            bad = _silently_changed(column, chunk)
            if bad is not None and pc.any(bad).as_py():
                raise value_violation(table, column, chunk.filter(bad.fill_null(False))[0])


def storable(columns: Iterable[Column], rows: pa.Table) -> pa.Table:
    """`rows` in the types that ADBC binds, in the order of `columns`; an integer beyond int64 becomes NULL (see `unstorable_keys`)."""
    frame = pl.DataFrame({column.name: _bound(column, rows.column(column.name)) for column in columns})
    table = frame.to_arrow()
    plain = [pa.field(item.name, _plain(item.type)) for item in table.schema]
    return table.cast(pa.schema(plain))


def unstorable_keys(columns: Iterable[Column], keys: pa.Table) -> pa.Array | None:
    """Keys that no stored row can have, as a mask: a value outside of int64 or NaN; or None."""
    found = None
    for column in columns:
        values = keys.column(column.name).combine_chunks()
        bad = misfits(_INT64, values) if column.type.kind == "integer" else None
        if pa.types.is_floating(values.type):
            bad = pc.is_nan(values).fill_null(False)
        found = bad if found is None else found if bad is None else pc.or_(found, bad)
    return found


def _silently_changed(column: Column, values: pa.Array) -> pa.Array | None:
    kind = column.type.kind
    if kind == "float":
        return pc.is_nan(values)  # SQLite stores NaN as NULL
    held = affinity(column.declared)
    if kind == "decimal" and held != "TEXT" and not column.type.exact_decimal:
        digits = pc.utf8_ltrim(pc.replace_substring_regex(values.cast(pa.string()), "[-.]", ""), "0")
        return pc.greater(pc.utf8_length(digits), _EXACT_DIGITS)
    if kind in {"uuid", "json", "unsupported"} and held in {"NUMERIC", "INTEGER", "REAL"}:
        # Text that looks like a number would become one.
        return pc.match_substring_regex(values, r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$")
    return None


def _bound(column: Column, values: pa.ChunkedArray) -> pl.Series:
    kind = column.type.kind
    if kind == "integer" and pa.types.is_decimal(values.type):
        outside = misfits(_INT64, values.combine_chunks())
        kept = values if outside is None else pc.if_else(outside, None, values)
        return pl.Series(column.name, kept.cast(pa.int64()))
    series = pl.Series(column.name, values)
    if kind == "boolean":
        return series.cast(pl.Int64)
    if kind in _FORMATS:
        return series.dt.to_string(_FORMATS[kind])
    if kind == "decimal" and series.dtype != pl.String:
        scale = column.type.scale
        exact = (
            series
            if scale is None or values.type.scale == scale
            else pl.Series(column.name, _rescaled(values, column.type))
        )
        return exact.cast(pl.String)
    return series


def _rescaled(values: pa.ChunkedArray, logical: LogicalType) -> pa.ChunkedArray:
    return values.cast(pa.decimal128(38, logical.scale))


def _plain(arrow: pa.DataType) -> pa.DataType:
    """Small offsets: ADBC's binding was tried with them."""
    if pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow):
        return pa.string()
    if pa.types.is_large_binary(arrow) or pa.types.is_binary_view(arrow):
        return pa.binary()
    return arrow
