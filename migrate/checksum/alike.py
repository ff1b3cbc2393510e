"""Which rows of two tables are the same, value by value: at a fraction of what their encodings cost, and never on the word of a hash.

Pure. It may miss rows that are the same (other spaces behind a padded text, two NaN). It never calls two rows the same of which `encoding` says
otherwise, or of which only one has an encoding; of two that have none it may.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.checksum.fields import canonical_texts, outside_of_calendar
from migrate.checksum.hashing import Mask, all_valid_utf8, either, invalid_utf8
from migrate.values import LogicalType

_WRITTEN: Final = frozenset({"uuid", "json"})


def same_rows(one: pa.Table, other: pa.Table, contract: Contract) -> Mask | None:
    """For each row of `one`, whether the row at its place in `other` is the same (None: all are): either both have one encoding, or neither has any.

    Both have the contract's columns in their Arrow types, and equally many rows. `without_encoding`, of one of them, tells which it is.
    """
    apart: Mask | None = None
    for name, logical in contract.columns:
        apart = either(apart, _apart(logical, _flat(one.column(name)), _flat(other.column(name))))
    return None if apart is None else ~apart


def without_encoding(rows: pa.Table, contract: Contract) -> Mask | None:
    """Which rows have no encoding (None: all have one)."""
    found: Mask | None = None
    for name, logical in contract.columns:
        found = either(found, _unencodable(logical, _flat(rows.column(name))))
    return found


def _apart(logical: LogicalType, one: pa.Array, other: pa.Array) -> Mask | None:
    """The rows of a column that are not the same (None: no row)."""
    if one.type != other.type:
        # Two widths of one type: whoever encodes them finds them equal.
        return np.ones(len(one), np.bool_)
    if one.equals(other):
        return None
    # NULL is decided on the raw values: a value without a canonical text is none.
    both_null = pc.and_(one.is_null(), other.is_null())
    if _is_written(logical, one):
        one, other = canonical_texts(logical, one), canonical_texts(logical, other)
    return ~_mask(pc.or_(pc.fill_null(pc.equal(one, other), False), both_null))


def _unencodable(logical: LogicalType, values: pa.Array) -> Mask | None:
    if _is_written(logical, values):
        texts = canonical_texts(logical, values)
        return None if texts.null_count == values.null_count else _mask(pc.and_(texts.is_null(), values.is_valid()))
    if logical.kind == "text":
        unknown = None if all_valid_utf8(values) else invalid_utf8(values)
        return None if unknown is None else unknown & _mask(values.is_valid())
    return outside_of_calendar(logical, values)


def _is_written(logical: LogicalType, values: pa.Array) -> bool:
    """Whether one value can be written in several ways, and a text be no value at all."""
    return logical.kind in _WRITTEN or (logical.kind == "decimal" and not pa.types.is_decimal(values.type))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _mask(flags: pa.BooleanArray) -> Mask:
    mask: Mask = flags.to_numpy(zero_copy_only=False)
    return mask
