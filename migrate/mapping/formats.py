"""strptime formats of a mapping: which are allowed, and the exact shape of text that each reads.

DuckDB's strptime skips blanks, reads `25` as the year 25 and `2025041` with `%Y%m%d` as the 1st of April. So each text must
first have the whole shape of its format: four digits of a year, two of everything else where digits follow each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

DEFAULT_FORMATS: dict[str, tuple[str, ...]] = {
    "date": ("%Y-%m-%d",),
    "time": ("%H:%M:%S", "%H:%M:%S.%f"),
    "timestamp": ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d"),
    "instant": ("%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S.%f%z"),
}

_LOOSE = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "[0-9]{1,2}",
    "d": "[0-9]{1,2}",
    "H": "[0-9]{1,2}",
    "I": "[0-9]{1,2}",
    "M": "[0-9]{1,2}",
    "S": "[0-9]{1,2}",
    "f": "[0-9]{1,6}",
    "p": "[AaPp][Mm]",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "z": "(Z|[+-][0-9]{2}(:?[0-9]{2})?)",
}
_TIGHT = {
    **_LOOSE,
    "m": "[0-9]{2}",
    "d": "[0-9]{2}",
    "H": "[0-9]{2}",
    "I": "[0-9]{2}",
    "M": "[0-9]{2}",
    "S": "[0-9]{2}",
}
_DIGITS = frozenset("YymdHIMSf")
_TOKEN = re.compile(r"%-?([A-Za-z%])|(.)", re.DOTALL)


class FormatError(Exception):
    """A format that is not allowed; the message says which part."""


@dataclass(frozen=True)
class Shape:
    """What one format reads: a regular expression for the whole text, and whether it has a time and a zone."""

    regex: str
    has_time: bool
    has_date: bool
    zoned: bool


def duckdb_format(fmt: str) -> str:
    """The same format in DuckDB's words."""
    return fmt.replace("%-", "%")


@cache
def pattern_of(fmt: str) -> Shape:
    """The shape of text that `fmt` reads; FormatError when a part of it is not allowed."""
    tokens = [(found[1], found[2]) for found in _TOKEN.finditer(fmt)]
    kinds = [token[0] for token in tokens]
    parts: list[str] = []
    for index, (part, other) in enumerate(tokens):
        if other:
            if other == "%":
                raise FormatError(f"`{fmt}` ends in a single %")
            parts.append(re.escape(other) if other.isascii() and not other.isalnum() else other)
        elif part == "%":
            parts.append("%")
        elif part not in _LOOSE:
            raise FormatError(
                f"`%{part}` in `{fmt}` is not allowed; allowed: {' '.join('%' + each for each in _LOOSE)}"
            )
        else:
            beside = {kinds[index - 1] if index else "", kinds[index + 1] if index + 1 < len(kinds) else ""}
            parts.append((_TIGHT if part in _DIGITS and beside & _DIGITS else _LOOSE)[part])
    used = set(kinds)
    if not used & set("YyHI"):
        raise FormatError(f"`{fmt}` reads neither a year nor an hour")
    return Shape("".join(parts), bool(used & set("HIMSf")), bool(used & set("Yymd")), "z" in used)
