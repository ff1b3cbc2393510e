"""MariaDB and MySQL as source and as target; as target InnoDB only."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from migrate.errors import InputError
from migrate.stores import mariadb_wire as wire
from migrate.stores.mariadb_connection import connect, connect_for_batches, driver_connection, writing_engine
from migrate.stores.mariadb_errors import mariadb_faults
from migrate.stores.mariadb_session import MariaSession
from migrate.stores.mariadb_shape import describe_table, literal, pointing_at, quoted, quoted_table
from migrate.stores.mariadb_source import MariaSource, engine_and_series
from migrate.stores.urls import parse_url, redacted
from migrate.values import PointingTable, SourceSpec, TableShape


def open_source(spec: SourceSpec) -> MariaSource:
    """The table or query of `spec`, with its shape read.

    Raises:
        InputError: no such table, or the server does not accept the query.
        EnvironmentFault: the database cannot be reached.
    """
    return MariaSource(spec)


def open_target(url: str, ledger_schema: str | None = None) -> MariaTarget:
    """The target database; `ledger_schema` is another database of the same server."""
    return MariaTarget(parse_url(url), ledger_schema)


class MariaTarget:
    """See `migrate.stores.port.TargetStore`."""

    dialect = "mariadb"
    writers: int | None = None

    def __init__(self, url: sa.URL, ledger_schema: str | None) -> None:
        if not url.database:
            raise InputError(
                f"the URL names no database: {redacted(url)}", next_step="write it like mysql://user@host/database"
            )
        self.ledger_schema = ledger_schema
        self._url = url
        self._engine: sa.Engine | None = None

    def describe(self, table: str) -> TableShape | None:
        """The table's shape, or None."""
        with connect(self.engine()) as connection:
            described = describe_table(driver_connection(connection), table, writing=True)
        return None if described is None else described[1]

    def pointing_at(self, tables: Collection[str]) -> list[PointingTable]:
        """See `TargetStore`; of all databases of the server that this user may look into."""
        with connect(self.engine()) as connection:
            return pointing_at(driver_connection(connection), tables)

    def session(self) -> MariaSession:
        """Open a connection, which ends with the session."""
        return MariaSession(connect_for_batches(self.engine()), redacted(self._url))

    def engine(self) -> sa.Engine:
        """The engine that the store owns."""
        if self._engine is None:
            self._engine = writing_engine(self._url)
        return self._engine

    def advance_sequences(self, table: TableShape) -> list[str]:
        """InnoDB counts on from every explicit value by itself; what an old table still lags behind is set."""
        identity = next((column for column in table.columns if column.default_kind == "identity"), None)
        if identity is None:
            return []
        schema, dot, name = table.name.rpartition(".")
        place = f"TABLE_SCHEMA = {literal(schema) if dot else 'database()'} AND TABLE_NAME = {literal(name)}"
        with connect(self.engine()) as connection, mariadb_faults(table.name):
            raw = driver_connection(connection)
            [(highest,)] = wire.rows_of(raw, f"SELECT max({quoted(identity.name)}) FROM {quoted_table(table.name)}")
            [(following,)] = wire.rows_of(raw, f"SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE {place}")
            if highest is None or following is None or int(following) > int(highest):
                return []
            raw.query(f"ALTER TABLE {quoted_table(table.name)} AUTO_INCREMENT = {int(highest) + 1}")
        return [f"AUTO_INCREMENT of {table.name} set to {int(highest) + 1}"]

    def fingerprint(self) -> dict[str, str]:
        """The engine and its series."""
        with connect(self.engine()) as connection, mariadb_faults(redacted(self._url)):
            [(version,)] = wire.rows_of(driver_connection(connection), "SELECT version()")
        return engine_and_series(str(version))

    def close(self) -> None:
        """Free the engine."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
