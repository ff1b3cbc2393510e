"""Exact conversion of text, as databases print it, to Arrow: a text that is no such value is marked, never guessed or rounded.

Pure and vectorised; only values that fail are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.values import LogicalType

_SHORTEST_DIGITS: Final = 15
"""Significant digits of a decimal that binary64 keeps: a longer shortest form was not written as a decimal."""
_TIME_DAY: Final = "1970-01-01 "
_WIDEST: Final = 1000
"""Digits before or behind the point up to which a number is written out."""


def parse_text(texts: pa.Array, logical: LogicalType) -> tuple[pa.Array, pa.Array | None]:
    """`texts` (string) as `logical.arrow`, and a mask of those that are no such value (NULL in the result), or None.

    Accepted are plain and scientific numbers, ISO dates and times; seconds with at most six digits.
    """
    if logical.kind == "decimal" and not logical.exact_decimal:
        return _plain_decimals(texts)
    if logical.kind in {"text", "uuid", "json", "unsupported"}:
        return texts, None
    return cast_or_mark(texts, lambda values: _cast(values, logical), logical.arrow)


def cast_or_mark(
    values: pa.Array, cast: Callable[[pa.Array], pa.Array], arrow: pa.DataType
) -> tuple[pa.Array, pa.Array | None]:
    """`values` through `cast`, and a mask of those that it refuses, or None: all at once; where that fails, halved until the culprits stand alone."""
    try:
        return cast(values), None
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, arrow), pa.array([True])
    middle = len(values) // 2
    parts = [cast_or_mark(part, cast, arrow) for part in (values[:middle], values[middle:])]
    masks = [mask if mask is not None else pa.array(np.zeros(len(array), dtype=bool)) for array, mask in parts]
    return pa.concat_arrays([array for array, _ in parts]), pa.concat_arrays(masks)


def valid_utf8(values: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Binary (or unchecked string) `values` as string, and a mask of those that are not UTF-8, or None."""
    raw = values.cast(pa.binary()) if pa.types.is_string(values.type) else values
    try:
        return raw.cast(pa.string()), None
    except pa.ArrowInvalid:
        bad = pa.array([value is not None and not _is_utf8(value) for value in raw.to_pylist()], pa.bool_())
        return pc.if_else(bad, None, raw).cast(pa.string()), bad


def shortest_decimals(values: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """float64 as the shortest text that reads back as the same number, and a mask of those with more digits than a decimal that was stored exactly."""
    texts = values.cast(pa.string())
    digits = pc.replace_substring_regex(texts, r"e.*$|[-.]", "")
    significant = pc.utf8_length(pc.utf8_trim(digits, "0"))
    bad = pc.or_(pc.greater(significant, _SHORTEST_DIGITS), pc.invert(pc.is_finite(values))).fill_null(False)
    if not pc.any(bad).as_py():
        return texts, None
    return pc.if_else(bad, None, texts), bad


def either(first: pa.Array | None, second: pa.Array | None) -> pa.Array | None:
    """The union of two masks, of which each may be None."""
    if first is None or second is None:
        return first if second is None else second
    return pc.or_(first, second)


def joined_reasons(reasons: Sequence[Any], rows: int) -> Any:
    """What is wrong with each row, of several string arrays with NULL for "nothing": joined by "; ", NULL where all are NULL."""
    if not reasons:
        return pa.nulls(rows, pa.string())
    if len(reasons) == 1:
        return reasons[0]
    # The empty text in front matters: "skip" *drops* a row in which everything is NULL (seen with pyarrow 26).
    empty = pa.array([""] * rows, pa.string())
    told = pc.binary_join_element_wise(empty, *reasons, "; ", null_handling="skip")
    return pc.if_else(pc.equal(told, ""), pa.scalar(None, pa.string()), pc.utf8_slice_codeunits(told, 2))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cast(texts: pa.Array, logical: LogicalType) -> pa.Array:
    if logical.kind == "time":
        moments = pc.binary_join_element_wise(_TIME_DAY, texts, "").cast(pa.timestamp("us"))
        return moments.cast(pa.time64("us"))
    if logical.kind == "boolean":
        return texts.cast(pa.int64()).cast(pa.bool_())
    return texts.cast(logical.arrow)


def _plain_decimals(texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Decimals that Arrow has no exact type for stay text, in plain notation."""
    plain = pc.match_substring_regex(texts, r"^-?[0-9]+(\.[0-9]+)?$")
    strange = pc.invert(plain).fill_null(False)
    if not pc.any(strange).as_py():
        return texts, None
    written: list[Any] = [
        _expanded(text) if odd else text for text, odd in zip(texts.to_pylist(), strange.to_pylist(), strict=True)
    ]
    result = pa.array(written, pa.string())
    bad = pc.and_(pc.is_null(result), pc.is_valid(texts))
    return result, bad if pc.any(bad).as_py() else None


def _expanded(text: str) -> str | None:
    """A number in scientific or sloppy notation in plain notation, or None when it is none."""
    if not text.isascii() or "_" in text or text != text.strip():
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > _WIDEST:
        return None
    return f"{number:f}"
