"""What a type declared in SQLite means: affinity by SQLite's own rules (https://sqlite.org/datatype3.html), logical type by the declared name.

Pure. SQLite itself enforces neither lengths nor digits; they are facts all the same, since whoever declared them meant them.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from migrate.values import INT64_HIGH, INT64_LOW, LogicalType

Affinity = Literal["TEXT", "INTEGER", "REAL", "NUMERIC", "NONE"]

_PARTS: Final = re.compile(r"\s*([^()]*?)\s*(?:\(\s*([+-]?\d+)\s*(?:,\s*([+-]?\d+)\s*)?\))?\s*\Z", re.DOTALL)
_EXACT_DIGITS: Final = 15
"""Significant digits of a number with a fraction that NUMERIC affinity keeps, since it becomes a binary64."""
_EXACT_INTEGER_DIGITS: Final = 18
_FIRST_DATE: Final = "0001-01-01"
_LAST_DATE: Final = "9999-12-31"


def affinity(declared: str) -> Affinity:
    """The affinity that SQLite gives a column with this declared type."""
    name = declared.upper()
    if "INT" in name:
        return "INTEGER"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if not name.strip() or "BLOB" in name:
        return "NONE"
    if any(part in name for part in ("REAL", "FLOA", "DOUB")):
        return "REAL"
    return "NUMERIC"


def logical_type(declared: str, *, writing: bool) -> LogicalType:
    """The logical type of a column.

    `writing`: what can be stored without loss, which for a plain DECIMAL is at most 15 digits (18 without a fraction);
    otherwise what may have been stored.
    """
    match = _PARTS.match(declared)
    name, first, second = (match[1].upper(), match[2], match[3]) if match else (declared.upper(), None, None)
    precision = None if first is None else int(first)
    scale = None if second is None else int(second)
    if name == "DECIMAL_TEXT":
        return LogicalType("decimal", precision=precision or 38, scale=scale or 0)
    timed = _moment_type(name)
    if timed is not None:
        return timed
    if "BOOL" in name:
        return LogicalType("boolean")
    if affinity(declared) == "INTEGER":
        return LogicalType("integer", low=INT64_LOW, high=INT64_HIGH)
    if affinity(declared) == "REAL":
        return LogicalType("float")
    if any(part in name for part in ("DECIMAL", "NUM", "MONEY", "CURRENCY")):
        return _number_type(precision, scale, writing=writing)
    return _other_type(declared, name, precision)


def _moment_type(name: str) -> LogicalType | None:
    if "DATETIME" in name or name.startswith("TIMESTAMP"):
        zoned = "TZ" in name or "WITH TIME ZONE" in name
        return LogicalType(
            "instant" if zoned else "timestamp",
            earliest=f"{_FIRST_DATE}T00:00:00",
            latest=f"{_LAST_DATE}T23:59:59.999999",
        )
    if name == "DATE":
        return LogicalType("date", earliest=_FIRST_DATE, latest=_LAST_DATE)
    return LogicalType("time") if name == "TIME" else None


def _number_type(precision: int | None, scale: int | None, *, writing: bool) -> LogicalType:
    if precision is None:
        return LogicalType("decimal")
    scale = max(scale or 0, 0)
    if writing:
        precision = max(min(precision, _EXACT_DIGITS if scale else _EXACT_INTEGER_DIGITS), scale)
    return LogicalType("decimal", precision=precision, scale=scale)


def _other_type(declared: str, name: str, length: int | None) -> LogicalType:
    if "JSON" in name:
        return LogicalType("json")
    if name in {"UUID", "GUID"}:
        return LogicalType("uuid")
    if "BLOB" in name or "BINARY" in name:
        return LogicalType("bytes", length=length)
    if affinity(declared) == "TEXT" or not name:
        return LogicalType("text", length=length)
    return LogicalType("unsupported")
