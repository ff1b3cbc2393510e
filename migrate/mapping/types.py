"""The names of types in mapping files and in casts of expressions, as logical types."""

from __future__ import annotations

import re

from migrate.mapping.findings import nearest
from migrate.values import INT64_HIGH, INT64_LOW, LogicalType

_PARTS = re.compile(r"([a-z ]+?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?", re.IGNORECASE)
_MAX_PRECISION = 38


class TypeTextError(Exception):
    """Not the name of a type; the message says which are."""


def _integer(bits: int) -> LogicalType:
    return LogicalType("integer", low=-(2 ** (bits - 1)), high=2 ** (bits - 1) - 1)


SIMPLE_TYPES: dict[str, LogicalType] = {
    "integer": LogicalType("integer", low=INT64_LOW, high=INT64_HIGH),
    "bigint": _integer(64),
    "int8": _integer(64),
    "int": _integer(32),
    "int4": _integer(32),
    "smallint": _integer(16),
    "int2": _integer(16),
    "tinyint": _integer(8),
    "hugeint": LogicalType("integer", low=-(10**38 - 1), high=10**38 - 1),
    "float": LogicalType("float"),
    "double": LogicalType("float"),
    "real": LogicalType("float", bits=32),
    "boolean": LogicalType("boolean"),
    "bool": LogicalType("boolean"),
    "date": LogicalType("date"),
    "time": LogicalType("time"),
    "timestamp": LogicalType("timestamp"),
    "datetime": LogicalType("timestamp"),
    "instant": LogicalType("instant"),
    "timestamptz": LogicalType("instant"),
    "text": LogicalType("text"),
    "varchar": LogicalType("text"),
    "string": LogicalType("text"),
    "char": LogicalType("text"),
    "bytes": LogicalType("bytes"),
    "blob": LogicalType("bytes"),
    "uuid": LogicalType("uuid"),
    "json": LogicalType("json"),
}


def parse_type(text: str) -> LogicalType:
    """`decimal(18,2)`, `date`, `text(20)` … as a logical type; TypeTextError when it is none."""
    found = _PARTS.fullmatch(text.strip())
    name = found[1].lower() if found else text
    if found and name in ("decimal", "numeric"):
        return _decimal(found[2], found[3])
    if found and name in SIMPLE_TYPES:
        simple = SIMPLE_TYPES[name]
        if found[2] is None:
            return simple
        if simple.kind == "text" and found[3] is None:
            return LogicalType("text", length=int(found[2]))
    hint = nearest(name, [*SIMPLE_TYPES, "decimal"])
    raise TypeTextError(
        f"`{text}` is not a type{f', {hint}' if hint else ''}; types are integer, decimal(p,s), float, boolean, "
        "date, time, timestamp, instant, text, bytes, uuid, json"
    )


def _decimal(precision: str | None, scale: str | None) -> LogicalType:
    if precision is None:
        raise TypeTextError("a decimal needs its precision and scale, e.g. decimal(18,2)")
    digits, fraction = int(precision), int(scale or 0)
    if not 1 <= digits <= _MAX_PRECISION or fraction > digits:
        raise TypeTextError(
            f"decimal({digits},{fraction}) is out of range: at most {_MAX_PRECISION} digits, scale at most precision"
        )
    return LogicalType("decimal", precision=digits, scale=fraction)
