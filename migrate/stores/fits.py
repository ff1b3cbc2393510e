"""Which values a column cannot store exactly as given, for databases that would store something else in silence.

SQLite takes anything anywhere; MariaDB rounds FLOAT, cuts fractions of a second and trailing spaces without an error. So
`insert` looks first. Pure and vectorised: one pass over each column, no Python object per row.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.errors import ConstraintViolation
from migrate.values import Column, LogicalType, TableShape

_BEYOND_BASIC_PLANE: Final = r"[\x{10000}-\x{10FFFF}]"
_PLAIN_DECIMAL: Final = r"^-?[0-9]+(\.[0-9]+)?$"
_SHOWN: Final = 80


def misfits(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    """A boolean array, true where `logical` cannot hold the value exactly, or None when all fit. NULL always fits.

    `values` is of `logical.arrow`, or of another Arrow type of the same kind (a decimal of another scale).
    """
    if values.null_count == len(values):
        return None
    found: pa.Array | None = None
    for rule in _RULES.get(logical.kind, ()):
        bad = rule(logical, values)
        if bad is not None and pc.any(bad).as_py():
            found = bad if found is None else pc.or_kleene(found, bad)
    return None if found is None else found.fill_null(False)


def check_fits(table: TableShape, rows: pa.Table) -> None:
    """Raise ConstraintViolation (`not_null` or `value`) for the first column that holds something the table cannot store as given."""
    for field in rows.schema:
        column = table.column(field.name)
        values = rows.column(field.name)
        if values.null_count and not column.nullable:
            raise ConstraintViolation(
                f"{column.name} is NULL in {values.null_count} rows", kind="not_null", where=table.name
            )
        for chunk in values.chunks:
            bad = misfits(column.type, chunk)
            if bad is not None:
                raise value_violation(table, column, chunk.filter(bad)[0])


def value_violation(table: TableShape, column: Column, value: pa.Scalar) -> ConstraintViolation:
    """The error for one value that does not fit its column."""
    text = str(value.as_py())
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return ConstraintViolation(
        f"{column.name} {column.declared or column.type} cannot hold {shown!r} exactly", kind="value", where=table.name
    )


def _integer_range(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    bad: pa.Array | None = None
    if logical.low is not None:
        bad = pc.less(values, _bound(logical.low, values.type))
    if logical.high is not None:
        above = pc.greater(values, _bound(logical.high, values.type))
        bad = above if bad is None else pc.or_(bad, above)
    return bad


@cache
def _bound(bound: int, arrow: pa.DataType) -> pa.Scalar:
    fits = -(2**63) <= bound < 2**63
    exact = pa.scalar(bound, pa.decimal128(38, 0))
    return exact.cast(arrow) if fits and pa.types.is_integer(arrow) else exact


def _decimal_digits(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    if pa.types.is_decimal(values.type):
        return _decimal_narrower(logical, values)
    text = values.cast(pa.string())
    plain = pc.match_substring_regex(text, _PLAIN_DECIMAL)
    if logical.precision is None or logical.scale is None:
        return pc.invert(plain)
    whole = logical.precision - logical.scale
    fraction = rf"(\.[0-9]{{0,{logical.scale}}}0*)?" if logical.scale else r"(\.0*)?"
    return pc.invert(pc.and_(plain, pc.match_substring_regex(text, rf"^-?0*[0-9]{{0,{whole}}}{fraction}$")))


def _decimal_narrower(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    if logical.precision is None or logical.scale is None:
        return None
    kept_whole = logical.precision - logical.scale >= values.type.precision - values.type.scale
    if kept_whole and logical.scale >= values.type.scale:
        return None
    bad = None
    if logical.scale < values.type.scale:
        bad = pc.not_equal(pc.round(values, ndigits=logical.scale, round_mode="towards_zero"), values)
    if not kept_whole:
        limit = pa.scalar(Decimal(10 ** (logical.precision - logical.scale)), values.type)
        too_big = pc.greater_equal(pc.abs(values), limit)
        bad = too_big if bad is None else pc.or_(bad, too_big)
    return bad


def _float_bits(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    if logical.bits >= 64:  # noqa: PLR2004 - binary64
        return None
    narrower = pc.not_equal(values.cast(pa.float32(), safe=False).cast(pa.float64()), values)
    return pc.and_not(narrower, pc.is_nan(values))  # NaN is NaN in any width, and unequal to itself


def _text_length(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    # No text has more characters than bytes, and bytes need no counting.
    if logical.length is None or _most_bytes(values) <= logical.length:
        return None
    return pc.greater(pc.utf8_length(values), logical.length)


def _most_bytes(values: pa.Array) -> int:
    return pc.max(pc.binary_length(values)).as_py() or 0


def _text_bytes(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    if logical.max_bytes is None:
        return None
    if _most_bytes(values) <= logical.max_bytes:
        return None
    if logical.charset in {None, "utf8mb3"}:
        return pc.greater(pc.binary_length(values), logical.max_bytes)
    lengths = [None if text is None else len(text.encode(logical.charset, "replace")) for text in values.to_pylist()]
    return pc.greater(pa.array(lengths, pa.int64()), logical.max_bytes)


def _text_charset(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    if logical.charset is None:
        return None
    if logical.charset == "utf8mb3":
        return pc.match_substring_regex(values, _BEYOND_BASIC_PLANE)
    strange = pc.invert(pc.string_is_ascii(values))
    if not pc.any(strange).as_py():
        return None
    # Most texts repeat, so only distinct ones are encoded.
    encoded = values.dictionary_encode()
    bad = pa.array([not _encodable(text, logical.charset) for text in encoded.dictionary.to_pylist()], pa.bool_())
    return bad.take(encoded.indices)


def _encodable(text: str | None, charset: str) -> bool:
    if text is None:
        return True
    try:
        codecs.encode(text, charset)
    except UnicodeEncodeError:
        return False
    return True


def _text_nul(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    # Looking for a zero byte in all texts at once costs next to nothing, and only then each text is searched.
    return None if logical.nul or _bytes(values).all() else pc.match_substring(values, "\0")


def _bytes(values: pa.Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """All bytes of a text column, without copying; whatever stands behind a NULL is among them."""
    _, offsets, data = values.buffers()
    if data is None:
        return np.empty(0, dtype=np.uint8)
    width = np.int64 if pa.types.is_large_string(values.type) else np.int32
    places = np.frombuffer(offsets, width)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(data, np.uint8)[places[0] : places[-1]]


def _text_spaces(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    return None if logical.keeps_spaces else pc.ends_with(values, " ")


def _byte_length(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    return None if logical.length is None else pc.greater(pc.binary_length(values), logical.length)


def _fraction(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    if logical.fraction >= 6:  # noqa: PLR2004 - microseconds
        return None
    unit = 10 ** (6 - logical.fraction)
    ticks = values.cast(pa.int64())
    return pc.not_equal(pc.multiply(pc.divide(ticks, unit), unit), ticks)


def _bounds(logical: LogicalType, values: pa.Array) -> pa.Array | None:
    bad: pa.Array | None = None
    if logical.earliest is not None:
        bad = pc.less(values, _moment(logical.earliest, values.type))
    if logical.latest is not None:
        late = pc.greater(values, _moment(logical.latest, values.type))
        bad = late if bad is None else pc.or_(bad, late)
    return bad


@cache
def _moment(text: str, arrow: pa.DataType) -> pa.Scalar:
    zoned = pa.types.is_timestamp(arrow) and arrow.tz is not None
    plain = text.removesuffix("Z").removesuffix("+00:00")
    return pa.scalar(plain).cast(pa.timestamp("us")).cast(arrow) if zoned else pa.scalar(plain).cast(arrow)


_Rule = Callable[[LogicalType, Any], Any]
_TIMES: Final[tuple[_Rule, ...]] = (_fraction, _bounds)
_TEXTS: Final[tuple[_Rule, ...]] = (_text_length, _text_bytes, _text_charset, _text_nul, _text_spaces)
_RULES: Final[dict[str, tuple[_Rule, ...]]] = {
    "integer": (_integer_range,),
    "decimal": (_decimal_digits,),
    "float": (_float_bits,),
    "text": _TEXTS,
    "json": _TEXTS,
    "unsupported": _TEXTS,
    "bytes": (_byte_length,),
    "date": (_bounds,),
    "time": _TIMES,
    "timestamp": _TIMES,
    "instant": _TIMES,
}
