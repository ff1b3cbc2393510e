"""What may have happened to a value, from what was expected and what is there: a label for people, not a proof.

Pure. The texts are canonical ones (docs/checksum.md), so two values with equal texts are equal.
"""

from __future__ import annotations

import struct
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from migrate.values import LogicalType
from migrate.verify.verdict import Cause, Cell, Difference

_DAMAGED: Final = ("?", "\ufffd")
_BLANKS: Final = " \t\u00a0\u3000"
_WRONG_CHARSETS: Final = ("latin-1", "cp1252", "gb18030", "big5")
_MOST_HOURS: Final = 26


def cause_of_row(types: Mapping[str, LogicalType], cells: Mapping[str, Cell]) -> Cause:
    """The cause that explains all columns of a row that differ; `value` where they do not agree."""
    if exchanged(cells):
        return "exchanged"
    found = {cause_of(types[name], cell) for name, cell in cells.items()}
    return found.pop() if len(found) == 1 else "value"


def exchanged(cells: Mapping[str, Cell]) -> bool:
    """True where columns of one row hold each other's values."""
    expected = Counter(cell.expected for cell in cells.values())
    return len(cells) > 1 and expected == Counter(cell.actual for cell in cells.values())


def marked_exchanges(differences: Sequence[Difference]) -> list[Difference]:
    """The differences, with `exchanged` as the cause of two rows that hold each other's values in the same columns."""
    pairs = {_cells(each) for each in differences if each.columns}
    return [
        replace(each, cause="exchanged") if each.columns and _cells(each, swapped=True) in pairs else each
        for each in differences
    ]


def _cells(difference: Difference, *, swapped: bool = False) -> frozenset[tuple[str, str | None, str | None]]:
    return frozenset(
        (name, cell.actual, cell.expected) if swapped else (name, cell.expected, cell.actual)
        for name, cell in difference.columns.items()
    )


def cause_of(logical: LogicalType, cell: Cell) -> Cause:
    """The label of one value."""
    expected, actual = cell.expected, cell.actual
    if expected is None or actual is None:
        return "value"
    if logical.kind in ("timestamp", "instant"):
        return "hours_offset" if _whole_hours(expected, actual) else "value"
    if logical.kind in ("decimal", "integer", "float"):
        return "scale" if _significant(logical, expected) == _significant(logical, actual) is not None else "value"
    return _cause_of_text(expected, actual) if logical.kind == "text" else "value"


def _cause_of_text(expected: str, actual: str) -> Cause:
    if expected.rstrip(_BLANKS) == actual.rstrip(_BLANKS):
        return "trailing_space"
    if unicodedata.normalize("NFKC", expected) == unicodedata.normalize("NFKC", actual):
        return "normalisation"
    if _decoded_wrongly(expected, actual):
        return "charset"
    if actual and expected.startswith(actual):
        return "truncation"
    try:
        same = Decimal(expected) == Decimal(actual)
    except InvalidOperation:
        same = False
    return "scale" if same else "value"


def _whole_hours(expected: str, actual: str) -> bool:
    seconds = abs((datetime.fromisoformat(actual) - datetime.fromisoformat(expected)).total_seconds())
    return seconds % 3600 == 0 and 0 < seconds <= _MOST_HOURS * 3600


def _significant(logical: LogicalType, text: str) -> tuple[int, str] | None:
    """Sign and digits of a number without the zeros around them, whatever its size; None of what has none: zero, infinity, no number."""
    if logical.kind == "float":
        # Its canonical text is the hex of its bytes, which can look like a decimal number.
        text = repr(struct.unpack(">d", bytes.fromhex(text))[0])
    number = Decimal(text)
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    return (number.as_tuple().sign, digits) if number.is_finite() and digits else None


def _decoded_wrongly(expected: str, actual: str) -> bool:
    """Characters that became question marks, or UTF-8 that was read in another character set, or the other way round."""
    if len(expected) == len(actual) and all(
        one == other or (ord(one) > 127 and other in _DAMAGED)  # noqa: PLR2004 - ASCII
        for one, other in zip(expected, actual, strict=True)
    ):
        return True
    return any(
        _read_as(expected, "utf-8", charset) == actual or _read_as(expected, charset, "utf-8") == actual
        for charset in _WRONG_CHARSETS
    )


def _read_as(text: str, written: str, read: str) -> str | None:
    try:
        return text.encode(written).decode(read)
    except UnicodeError:
        return None
