"""A fresh PostgreSQL database for a test, and what is opened on it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from migrate.stores.postgres_session import PostgresSession
from migrate.stores.postgres_source import PostgresReader, PostgresSource
from migrate.stores.postgres_target import PostgresTarget
from migrate.values import KeyRange, SourceSpec, TableShape


@dataclass
class Database:
    """A fresh database; what is opened through it is closed at the end of the test."""

    url: str
    stack: ExitStack = field(default_factory=ExitStack)

    def run(self, *statements: str) -> None:
        """Run statements, each committed."""
        with self.target().engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self.target().engine().connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement.replace("%", "%%"))]

    def target(self, lock_timeout: str = "30s") -> PostgresTarget:
        """The target store."""
        target = PostgresTarget(self.url, lock_timeout=lock_timeout)
        self.stack.callback(target.close)
        return target

    def session(self, target: PostgresTarget) -> PostgresSession:
        """A session."""
        session = target.session()
        self.stack.callback(session.close)
        return session

    def reader(self, table: str, key: tuple[str, ...] = ()) -> PostgresReader:
        """A reader of a table."""
        reader = PostgresSource(SourceSpec(self.url, table=table, key=key)).reader()
        self.stack.callback(reader.close)
        return reader


def shape_of(target: PostgresTarget, table: str) -> TableShape:
    """The shape of a table that is there."""
    shape = target.describe(table)
    assert shape is not None
    return shape


def everything(reader: PostgresReader, key: str, chunk_bytes: int = 1 << 20) -> pa.Table:
    """All rows in the order of a key."""
    return pa.Table.from_batches(list(reader.read(KeyRange(0, (key,), None, None), (key,), chunk_bytes)))
