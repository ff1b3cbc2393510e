"""Errors of any DBAPI driver under SQLAlchemy, as errors of the toolkit.

Drivers share only the DBAPI's classes, so the kind of a violation is read from the SQLSTATE where there is one and from the words
of the message elsewhere. What cannot be told is an EnvironmentFault, never a success.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from migrate.errors import (
    ConnectionLost,
    ConstraintViolation,
    EnvironmentFault,
    MigrateError,
    TransientFault,
    ViolationKind,
)

_STATES: Final[dict[str, ViolationKind]] = {
    "23505": "unique",
    "23503": "foreign_key",
    "23502": "not_null",
    "23514": "check",
}
_WORDS: Final[tuple[tuple[re.Pattern[str], ViolationKind], ...]] = (
    (re.compile(r"foreign key|parent key", re.IGNORECASE), "foreign_key"),
    (re.compile(r"unique|duplicate|primary key", re.IGNORECASE), "unique"),
    (
        re.compile(r"not null|cannot be null|null value|cannot insert null|doesn't have a default", re.IGNORECASE),
        "not_null",
    ),
    (re.compile(r"too long|too large|out of range|overflow|truncat|incorrect|invalid", re.IGNORECASE), "value"),
    (re.compile(r"check", re.IGNORECASE), "check"),
)
_FAILED_CONSTRAINT: Final = re.compile(r"constraint .* (?:failed|violated)", re.IGNORECASE)
_TRANSIENT: Final = re.compile(
    r"deadlock|lock wait|locked|lock timeout|could not obtain lock|serializ|busy", re.IGNORECASE
)


@contextmanager
def generic_faults(where: str | None = None) -> Iterator[None]:
    """Turns driver errors inside of the block into errors of the toolkit that name `where`."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise generic_fault(error, where) from error
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise EnvironmentFault(
            f"the database's driver is not installed: {error}", where=where, next_step="install it with pip"
        ) from error


def generic_fault(error: sa.exc.DBAPIError, where: str | None = None) -> MigrateError:
    """The toolkit's error for a driver's error; the caller chains it."""
    text = str(error.orig).strip().split("\n", 1)[0]
    if error.connection_invalidated:
        return ConnectionLost(f"the connection to the database is gone: {text}", where=where)
    # MariaDB reports a failed CHECK as an operational error.
    if isinstance(error, sa.exc.IntegrityError) or _FAILED_CONSTRAINT.search(text):
        return ConstraintViolation(text, kind=_kind(error, text), where=where)
    if isinstance(error, sa.exc.DataError):
        return ConstraintViolation(text, kind="value", where=where)
    if _TRANSIENT.search(text):
        return TransientFault(text, where=where)
    return EnvironmentFault(text, where=where)


def _kind(error: sa.exc.DBAPIError, text: str) -> ViolationKind:
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    if state in _STATES:
        return _STATES[state]
    return next((kind for words, kind in _WORDS if words.search(text)), "check")
