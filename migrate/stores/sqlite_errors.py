"""The one place where errors of SQLite become errors of the toolkit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from migrate.errors import (
    ConstraintViolation,
    EnvironmentFault,
    InputError,
    MigrateError,
    TransientFault,
    ViolationKind,
)
from migrate.stores.sqlite_adbc import Error, driver_error

_KINDS: tuple[tuple[str, ViolationKind], ...] = (
    (r"UNIQUE constraint failed: (.+)", "unique"),
    (r"PRIMARY KEY constraint failed: (.+)", "unique"),
    (r"FOREIGN KEY constraint failed()", "foreign_key"),
    (r"CHECK constraint failed: (.+)", "check"),
    (r"NOT NULL constraint failed: (.+)", "not_null"),
    (r"(?:cannot store|datatype mismatch|too big)()", "value"),
)


def translated(error: Exception, where: str | None = None) -> MigrateError:
    """The toolkit's error for one of the driver's, or of SQLAlchemy's around it."""
    inner = error.orig if isinstance(error, sa.exc.DBAPIError) and isinstance(error.orig, Exception) else error
    text = str(inner if isinstance(inner, Error) else driver_error(inner)).strip()
    for pattern, kind in _KINDS:
        match = re.search(pattern, text)
        if match:
            return ConstraintViolation(text, kind=kind, constraint=match[1].strip() or None, where=where)
    if re.search(r"locked|busy", text):
        return TransientFault(f"SQLite is locked by another process: {text}", where=where, next_step="run again")
    if "not a database" in text or "malformed" in text:
        return InputError(f"not a sound SQLite database: {text}", where=where)
    return EnvironmentFault(f"SQLite: {text}", where=where)


@contextmanager
def sqlite_faults(where: str | None = None) -> Iterator[None]:
    """Turn what the driver raises inside into the toolkit's errors, with the cause chained."""
    try:
        yield
    except (Error, sa.exc.DBAPIError) as error:
        raise translated(error, where) from error
