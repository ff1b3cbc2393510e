"""Durations `90s 15m 4h 4d` and shares `0.5%`, read from what users write; durations, counts and sizes written for people.

Pure. A text that is not exactly of the form is an InputError, never a guess.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from migrate.errors import InputError

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([0-9]+)([smhd])")
_SHARE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KIB: Final = 1024


def parse_duration(text: str) -> int:
    """Seconds of a duration such as `90s`, `15m`, `4h`, `4d`.

    Raises:
        InputError: anything else.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{text!r} is no duration", next_step="write it like 90s, 15m, 4h or 4d")
    return int(found[1]) * _SECONDS[found[2]]


def parse_share(text: str) -> Decimal:
    """The share that a percentage such as `0.5%` stands for: 0.005, between 0 and 1.

    Raises:
        InputError: anything else, or more than 100%.
    """
    found = _SHARE.fullmatch(text.strip())
    if found is None or Decimal(found[1]) > 100:  # noqa: PLR2004 - per cent
        raise InputError(f"{text!r} is no share", next_step="write it like 0.5%, from 0% to 100%")
    return Decimal(found[1]) / 100


def duration_text(seconds: float) -> str:
    """A duration for people: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`."""
    if seconds < 10:  # noqa: PLR2004 - below it, tenths tell something
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR:02d} h"


def size_text(count: int) -> str:
    """A number of bytes for people: `512 B`, `1.5 KiB`, `230 MiB`."""
    size, units = float(count), iter(("B", "KiB", "MiB", "GiB"))
    unit = next(units)
    while size >= _KIB and (larger := next(units, None)) is not None:
        size, unit = size / _KIB, larger
    return f"{size:.1f} {unit}" if unit != "B" and size < 10 else f"{size:,.0f} {unit}"  # noqa: PLR2004 - as above


def rows_text(count: int) -> str:
    """A number of rows in an English sentence: `1 row`, `1,234 rows`."""
    return "1 row" if count == 1 else f"{count_text(count)} rows"


def count_text(count: int) -> str:
    """A number of rows for people: `1,234,567`."""
    return f"{count:,}"
