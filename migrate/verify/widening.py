"""Types that two tables have in common, and stored values in them: nothing is lost, and equal numbers become equal texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pyarrow as pa

from migrate.checksum.contract import Contract, encodable
from migrate.checksum.hashing import decimal_texts
from migrate.values import LogicalType

_INT64_DIGITS: Final = 19
_WIDE_DIGITS: Final = 38


def common_type(first: LogicalType, second: LogicalType) -> LogicalType | None:
    """The type in which values of both can be compared without losing anything; None where there is none."""
    if not (encodable(first) and encodable(second)):
        return None
    if {first.kind, second.kind} == {"integer", "decimal"}:
        first, second = _as_decimal(first), _as_decimal(second)
    if first.kind != second.kind:
        return None
    if first.kind == "decimal" and first != second:
        return _common_decimal(first, second)
    wider = first if first.wide else second
    return replace(wider, keeps_spaces=first.keeps_spaces and second.keeps_spaces)


def _as_decimal(logical: LogicalType) -> LogicalType:
    """An integer as the decimal without fraction that holds it; a decimal as it is."""
    if logical.kind == "decimal":
        return logical
    return LogicalType("decimal", precision=_WIDE_DIGITS if logical.wide else _INT64_DIGITS, scale=0)


def _common_decimal(first: LogicalType, second: LogicalType) -> LogicalType:
    """The scale of the finer one; where one has none, or both need more digits than a decimal128 has, numbers without a declared scale."""
    if not (first.exact_decimal and second.exact_decimal):
        return LogicalType("decimal")
    scale = max(first.scale or 0, second.scale or 0)
    whole = max((each.precision or 0) - (each.scale or 0) for each in (first, second))
    digits = whole + scale
    return LogicalType("decimal", precision=digits, scale=scale) if digits <= _WIDE_DIGITS else LogicalType("decimal")


def widened(rows: pa.Table, contract: Contract) -> pa.Table:
    """The contract's columns, each in its type (integers of int64 stay so)."""
    columns = contract.columns
    return pa.table([_values(rows[name], logical) for name, logical in columns], names=[name for name, _ in columns])


def _values(values: pa.ChunkedArray, logical: LogicalType) -> pa.ChunkedArray:
    """A decimal of a smaller scale, an integer beside a decimal, or a narrow integer beside a wide one, in the type of both."""
    if logical.kind == "decimal" and pa.types.is_string(logical.arrow) and not pa.types.is_string(values.type):
        exact = values.cast(pa.decimal128(_INT64_DIGITS, 0)) if pa.types.is_int64(values.type) else values
        texts = (decimal_texts(chunk) for chunk in exact.chunks)
        return pa.chunked_array(texts, pa.string())
    if logical.kind == "decimal":
        return values if values.type == logical.arrow else values.cast(logical.arrow)
    return values if values.type == logical.arrow or pa.types.is_int64(values.type) else values.cast(logical.arrow)
