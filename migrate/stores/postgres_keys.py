"""Keys of PostgreSQL rows: from the text that the server prints to exact values, and back to literals in statements.

Pure. Literals are quoted texts without a type, which take the type and collation of the column that they are compared with, so that
nothing is cast and the index is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from migrate.stores.postgres_types import PostgresColumn, literal
from migrate.values import Key, KeyValue


def parse_key(columns: Sequence[PostgresColumn], texts: Sequence[str | None]) -> Key:
    """Exact values of key columns from their `::text`; a value that Python has no room for (infinity, BC) stays text."""
    return tuple(None if text is None else _value(column, text) for column, text in zip(columns, texts, strict=True))


def key_text(value: KeyValue) -> str:
    """The value as PostgreSQL reads it in the place of any type that can hold it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def key_literal(_column: ColumnElement[object], value: KeyValue) -> ColumnElement[object]:
    """The value as a literal that takes the type of its column."""
    return sa.literal_column(literal(key_text(value)))


def typed_values(columns: Sequence[PostgresColumn], rows: Sequence[Sequence[KeyValue]]) -> str:
    """Rows for VALUES, each value cast to its column's type without modifier (which neither rounds nor truncates)."""
    suffixes = [cast_suffix(column) for column in columns]
    return ", ".join(
        "(" + ", ".join(literal(key_text(value)) + suffix for value, suffix in zip(row, suffixes, strict=True)) + ")"
        for row in rows
    )


def cast_suffix(column: PostgresColumn) -> str:
    """The cast to the column's type, under the column's own collation where it has one."""
    return f"::{column.facts.cast}" + (f" COLLATE {column.collation}" if column.collation else "")


def _value(column: PostgresColumn, text: str) -> KeyValue:
    try:
        return _READERS.get(column.type.kind, str)(text)
    except (ValueError, ArithmeticError):
        return text


def _decimal(text: str) -> Decimal | str:
    value = Decimal(text)
    return value if value.is_finite() else text


_READERS: Final[dict[str, Callable[[str], KeyValue]]] = {
    "integer": int,
    "decimal": _decimal,
    "float": float,
    "boolean": {"true": True, "false": False}.__getitem__,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "instant": datetime.fromisoformat,
    "bytes": lambda text: bytes.fromhex(text.removeprefix("\\x")),
}
