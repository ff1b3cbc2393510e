"""SQLite as source and as target.

A source is opened with `mode=ro`. A target is in WAL mode with `synchronous=FULL`, and has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import registry

from migrate.errors import EnvironmentFault, InputError, UnknownTable
from migrate.stores import sqlite_adbc
from migrate.stores.port import AbstractSnapshot
from migrate.stores.sqlite_errors import sqlite_faults
from migrate.stores.sqlite_reader import SqliteReader
from migrate.stores.sqlite_session import SqliteSession
from migrate.stores.sqlite_shape import describe_query, describe_table, pointing_at, with_row_number
from migrate.stores.urls import parse_url, sqlite_path
from migrate.values import PointingTable, SourceSpec, TableShape

registry.register("sqlite.adbc", "migrate.stores.sqlite_adbc", "AdbcDialect")


def open_source(spec: SourceSpec) -> SqliteSource:
    """The source that `spec` names; raises InputError when the file, table or query is not there."""
    return SqliteSource(spec)


def open_target(url: str, ledger_schema: str | None = None) -> SqliteTarget:
    """The target file, made at the first use when it is missing; SQLite has no schemas for a ledger.

    Raises:
        InputError: a database in memory, or a ledger schema.
    """
    if ledger_schema is not None:
        raise InputError("SQLite has no schemas", next_step="leave out --ledger-schema")
    return SqliteTarget(_file_of(url))


class PrivateSnapshot:
    """Stands for a snapshot where each reader has one of its own."""

    shared = False

    def close(self) -> None:
        """Nothing to end."""


class SqliteSource:
    """See `migrate.stores.port.SourceStore`."""

    def __init__(self, spec: SourceSpec) -> None:
        self._spec = spec
        self._path = _file_of(spec.url or "")
        if not self._path.is_file():
            raise InputError(f"no file {self._path}", where="source → url")
        self.shape = self._described()

    def snapshot(self) -> AbstractSnapshot:
        """A token: each connection has a snapshot of its own."""
        return PrivateSnapshot()

    def reader(self, snapshot: AbstractSnapshot | None = None) -> SqliteReader:
        """Open a connection in a read transaction."""
        del snapshot
        return SqliteReader(self._connect(), self._spec, self.shape, self._path)

    def fingerprint(self) -> dict[str, str]:
        """The engine and its version."""
        return {"engine": "sqlite", "version": sqlite_adbc.sqlite_version}

    def _connect(self) -> sqlite_adbc.Connection:
        with sqlite_faults(str(self._path)):
            return sqlite_adbc.connect(self._path, read_only=True)

    def _described(self) -> TableShape:
        connection = self._connect()
        try:
            with sqlite_faults(str(self._path)):
                if self._spec.query is not None:
                    return describe_query(connection, self._spec.query, self._spec.key)
                shape = describe_table(connection, self._spec.table or "", writing=False)
        finally:
            connection.close()
        if shape is None:
            raise UnknownTable(self._spec.table or "", where=str(self._path))
        return shape if self._spec.key else with_row_number(shape)


class SqliteTarget:
    """See `migrate.stores.port.TargetStore`."""

    dialect = "sqlite"
    ledger_schema: str | None = None
    writers: int | None = 1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine: sa.Engine | None = None

    def describe(self, table: str) -> TableShape | None:
        """The table's shape, or None; a file that is missing is not made by looking."""
        if not self._path.is_file():
            return None
        with sqlite_faults(str(self._path)), closing(sqlite_adbc.connect(self._path, read_only=True)) as connection:
            return describe_table(connection, table, writing=True)

    def pointing_at(self, tables: Collection[str]) -> list[PointingTable]:
        """See `TargetStore`."""
        with sqlite_faults(str(self._path)), closing(sqlite_adbc.connect(self._path, read_only=True)) as connection:
            return pointing_at(connection, tables)

    def session(self) -> SqliteSession:
        """Open a connection."""
        with sqlite_faults(str(self._path)):
            return SqliteSession(self.engine().connect(), str(self._path))

    def engine(self) -> sa.Engine:
        """An engine over the same library as the sessions: a second one would drop their locks."""
        if self._engine is None:
            self._engine = sa.create_engine("sqlite+adbc://", creator=self._opener(), poolclass=sa.NullPool)
        return self._engine

    def advance_sequences(self, table: TableShape) -> list[str]:
        """SQLite numbers rows from the highest value by itself; AUTOINCREMENT's own counter follows explicit values too."""
        del table
        return []

    def fingerprint(self) -> dict[str, str]:
        """The engine and its version."""
        return {"engine": "sqlite", "version": sqlite_adbc.sqlite_version}

    def close(self) -> None:
        """Free the engine."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _opener(self) -> Callable[[], sqlite_adbc.Connection]:
        path = self._path

        def connect() -> sqlite_adbc.Connection:
            if not path.parent.is_dir():
                raise EnvironmentFault(
                    f"no folder {path.parent}", where=str(path), next_step="make it, or check the URL"
                )
            return sqlite_adbc.connect(path)

        return connect


def _file_of(url: str) -> Path:
    path = sqlite_path(parse_url(url))
    if path is None:
        raise InputError(
            "a SQLite database in memory is gone with its connection", next_step="name a file: sqlite:///file.db"
        )
    return path
