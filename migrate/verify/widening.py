"""Stored values in the types that two tables have in common: nothing is lost, and equal numbers become equal texts."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.checksum.hashing import decimal_texts
from migrate.values import LogicalType

INT64_DIGITS: Final = 19


def widened(rows: pa.Table, contract: Contract) -> pa.Table:
    """The contract's columns, each in its type (integers of int64 stay so)."""
    columns = contract.columns
    return pa.table([_values(rows[name], logical) for name, logical in columns], names=[name for name, _ in columns])


def _values(values: pa.ChunkedArray, logical: LogicalType) -> pa.ChunkedArray:
    """A decimal of a smaller scale, an integer beside a decimal, or a narrow integer beside a wide one, in the type of both."""
    if logical.kind == "decimal" and pa.types.is_string(logical.arrow) and not pa.types.is_string(values.type):
        exact = values.cast(pa.decimal128(INT64_DIGITS, 0)) if pa.types.is_int64(values.type) else values
        texts = (decimal_texts(chunk) for chunk in exact.chunks)
        return pa.chunked_array(texts, pa.string())
    if logical.kind == "decimal":
        return values if values.type == logical.arrow else values.cast(logical.arrow)
    return values if values.type == logical.arrow or pa.types.is_int64(values.type) else values.cast(logical.arrow)
