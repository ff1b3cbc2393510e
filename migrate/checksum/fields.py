"""One column in, the pieces of its CRE/1 field out, for all rows at once.

A piece is a string column; joined row by row, nulls left out, the pieces of a column are its field without the closing
`;`. Each field begins with `lead`, which closes the field before it. NULL is decided on the raw column; where a value is
not NULL and has no canonical text, the row is *poisoned*, never encoded as something else.
`encoding` is the definition; this module only computes the same bytes without touching a Python object per row
(JSON, which has no vectorised canonical form, goes through the definition once per distinct value).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.encoding import LONGEST_TEXT, NotEncodable, encode_value
from migrate.checksum.hashing import OFFSETS, Mask, decimal_texts, hex_texts, merge, sha256_hex, valid_utf8
from migrate.values import LogicalType

_TABLED_LENGTHS: Final = 1024
# Made once: pyarrow looks for an optional module each time it converts a Python value, which costs 0.1 ms.
_AT_NULL: Final = pa.scalar(_TABLED_LENGTHS, pa.int32())
_NEITHER: Final = pa.scalar(2, pa.int8())
_DAY: Final = 86_400_000_000
_FIRST_DAY: Final = -719_162  # 0001-01-01
_LAST_DAY: Final = 2_932_896  # 9999-12-31
_MOMENTS: Final = (_FIRST_DAY * _DAY, (_LAST_DAY + 1) * _DAY - 1)
_BOUNDS: Final = {
    "date": (_FIRST_DAY, _LAST_DAY),
    "time": (0, _DAY - 1),
    "timestamp": _MOMENTS,
    "instant": _MOMENTS,
}
"""The least and the greatest value that has an encoding."""
_FIRST_USUAL: Final = -25_567  # 1900-01-01
_LAST_USUAL: Final = 47_481  # 2099-12-31
_FROM_USUAL: Final = pa.scalar(_FIRST_USUAL, pa.int32())
_NO_DAY: Final = pa.scalar(_LAST_USUAL - _FIRST_USUAL + 1, pa.int32())


Piece: TypeAlias = Any
"""A string array, or a string scalar where it is the same in every row."""


@dataclass(frozen=True, slots=True)
class Field:
    """Pieces of one column's field, and the rows that it poisons (None: none)."""

    pieces: list[Piece]
    poison: Mask | None = None


def encode_field(logical: LogicalType, values: pa.Array, lead: str) -> Field:
    """The field of each row; `values` is of the Arrow type that belongs to `logical`."""
    if logical.kind in _BY_TABLE:
        return _BY_TABLE[logical.kind](values, lead)
    if logical.kind == "text":
        return _text(logical, values, lead)
    tag, canonical = _BY_TEXT[logical.kind]
    texts = canonical(logical, values)
    return Field([_heads(texts, lead, tag), texts], _poison(values, texts))


def canonical_texts(logical: LogicalType, values: pa.Array) -> pa.Array:
    """The bytes of each field behind its length, as text, for kinds that are written as text; null of null, and of a value without an encoding."""
    return _BY_TEXT[logical.kind][1](logical, values)


def outside_of_calendar(logical: LogicalType, values: pa.Array) -> Mask | None:
    """Which dates, times and moments have no encoding (None: none, and none of another kind)."""
    if logical.kind not in _BOUNDS:
        return None
    first, last = _BOUNDS[logical.kind]
    numbers = values.cast(pa.int32() if logical.kind == "date" else pa.int64())
    extremes = pc.min_max(numbers)
    least, greatest = extremes["min"].as_py(), extremes["max"].as_py()
    if least is None or (least >= first and greatest <= last):
        return None
    return _mask(pc.fill_null(pc.or_(pc.less(numbers, first), pc.greater(numbers, last)), False))


def _poison(values: pa.Array, texts: pa.Array) -> Mask | None:
    """Rows that hold a value without a canonical text."""
    if texts.null_count == values.null_count:
        return None
    return _mask(pc.and_(texts.is_null(), values.is_valid()))


def _mask(flags: pa.BooleanArray) -> Mask:
    mask: Mask = flags.to_numpy(zero_copy_only=False)
    return mask


def _heads(texts: pa.Array, lead: str, tag: str) -> Piece:
    """`<lead><tag><length>:` for each text, `<lead>N` for null; a scalar where all lengths are equal."""
    lengths = pc.binary_length(texts)
    extremes = pc.min_max(lengths)
    shortest, longest = extremes["min"].as_py() or 0, extremes["max"].as_py() or 0
    if longest < _TABLED_LENGTHS:
        table = _tabled_heads(lead, tag)
        if shortest == longest and not texts.null_count:
            return table[longest]
        index = pc.fill_null(lengths, _AT_NULL.cast(lengths.type)) if texts.null_count else lengths
        return pc.take(table, index, boundscheck=False)
    written = pc.binary_join_element_wise(lead + tag, lengths.cast(pa.string()), ":", "")
    return pc.fill_null(written, lead + "N")


@cache
def _tabled_heads(lead: str, tag: str) -> pa.Array:
    return pa.array([f"{lead}{tag}{length}:" for length in range(_TABLED_LENGTHS)] + [lead + "N"])


# ---------------------------------------------------------------- kinds with a canonical text


def _integer(_logical: LogicalType, values: pa.Array) -> pa.Array:
    return values.cast(pa.string()) if pa.types.is_int64(values.type) else decimal_texts(values)


def _decimal(logical: LogicalType, values: pa.Array) -> pa.Array:
    return decimal_texts(values) if pa.types.is_decimal128(values.type) else _plain_decimal(logical.scale, values)


def _plain_decimal(scale: int | None, values: pa.Array) -> pa.Array:
    """Decimals that came as text: leading zeros dropped, trailing zeros stripped or brought to the scale, or null."""
    parts = pc.extract_regex(values, r"^(?P<sign>-?)(?P<whole>[0-9]+)(?:\.(?P<fraction>[0-9]+))?$")
    sign, whole, fraction = (pc.struct_field(parts, name).cast(pa.string()) for name in ("sign", "whole", "fraction"))
    whole = pc.ascii_ltrim(whole, characters="0")
    whole = pc.if_else(pc.equal(whole, ""), "0", whole)
    fraction = pc.ascii_rtrim(pc.fill_null(fraction, ""), characters="0")
    exact = parts.is_valid()
    if scale is not None:
        exact = pc.and_(exact, pc.less_equal(pc.binary_length(fraction), scale))
        fraction = pc.ascii_rpad(fraction, scale, padding="0")
    digits = merge([whole, pc.if_else(pc.equal(fraction, ""), "", "."), fraction])
    zero = pc.match_substring_regex(digits, r"^[0.]*$")
    return pc.if_else(exact, merge([pc.if_else(zero, "", sign), digits]), None)


def _float(_logical: LogicalType, values: pa.Array) -> pa.Array:
    # Adding +0.0 turns −0.0 into +0.0 and leaves every other value as it is.
    numbers = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False) + 0.0
    numbers[np.isnan(numbers)] = np.nan  # one NaN: sign and payload of the others are lost here, on purpose
    texts = hex_texts(numbers.astype(">f8").view(np.uint8), 8)
    return pc.if_else(values.is_valid(), texts, None)


def _bytes(_logical: LogicalType, values: pa.Array) -> pa.Array:
    return sha256_hex(values)


def _uuid(_logical: LogicalType, values: pa.Array) -> pa.Array:
    texts = pc.ascii_lower(values.cast(pa.string()))
    form = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    return pc.if_else(pc.match_substring_regex(texts, form), texts, None)


def _json(logical: LogicalType, values: pa.Array) -> pa.Array:
    distinct = values.cast(pa.large_binary()).dictionary_encode()
    canonical = pa.array([_canonical_json(logical, raw) for raw in distinct.dictionary.to_pylist()], pa.string())
    return pc.take(canonical, distinct.indices)


def _canonical_json(logical: LogicalType, raw: bytes) -> str | None:
    try:
        field = encode_value(logical, raw.decode("utf-8"))
    except (NotEncodable, UnicodeDecodeError):
        return None
    return field[field.index(b":") + 1 : -1].decode("utf-8")


_BY_TEXT: dict[str, tuple[str, Callable[[LogicalType, pa.Array], pa.Array]]] = {
    "integer": ("I", _integer),
    "decimal": ("D", _decimal),
    "float": ("F", _float),
    "bytes": ("X", _bytes),
    "uuid": ("U", _uuid),
    "json": ("J", _json),
}


# ---------------------------------------------------------------- text


def _text(logical: LogicalType, values: pa.Array, lead: str) -> Field:
    texts = values if logical.keeps_spaces else pc.ascii_rtrim(values, characters=" ")
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest <= LONGEST_TEXT:
        texts = texts if pa.types.is_string(texts.type) else texts.cast(pa.string())
        return Field([_heads(texts, lead, "S"), texts])
    long = pc.fill_null(pc.greater(pc.binary_length(texts), LONGEST_TEXT), False)
    summaries = _summaries(texts.filter(long))
    texts = pc.replace_with_mask(texts, long, summaries.cast(texts.type)).cast(pa.string())
    heads = pc.if_else(long, _heads(texts, lead, "H"), _heads(texts, lead, "S"))
    return Field([heads, texts], _poison(values, texts))


def _summaries(texts: pa.Array) -> pa.Array:
    """`<length>#<SHA-256 hex>`; null where the text is not valid UTF-8, which the sum would hide."""
    checked = valid_utf8(texts).to_arrow(compat_level=OFFSETS)
    return pc.binary_join_element_wise(pc.binary_length(checked).cast(pa.string()), sha256_hex(checked), "#")


# ---------------------------------------------------------------- kinds whose fields come out of tables


def _boolean(values: pa.Array, lead: str) -> Field:
    index = pc.fill_null(values.cast(pa.int8()), _NEITHER)
    return Field([pc.take(_tabled_booleans(lead), index, boundscheck=False)])


@cache
def _tabled_booleans(lead: str) -> pa.Array:
    return pa.array([lead + "B1:0", lead + "B1:1", lead + "N"])


def _date(values: pa.Array, lead: str) -> Field:
    days = values.cast(pa.int32())
    return _days(days, lead + "A10:", lead, "")


def _days(days: pa.Array, head: str, lead: str, tail: str) -> Field:
    """Whole fields for days since 1970; each distinct day is written once, then looked up."""
    usual = _usual_days(days, head, lead, tail)
    if usual is not None:
        return Field([usual])
    coded = days.dictionary_encode()
    distinct = coded.dictionary.to_numpy().astype(np.int64)
    known = (distinct >= _FIRST_DAY) & (distinct <= _LAST_DAY)
    written = np.datetime_as_string(np.where(known, distinct, 0).astype("datetime64[D]"))
    texts = pa.array(written, pa.string(), mask=~known)
    texts = pa.concat_arrays([pc.binary_join_element_wise(head, texts, tail, ""), _null_field(lead)])
    pieces = pc.take(texts, pc.fill_null(coded.indices, len(distinct)), boundscheck=False)
    return Field([pieces], _mask(pieces.is_null()) if pieces.null_count else None)


def _usual_days(days: pa.Array, head: str, lead: str, tail: str) -> pa.Array | None:
    """The same for days of these two centuries, out of a table that is kept (a sixth of the time); None if there is another one."""
    extremes = pc.min_max(days)
    least, greatest = extremes["min"].as_py(), extremes["max"].as_py()
    if least is None or least < _FIRST_USUAL or greatest > _LAST_USUAL:
        return None
    at = pc.subtract(days, _FROM_USUAL.cast(days.type))
    if at.null_count:
        at = pc.fill_null(at, _NO_DAY.cast(at.type))
    return pc.take(_tabled_days(head, lead, tail), at, boundscheck=False)


@cache
def _tabled_days(head: str, lead: str, tail: str) -> pa.Array:
    days = np.datetime_as_string(np.arange(_FIRST_USUAL, _LAST_USUAL + 1).astype("datetime64[D]"))
    return pa.array([f"{head}{day}{tail}" for day in days.tolist()] + [lead + "N"], pa.string())


@cache
def _null_field(lead: str) -> pa.Array:
    return pa.array([lead + "N"], pa.string())


def _time(values: pa.Array, lead: str) -> Field:
    microseconds, null = _integers(values)
    poison = (microseconds < 0) | (microseconds >= _DAY)
    clock = _clock(np.where(poison, 0, microseconds), null)
    heads = pc.if_else(values.is_valid(), lead + "M15:", lead + "N")
    return Field([heads, *clock], poison if poison.any() else None)


def _timestamp(values: pa.Array, lead: str) -> Field:
    return _moment(values, lead, "T26:")


def _instant(values: pa.Array, lead: str) -> Field:
    return _moment(values, lead, "Z26:")


def _moment(values: pa.Array, lead: str, head: str) -> Field:
    microseconds, null = _integers(values)
    days = microseconds // _DAY
    dates = _days(pa.array(days, mask=null), lead + head, lead, "T")
    return Field([*dates.pieces, *_clock(microseconds - days * _DAY, null)], dates.poison)


def _integers(values: pa.Array) -> tuple[npt.NDArray[np.int64], Mask]:
    """The values as int64, 0 for null; and which are null."""
    numbers = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return numbers, _mask(values.is_null())


def _clock(microseconds: npt.NDArray[np.int64], null: Mask) -> list[pa.Array]:
    """`HH:MM:SS.ffffff` for microseconds of a day, in pieces; empty where null."""
    seconds = microseconds // 1_000_000
    fraction = microseconds - seconds * 1_000_000
    pieces = [_looked_up(_seconds_of_day(), seconds, null)]
    if not fraction.any():
        return [*pieces, _looked_up(pa.array(["000000", ""]), fraction, null)]
    thousands = fraction // 1000
    table = _three_digits()
    return [*pieces, _looked_up(table, thousands, null), _looked_up(table, fraction - thousands * 1000, null)]


def _looked_up(table: pa.Array, index: npt.NDArray[np.int64], null: Mask) -> pa.Array:
    """Entries of a table whose last one stands for null."""
    return pc.take(table, pa.array(np.where(null, len(table) - 1, index)), boundscheck=False)


@cache
def _seconds_of_day() -> pa.Array:
    written = np.datetime_as_string(np.arange(86_400).astype("datetime64[s]"))
    return pa.array([text[-8:] + "." for text in written.tolist()] + [""])


@cache
def _three_digits() -> pa.Array:
    return pa.array([f"{number:03}" for number in range(1000)] + [""])


_BY_TABLE: dict[str, Callable[[pa.Array, str], Field]] = {
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "instant": _instant,
}
