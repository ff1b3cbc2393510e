"""The one place where errors of PostgreSQL drivers (ADBC, psycopg, SQLAlchemy over it) become errors of the toolkit.

SQLSTATE decides where the driver gives one. ADBC gives none while it connects and in the middle of a stream: there the text does.
Statements are cut out of messages, since they can hold data and secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import sqlalchemy as sa
from adbc_driver_manager import dbapi as adbc

from migrate.errors import (
    ConnectionLost,
    ConstraintViolation,
    EnvironmentFault,
    MigrateError,
    TransientFault,
    ViolationKind,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_VIOLATIONS: Final[dict[str, ViolationKind]] = {
    "23505": "unique",
    "23P01": "unique",  # an exclusion constraint is a wider kind of uniqueness
    "23503": "foreign_key",
    "23001": "foreign_key",
    "23502": "not_null",
    "23514": "check",
    "23000": "check",
    "44000": "check",
}
_TRANSIENT: Final = {"40001", "40P01", "40000", "55P03", "57014", "53200", "53300", "55006"}
_LOST: Final = {"40003", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
_NEXT_STEPS: Final[dict[str, str]] = {
    "53100": "free disk space on the database server, then run the same command again",
    "28000": "check user, password and pg_hba.conf",
    "28P01": "check user, password and pg_hba.conf",
    "3D000": "create the database, or correct its name in the URL",
    "42501": "grant the database user what it needs, then run the same command again",
    "42P01": "the table is gone: run `migrate check`",
    "42703": "the table has changed: run `migrate check`",
    "25006": "the server only reads (a standby?): name the primary in the URL",
}
_STREAM_TRANSIENT: Final = re.compile(r"canceling statement|deadlock detected|could not serialize", re.IGNORECASE)
_STREAM_LOST: Final = re.compile(
    r"closed the connection|no connection to the server|connection to server .* (?:was )?lost|terminating connection"
    r"|PQgetCopyData|could not (?:receive|send) data|SSL (?:connection|SYSCALL)|timed? ?out|reset by peer|broken pipe",
    re.IGNORECASE,
)
_CONNECT_FINAL: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|pg_hba|could not translate host name|invalid"
    r"|certificate|does not support SSL|permission denied",
    re.IGNORECASE,
)
_CONSTRAINT: Final = re.compile(r'constraint "([^"]+)"')
_QUOTED: Final = re.compile(r'"([^"]+)"')
_NOISE: Final = re.compile(
    r"^(?:[A-Z_]+: )?(?:\[libpq\] )?(?:Failed to [^:]*: )?(?:could not begin COPY: )?(?:PGRES_FATAL_ERROR )?"
)

DRIVER_ERRORS: Final = (adbc.Error, sa.exc.DBAPIError, OSError, pa.ArrowException)
"""What a driver may raise while it talks to the server."""


@contextmanager
def postgres_faults(where: str | None = None) -> Iterator[None]:
    """Turns driver errors inside of the block into errors of the toolkit that name `where`."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise postgres_fault(error, where) from error


@contextmanager
def connect_faults(where: str) -> Iterator[None]:
    """Turns errors of connecting: a server that is down or starting is worth another try, a wrong password is not."""
    try:
        yield
    except DRIVER_ERRORS as error:
        state = sqlstate(error)
        if state is not None:
            raise postgres_fault(error, where) from error
        text = _text(error)
        if _CONNECT_FINAL.search(text):
            raise EnvironmentFault(
                f"cannot connect: {text}", where=where, next_step="check the URL, the user and the server"
            ) from error
        raise ConnectionLost(f"cannot connect: {text}", where=where, next_step="is the server running?") from error


def postgres_fault(error: BaseException, where: str | None = None) -> MigrateError:
    """The toolkit's error for a driver's error; the caller chains it."""
    state, text = sqlstate(error), _text(error)
    if state is None:
        if _STREAM_TRANSIENT.search(text):
            return TransientFault(text, where=where)
        if _STREAM_LOST.search(text):
            return ConnectionLost(f"the connection to the database is gone: {text}", where=where)
        return EnvironmentFault(text, where=where)
    if state in _VIOLATIONS or state[:2] in ("22", "P0") or state == "23":
        kind = _VIOLATIONS.get(state, "value" if state[:2] == "22" else "check")
        return ConstraintViolation(text, kind=kind, constraint=_constraint(error, state, text), where=where)
    if state in _TRANSIENT:
        return TransientFault(f"{text} (SQLSTATE {state})", where=where)
    if state in _LOST or (state.startswith("08") and state != "08P01"):  # 08P01: a message that the server cannot read
        return ConnectionLost(f"the connection to the database is gone: {text}", where=where)
    return EnvironmentFault(f"{text} (SQLSTATE {state})", where=where, next_step=_NEXT_STEPS.get(state))


def sqlstate(error: BaseException) -> str | None:
    """The five characters of the error's SQLSTATE, or None."""
    if isinstance(error, sa.exc.DBAPIError):
        error = error.orig or error
    found = getattr(error, "sqlstate", None)
    return found if isinstance(found, str) and len(found) == 5 else None  # noqa: PLR2004 - the length of a SQLSTATE


def _text(error: BaseException) -> str:
    """What the server said, without the statement and the driver's own words around it."""
    if isinstance(error, sa.exc.DBAPIError):
        error = error.orig or error
    text = str(error).split("\n\nQuery was:", 1)[0]
    text = re.sub(r"\.? SQLSTATE: \w{5}$", "", text)
    lines = [line.strip() for line in _NOISE.sub("", text).splitlines()]
    return "; ".join(line.removeprefix("ERROR:").strip() for line in lines if line and line != ".")


def _constraint(error: BaseException, state: str, text: str) -> str | None:
    for name, value in getattr(error, "details", None) or ():
        if name == b"PG_DIAG_CONSTRAINT_NAME":
            return str(value, "utf-8", "replace")
    first = text.split("; DETAIL:", 1)[0]
    named = _CONSTRAINT.search(first)
    if named:
        return named.group(1)
    quoted = _QUOTED.findall(first)
    if not quoted or state not in _VIOLATIONS:
        return None
    return str(quoted[0] if state == "23502" else quoted[-1])
