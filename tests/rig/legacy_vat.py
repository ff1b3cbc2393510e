"""The interface's example mapping with databases for it: a generated legacy table, and invoice tables with all their indexes or only a key."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from fixtures import bulk
from fixtures.legacy import create_tables
from fixtures.loading import open_loader
from migrate.invoice.apply import apply_schema
from migrate.invoice.schema import INVOICE
from migrate.stores.opening import open_target
from migrate.stores.urls import parse_url
from tests.databases import PostgresServer

MAPPING: Final = Path(__file__).parent.parent / "benchmarks/legacy_vat.yaml"

NewDatabase = Callable[[], contextlib.AbstractContextManager[str]]
"""Makes an empty database, gives its URL, and drops it at the end."""


def fill(url: str, rows: int) -> None:
    """Generated headers straight into the legacy table."""
    place = parse_url(url)
    create_tables(place)
    with open_loader(place) as loader:
        for batch in bulk.headers(rows, seed=1):
            loader.write("fpxx", batch)
        loader.commit()


def canonical(engine: sa.Engine) -> None:
    """The invoice tables with all their indexes and constraints."""
    apply_schema(engine)


def only_key(engine: sa.Engine) -> None:
    """The invoice table with nothing but its primary key."""
    columns = [
        sa.Column(column.name, column.type, primary_key=column.primary_key, nullable=column.nullable)
        for column in INVOICE.columns
    ]
    sa.Table(INVOICE.name, sa.MetaData(), *columns).create(engine)


@contextlib.contextmanager
def target(make: NewDatabase, schema: Callable[[sa.Engine], None]) -> Iterator[str]:
    """A fresh database with these tables."""
    with make() as url:
        store = open_target(url, None)
        try:
            schema(store.engine())
        finally:
            store.close()
        yield url


def settle(server: PostgresServer, url: str, *, in_key_order: bool = False) -> None:
    """Vacuum and analyse a database after it was filled; `in_key_order`: with the legacy table in the order of its key first."""
    database = parse_url(url).database
    if in_key_order:
        server.execute("cluster fpxx using fpxx_pkey", database)
    server.execute("vacuum analyze", database)
