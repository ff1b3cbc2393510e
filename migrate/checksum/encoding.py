"""The reference evaluator of the row encoding CRE/1: plain Python, one value at a time, no library in between.

It is the definition in code. Whatever computes the same encoding faster (`vectorised`, SQL inside a database) is held
against it, byte for byte. It never rounds, trims, folds or guesses: what has no encoding raises NotEncodable.
docs/checksum.md describes the encoding for people.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final
from uuid import UUID

from migrate.checksum.contract import Contract
from migrate.errors import DataError
from migrate.values import LogicalType

NULL: Final = b"N;"
LONGEST_TEXT: Final = 65_536
"""Bytes of UTF-8 up to which a text is encoded itself; a longer one by its length and SHA-256."""
INTEGER_DIGITS: Final = 38
"""Integers have at most so many digits, as in Arrow's widest decimal."""
MOST_DIGITS: Final = 200_000
"""Zeros that an exponent may stand for; PostgreSQL's numeric, the widest known, ends at 147,455 digits in all."""

_PLAIN_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NOT_A_NUMBER = bytes.fromhex("7ff8000000000000")


class NotEncodable(DataError, ValueError):
    """A value that CRE/1 does not admit for its type; in a digest its row is *poison*, never a match."""


def encode_row(contract: Contract, row: Mapping[str, object]) -> bytes:
    """The CRE/1 encoding of one row: its fields in code-point order of the column names.

    Columns of `row` that the contract does not name are ignored. Raises NotEncodable, with the column in `where`, for a
    column that is missing or a value that has no encoding.
    """
    fields = []
    for name, logical in contract.columns:
        if name not in row:
            raise NotEncodable("a column of the contract is missing in the row", where=f"column {name}")
        try:
            fields.append(encode_value(logical, row[name]))
        except NotEncodable as error:
            raise NotEncodable(error.message, where=f"column {name}", next_step=error.next_step) from error
    return b"".join(fields)


def encode_value(logical: LogicalType, value: object) -> bytes:
    """The CRE/1 encoding of one field: `N;`, or tag, length in bytes, `:`, the canonical bytes, `;`.

    Takes int (or an integral Decimal) for integer; Decimal, int or plain notation for decimal; float; bool; date; time
    without zone; datetime without zone for timestamp, with zone for instant; str; bytes; UUID or str for uuid; JSON
    text for json. Raises NotEncodable for everything else, and for values that CRE/1 excludes.
    """
    if value is None:
        return NULL
    encoder = _ENCODERS.get(logical.kind)
    if encoder is None:
        raise NotEncodable(f"type {logical} has no encoding", next_step="leave the column out; it is not verified")
    tag, payload = encoder(logical, value)
    return b"%s%d:%s;" % (tag, len(payload), payload)


def _refuse(value: object, why: str) -> NotEncodable:
    shown = repr(value)
    return NotEncodable(f"{shown[:60]}{'…' if len(shown) > 60 else ''} has no encoding: {why}")  # noqa: PLR2004 - one line


def _integer(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _refuse(value, "not an integer")
    number = Decimal(value)
    if not number.is_finite() or (number and number.adjusted() >= INTEGER_DIGITS):
        raise _refuse(value, f"not an integer of at most {INTEGER_DIGITS} digits")
    whole = int(number) if number else 0
    if whole != number:
        raise _refuse(value, "not integral")
    return b"I", b"%d" % whole


def _decimal(logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if isinstance(value, str):
        matched = _PLAIN_DECIMAL.fullmatch(value)
        if matched is None:
            raise _refuse(value, "not a decimal in plain notation")
        negative, whole, fraction = matched[1] == "-", matched[2], matched[3] or ""
    elif isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        negative, whole, fraction = _digits(Decimal(value))
    else:
        raise _refuse(value, "not a decimal")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    if logical.scale is not None:
        if len(fraction) > logical.scale:
            raise _refuse(value, f"more than {logical.scale} fraction digits, and rounding is not ours")
        fraction = fraction.ljust(logical.scale, "0")
    text = f"{whole}.{fraction}" if fraction else whole
    sign = "-" if negative and text.strip("0.") else ""
    return b"D", f"{sign}{text}".encode()


def _digits(value: Decimal) -> tuple[bool, str, str]:
    """Sign, digits before and digits after the point, all of them; no context, so nothing is rounded."""
    sign, numerals, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise _refuse(value, "not a finite number")
    if abs(exponent) > MOST_DIGITS:
        raise _refuse(value, f"an exponent beyond {MOST_DIGITS} digits")
    digits = "".join(map(str, numerals))
    if exponent >= 0:
        return sign == 1, digits + "0" * exponent, ""
    digits = digits.rjust(-exponent, "0")
    return sign == 1, digits[:exponent], digits[exponent:]


def _float(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, float):
        raise _refuse(value, "not a float")
    # Adding +0.0 turns −0.0 into +0.0 and leaves every other value as it is.
    bits = _NOT_A_NUMBER if value != value else struct.pack(">d", value + 0.0)  # noqa: PLR0124 - NaN is unequal to itself
    return b"F", bits.hex().encode()


def _boolean(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, bool):
        raise _refuse(value, "neither true nor false")
    return b"B", b"1" if value else b"0"


def _date(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _refuse(value, "not a date")
    return b"A", value.isoformat().encode()


def _time(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, time) or value.tzinfo is not None:
        raise _refuse(value, "not a time of day without zone")
    return b"M", value.isoformat("microseconds").encode()


def _timestamp(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise _refuse(value, "not a timestamp without zone")
    return b"T", value.isoformat("T", "microseconds").encode()


def _instant(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise _refuse(value, "not an instant: the zone is missing")
    try:
        utc = value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise _refuse(value, "in UTC outside of the years 1 to 9999") from error
    return b"Z", utc.isoformat("T", "microseconds").encode()


def _text(logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, str):
        raise _refuse(value, "not a text")
    content = _utf8(value if logical.keeps_spaces else value.rstrip(" "))
    if len(content) > LONGEST_TEXT:
        return b"H", f"{len(content)}#{hashlib.sha256(content).hexdigest()}".encode()
    return b"S", content


def _bytes(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _refuse(value, "not bytes")
    return b"X", hashlib.sha256(value).hexdigest().encode()


def _uuid(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    text = str(value).lower() if isinstance(value, str | UUID) else ""
    if not _UUID.fullmatch(text):
        raise _refuse(value, "not a UUID of 36 characters")
    return b"U", text.encode()


def _json(_logical: LogicalType, value: object) -> tuple[bytes, bytes]:
    if not isinstance(value, str):
        raise _refuse(value, "not a JSON text")
    try:
        parsed = json.loads(
            value,
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_no_constant,
            object_pairs_hook=_no_duplicates,
        )
        return b"J", _utf8(_canonical_json(parsed))
    except NotEncodable:
        raise
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise _refuse(value, f"not JSON ({error})") from error


def _no_constant(name: str) -> object:
    raise _refuse(name, "JSON has no such number")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refuse([name for name, _ in pairs], "a JSON object names a key twice")
    return members


def _canonical_json(value: object) -> str:
    """Keys by code point, no spaces, numbers as stripped decimals, and only those escapes that JSON demands."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(name)}:{_canonical_json(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical_json, value)) + "]"
    if isinstance(value, Decimal):
        return _decimal(LogicalType("decimal"), value)[1].decode()
    if isinstance(value, str):
        return _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _refuse(text, "half of a surrogate pair is not a character") from error


_ENCODERS: dict[str, Callable[[LogicalType, object], tuple[bytes, bytes]]] = {
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "boolean": _boolean,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "instant": _instant,
    "text": _text,
    "bytes": _bytes,
    "uuid": _uuid,
    "json": _json,
}
