"""Key values of SQLite: stored values as they are, and typed values in the forms in which SQLite may hold them.

A border is a key as it is stored (int, float, str or bytes), so that SQLite compares it as itself. Keys that come from rows
read are typed; a date or a decimal may then stand in the file in one of several spellings.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ColumnElement

from migrate.stores.predicates import Ordering
from migrate.stores.sqlite_adbc import AdbcDialect
from migrate.values import KeyValue

DIALECT = AdbcDialect(paramstyle="qmark")


def spellings(value: KeyValue) -> tuple[int | float | str | bytes | None, ...]:
    """The stored values that a typed key value may stand for, the toolkit's own first."""
    if isinstance(value, bool):
        return (int(value),)
    if isinstance(value, datetime):
        return _moments(value)
    if isinstance(value, date):
        return (value.isoformat(),)
    if isinstance(value, time):
        return tuple(dict.fromkeys((value.isoformat("microseconds"), value.isoformat())))
    if isinstance(value, Decimal):
        return _decimals(value)
    return (value,)


def _moments(value: datetime) -> tuple[str, ...]:
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    texts = [value.isoformat(separator, unit) for unit in ("microseconds", "auto") for separator in (" ", "T")]
    if value.tzinfo is not None:
        texts += [text.replace("+00:00", "Z") for text in texts]
    elif value.time() == time():
        texts.append(value.date().isoformat())
    return tuple(dict.fromkeys(texts))


def _decimals(value: Decimal) -> tuple[str, ...]:
    written = f"{abs(value) if value == 0 else value:f}"
    short = written.rstrip("0").rstrip(".") if "." in written else written
    return tuple(dict.fromkeys((written, short)))


def _stored_literal(_column: ColumnElement[object], value: KeyValue) -> ColumnElement[object]:
    # NullType: SQLAlchemy must pass the value through as it is.
    return sa.bindparam(None, spellings(value)[0], type_=sa.types.NullType(), unique=True)


ORDERING = Ordering(row_values=True, nulls_first=True, literal=_stored_literal)
"""How SQLite orders keys: row comparison uses the index, NULLs come first."""


def compiled(expression: ColumnElement[Any]) -> tuple[str, list[Any]]:
    """SQL text and its parameters in order."""
    done = expression.compile(dialect=DIALECT)
    values = done.params
    return str(done), [values[name] for name in done.positiontup or ()]
