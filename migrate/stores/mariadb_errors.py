"""The one place where errors of MariaDB and MySQL become errors of the toolkit, by the server's number (https://mariadb.com/kb/en/mariadb-error-codes/)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pymysql
import sqlalchemy as sa

from migrate.errors import (
    ConnectionLost,
    ConstraintViolation,
    EnvironmentFault,
    InputError,
    MigrateError,
    TransientFault,
    ViolationKind,
)

_VIOLATIONS: Final[dict[int, ViolationKind]] = {
    **dict.fromkeys((1022, 1062, 1169, 1586, 1859), "unique"),
    **dict.fromkeys((1216, 1217, 1451, 1452, 1761, 1762), "foreign_key"),
    **dict.fromkeys((3819, 3820, 4025), "check"),
    **dict.fromkeys((1048, 1364, 1263), "not_null"),
    **dict.fromkeys(
        (1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1416, 1441, 1690, 3140, 3156, 3854, 4078, 1977, 1906, 3105, 4038), "value"
    ),
}  # fmt: skip
# 1020: the row changed since it was read; 1205 rolls back one statement only, so the caller rolls back everything.
_TRANSIENT: Final = frozenset({1020, 1317, 1969, 3024, 1158, 1159, 1160, 1161, 1205, 1213, 1412, 1614, 3058, 3572})
# 2002 and 2003: the server is not there (now); a worker that comes back to a server that restarts tries again.
_LOST: Final = frozenset({1053, 1077, 1079, 1080, 1152, 1184, 1927, 2002, 2003, 2006, 2013, 2055, 3169, 4031})
_UNREACHED: Final = frozenset({2002, 2003})
_INPUT: Final = frozenset({1046, 1064, 1051, 1054, 1109, 1146, 1305})
_CONSTRAINT: Final = (
    re.compile(r"for key '(?:[^'.]*\.)?([^']+)'"),
    re.compile(r"CONSTRAINT `([^`]+)`"),
    re.compile(r"[Cc]heck constraint '([^']+)'"),
    re.compile(r"for column '(?:[^'.]*\.)?([^']+)'"),
    re.compile(r"[Cc]olumn '([^']+)'"),
    re.compile(r"[Ff]ield '([^']+)'"),
)


_LOCAL_INFILE: Final = frozenset({1148, 3948, 4166})

_NEXT: Final[dict[int, str]] = {
    **dict.fromkeys((1044, 1045, 1698), "check the user, the password and the host that the user may come from"),
    **dict.fromkeys((1142, 1143, 1227, 1370), "grant the database user what it needs, then run the same command again"),
    1049: "check the name of the database in the URL, or create it",
}


def translated(error: Exception, where: str | None = None) -> MigrateError:
    """The toolkit's error for one of pymysql's, or of SQLAlchemy's around it."""
    inner = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    number, text = _told(inner)
    if isinstance(inner, pymysql.err.InterfaceError) or number in _LOST:
        if number in _UNREACHED:
            return ConnectionLost(f"cannot connect: {text}", where=where, next_step="is the server running?")
        return ConnectionLost(f"the connection to the server is gone: {text}", where=where, next_step="run again")
    if number in _VIOLATIONS:
        return ConstraintViolation(text, kind=_VIOLATIONS[number], constraint=_constraint(text), where=where)
    if number in _TRANSIENT:
        return TransientFault(text, where=where, next_step="run again")
    if number in _INPUT:
        return InputError(text, where=where)
    following = _NEXT.get(number, "run again when it is mended")
    return EnvironmentFault(f"{text} (error {number})" if number else text, where=where, next_step=following)


def local_infile_refused(error: Exception) -> bool:
    """True where the server (or its user) may not read local data."""
    return _told(error)[0] in _LOCAL_INFILE


@contextmanager
def mariadb_faults(where: str | None = None) -> Iterator[None]:
    """Turn what the driver raises inside into the toolkit's errors, with the cause chained."""
    try:
        yield
    except (pymysql.MySQLError, sa.exc.DBAPIError) as error:
        raise translated(error, where) from error


def _told(error: object) -> tuple[int, str]:
    arguments: tuple[object, ...] = getattr(error, "args", ())
    number = arguments[0] if arguments and isinstance(arguments[0], int) else 0
    text = str(arguments[1]) if len(arguments) > 1 else str(error)
    return number, text.strip() or type(error).__name__


def _constraint(text: str) -> str | None:
    for pattern in _CONSTRAINT:
        match = pattern.search(text)
        if match:
            return match[1]
    return None
