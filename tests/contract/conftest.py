"""Every store, on fresh databases: its own on PostgreSQL, MariaDB and SQLite, and the generic one on each of the three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from migrate.stores import generic
from migrate.stores.opening import open_source, open_target
from migrate.stores.port import SourceReader, SourceStore, TargetSession, TargetStore
from migrate.stores.urls import parse_url, with_socket_folders
from migrate.values import SourceSpec, TableShape
from tests.contract.family import tables

STORES = ("postgresql", "mariadb", "sqlite", "generic-postgresql", "generic-mariadb", "generic-sqlite")


@dataclass
class Store:
    """One store on a database of its own. What is opened through it is closed at the end of the test."""

    name: str
    url: str
    engine: sa.Engine
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def kind(self) -> str:
        """The kind of database behind it."""
        return self.name.removeprefix("generic-")

    @property
    def own(self) -> bool:
        """True for a store of one database, false for the generic one."""
        return not self.name.startswith("generic-")

    def create(self, *tables: sa.Table) -> None:
        """Create tables (all of one MetaData)."""
        tables[0].metadata.create_all(self.engine, list(tables))

    def run(self, *statements: str) -> None:
        """Run statements, committed."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a query, through another connection."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]

    def target(self) -> TargetStore:
        """The target store."""
        target = open_target(self.url) if self.own else generic.GenericTarget(self.engine)
        self._stack.callback(target.close)
        return target

    def session(self, target: TargetStore) -> TargetSession:
        """A session of the target."""
        session = target.session()
        self._stack.callback(session.close)
        return session

    def source(self, table: str | None = None, *, query: str | None = None, key: tuple[str, ...] = ()) -> SourceStore:
        """A source store over a table or query."""
        spec = SourceSpec(self.url, table=table, query=query, key=key)
        return open_source(spec) if self.own else generic.GenericSource(self.engine, spec)

    def reader(self, source: SourceStore) -> SourceReader:
        """A reader of the source."""
        reader = source.reader()
        self._stack.callback(reader.close)
        return reader

    def close(self) -> None:
        """Free everything."""
        self._stack.close()
        self.engine.dispose()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, new_database: Callable[[str], str]) -> Iterator[Store]:
    """Each store in turn, on an empty database."""
    name = str(request.param)
    url = new_database(name.removeprefix("generic-"))
    # Two copies of SQLite's library in one process do not see each other's locks: its own store brings the only one.
    made = Store(name, url, open_target(url).engine() if name == "sqlite" else _engine(url))
    try:
        yield made
    finally:
        made.close()


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(with_socket_folders(parse_url(url)) if url.startswith("postgresql") else parse_url(url))
    if engine.dialect.name == "sqlite":
        # The driver begins transactions late and not before a SAVEPOINT; SQLAlchemy's documentation has this remedy.
        @sa.event.listens_for(engine, "connect")
        def manual(connection: Any, _record: object) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA foreign_keys = on")
            connection.execute("PRAGMA journal_mode = wal")  # so that a reader does not hold up a writer

        @sa.event.listens_for(engine, "begin")
        def immediate(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN")

    return engine


@pytest.fixture
def opened(store: Store) -> tuple[TargetStore, TargetSession, TableShape]:
    """Target, session and shape of the child table, with one parent and one child there."""
    store.create(*tables())
    store.run(
        "INSERT INTO parent VALUES ('p')",
        "INSERT INTO child (id, code, name, amount, level) VALUES (1, 'p', 'one', '1.50', 0)",
    )
    target = store.target()
    shape = target.describe("child")
    assert shape is not None
    return target, store.session(target), shape
