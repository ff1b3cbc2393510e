"""Key values as SQL of MariaDB that compares with a column through its index, and without any loss."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import ColumnElement

from migrate.stores.mariadb_shape import literal
from migrate.stores.predicates import Ordering
from migrate.values import KeyValue

# A named style: others double percent signs in literals.
_DIALECT: Final = mysql.dialect(paramstyle="named")


def key_sql(value: KeyValue) -> str:
    """The value as SQL text, NULL included; a text also stands for what a column holds beyond its type (0000-00-00)."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime):
        plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
        return f"TIMESTAMP'{plain.isoformat(' ', 'microseconds')}'"
    if isinstance(value, date):
        return f"DATE'{value.isoformat()}'"
    if isinstance(value, time):
        return f"TIME'{value.isoformat('microseconds')}'"
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return _number_sql(value)


def _number_sql(value: float | Decimal) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = repr(value)
    # With an exponent the server reads a double, without one a decimal.
    return text if isinstance(value, int) or "e" in text else f"{text}e0"


def _key_literal(_column: ColumnElement[object], value: KeyValue) -> ColumnElement[object]:
    return sa.literal_column(key_sql(value))


ORDERING: Final = Ordering(row_values=False, nulls_first=True, literal=_key_literal)
"""Row comparison scans the table (1.9 s against 0.7 ms), the expanded form uses the index; NULLs come first."""


def compiled(expression: ColumnElement[Any]) -> str:
    """SQL text with all values in it."""
    return str(expression.compile(dialect=_DIALECT))
