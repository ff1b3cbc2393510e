"""SQLite through ADBC: one library for rows as Arrow and for ledger statements, so that both are in one transaction.

It must stay the only SQLite library that opens a file in this process: when a second copy of SQLite closes the same file, POSIX
drops the locks of the first, and two processes write at once. Hence this module is also a DBAPI module for SQLAlchemy.

A transaction begins by itself, as BEGIN IMMEDIATE, with the first statement that writes; queries before it see committed state.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import adbc_driver_manager
import adbc_driver_sqlite.dbapi
import pyarrow as pa
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

paramstyle = "qmark"
apilevel = "2.0"
threadsafety = 1
Binary = bytes

BUSY_MILLISECONDS: Final = 30_000
"""How long a statement waits for another writer."""

_WRITES: Final = re.compile(r"\s*(insert|update|delete|replace|create|drop|alter|reindex)\b", re.IGNORECASE)
_WITH: Final = re.compile(r"\s*with\b.*\b(insert|update|delete|replace)\b", re.IGNORECASE | re.DOTALL)
_CHANGES: Final = re.compile(r"\s*(insert|update|delete|replace|with)\b", re.IGNORECASE)
_INTEGRITY: Final = re.compile(r"constraint failed|cannot store|datatype mismatch")
_UNREACHABLE: Final = re.compile(
    r"locked|busy|unable to open|disk|readonly|malformed|not a database|out of memory|interrupted"
)


class Error(Exception):
    """Anything that SQLite or its driver reports."""


class InterfaceError(Error):
    """The driver was used wrongly."""


class DatabaseError(Error):
    """SQLite reports an error."""


class OperationalError(DatabaseError):
    """Locked, full, unreadable."""


class IntegrityError(DatabaseError):
    """A constraint failed."""


class ProgrammingError(DatabaseError):
    """SQL that cannot be run."""


class DataError(DatabaseError):
    """Never raised; part of the DBAPI."""


class InternalError(DatabaseError):
    """Never raised; part of the DBAPI."""


class NotSupportedError(DatabaseError):
    """Never raised; part of the DBAPI."""


def driver_error(error: Exception) -> Error:
    """The DBAPI error that stands for one of ADBC's, told apart by SQLite's own message."""
    text = str(error)
    message = re.sub(r"^[A-Z_]+: (\[SQLite\] )?", "", text.split("\nquery:", maxsplit=1)[0])
    if _INTEGRITY.search(text):
        return IntegrityError(message)
    if _UNREACHABLE.search(text):
        return OperationalError(message)
    return ProgrammingError(message)


_DRIVER_ERRORS: Final = (adbc_driver_manager.Error, OSError, pa.ArrowInvalid)


_PARAMETER_TYPES: Final = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    type(None): pa.null(),
}
"""Arrow's own choice, which it takes ten times as long to find: it looks for `dateutil` first, each time."""


def _bound(parameters: Sequence[object]) -> pa.RecordBatch:
    """The parameters of one statement."""
    arrays = [pa.array([value], _PARAMETER_TYPES.get(type(value))) for value in parameters]
    return pa.record_batch(arrays, names=[str(place) for place in range(len(arrays))])


def _library_version() -> str:
    """The version of SQLite inside the driver, which is not that of the Python module `sqlite3`."""
    with adbc_driver_sqlite.dbapi.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sqlite_version()")
        return str(cursor.fetchall()[0][0])


sqlite_version = _library_version()
sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))


class Connection:
    """One connection of ADBC in autocommit mode, whose transactions are plain SQL; also a DBAPI connection.

    Raises:
        OperationalError: the file cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        mode = "ro" if read_only else "rwc"
        self.in_transaction = False
        self._read_only = read_only
        self._raw: Any = None
        try:
            self._raw = adbc_driver_sqlite.dbapi.connect(f"file:{quote(str(path))}?mode={mode}", autocommit=True)
            self.run(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
            # The first look at the file: whether it is one, and may be read.
            self.run("PRAGMA schema_version")
            if not read_only:
                self.run("PRAGMA synchronous=FULL")
                self.run("PRAGMA journal_mode=WAL")
                self.run("PRAGMA foreign_keys=ON")
        except _DRIVER_ERRORS as error:
            self.close()
            raise driver_error(error) from error
        except Error:
            self.close()
            raise

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any."""
        return self.query(sql, parameters)[1]

    def query(self, sql: str, parameters: Sequence[object] = ()) -> tuple[list[Any], list[tuple[Any, ...]]]:
        """The description and the rows of one statement; begins a transaction for a statement that writes."""
        if not self._read_only and not self.in_transaction and (_WRITES.match(sql) or _WITH.match(sql)):
            self.begin()
        cursor = self._cursor()
        try:
            cursor.execute(sql, _bound(parameters) if parameters else None)
            description = list(cursor.description or [])
            return description, cursor.fetchall() if description else []
        except _DRIVER_ERRORS as error:
            raise driver_error(error) from error
        finally:
            cursor.close()

    def write_rows(self, sql: str, rows: pa.Table) -> None:
        """Run a statement once per row of `rows`, whose columns are its parameters in order (int64, double, string, binary)."""
        cursor = self._cursor()
        try:
            cursor.executemany(sql, rows)
        except _DRIVER_ERRORS as error:
            raise driver_error(error) from error
        finally:
            cursor.close()

    def stream(self, sql: str, parameters: Sequence[object], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The result as record batches. Column types are those of the first `batch_rows` rows, so the statement must make them plain."""
        cursor = self._cursor()
        try:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(batch_rows)})
            cursor.execute(sql, _bound(parameters) if parameters else None)
            yield from cursor.fetch_record_batch()
        except _DRIVER_ERRORS as error:
            raise driver_error(error) from error
        finally:
            cursor.close()

    def begin(self) -> None:
        """Take the write lock: a transaction that has only read could not write any more once somebody else did."""
        self._plain("BEGIN IMMEDIATE")
        self.in_transaction = True

    def begin_reading(self) -> None:
        """Begin a read transaction; its snapshot is taken by the first query."""
        self._plain("BEGIN")
        self.in_transaction = True

    def commit(self) -> None:
        """Commit, if there is a transaction; a failed one is still open."""
        if self.in_transaction:
            self._plain("COMMIT")
            self.in_transaction = False

    def rollback(self) -> None:
        """Roll back, if there is a transaction; SQLite may have done so by itself already."""
        if self.in_transaction:
            self.in_transaction = False
            try:
                self._plain("ROLLBACK")
            except Error as error:
                if "no transaction is active" not in str(error):
                    raise

    def cursor(self) -> Cursor:
        """A DBAPI cursor, for SQLAlchemy."""
        return Cursor(self)

    def close(self) -> None:
        """Free the connection, rolling back what is open; safe to call twice."""
        raw, self._raw = self._raw, None
        self.in_transaction = False
        if raw is not None:
            raw.close()

    def _cursor(self) -> Any:
        if self._raw is None:
            raise InterfaceError("the connection is closed")
        return self._raw.cursor()

    def _plain(self, sql: str) -> None:
        cursor = self._cursor()
        try:
            cursor.execute(sql)
        except _DRIVER_ERRORS as error:
            raise driver_error(error) from error
        finally:
            cursor.close()


class Cursor:
    """A DBAPI cursor that fetches a statement's rows at once: ledger statements are small."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: list[Any] | None = None
        self.rowcount = -1

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """Run one statement."""
        description, self._rows = self._connection.query(sql, parameters)
        self.description = description or None
        self.rowcount = -1
        if _CHANGES.match(sql):
            self.rowcount = int(self._connection.run("SELECT changes()")[0][0])

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for each row of parameters."""
        changed = 0
        for row in rows:
            self.execute(sql, row)
            changed += max(self.rowcount, 0)
        self.rowcount = changed

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """At most `size` rows."""
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    @property
    def lastrowid(self) -> int:
        """The row id of the row inserted last."""
        return int(self._connection.run("SELECT last_insert_rowid()")[0][0])

    def close(self) -> None:
        """Forget the rows."""
        self._rows = []


def connect(path: str | Path, *, read_only: bool = False) -> Connection:
    """Open a SQLite file, which is made when it is missing and may be written."""
    return Connection(Path(path), read_only=read_only)


class AdbcDialect(SQLiteDialect):
    """SQLAlchemy's SQLite over this module."""

    driver = "adbc"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        """This module."""
        import sys

        return sys.modules[__name__]

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        # Reflection asks for it.
        version: str = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        return tuple(int(part) for part in version.split("."))

    def is_disconnect(self, e: object, connection: object, cursor: object) -> bool:
        """Never: a file does not hang up."""
        del e, connection, cursor
        return False
