"""PostgreSQL as a target: shapes, sessions, sequences."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

import sqlalchemy as sa

from migrate.errors import UnknownTable
from migrate.stores.postgres_connection import LIBPQ_OPTIONS, PostgresConnection
from migrate.stores.postgres_constraints import foreign_keys, hazards, hidden_rows, oddities, pointing_at, unique_keys
from migrate.stores.postgres_describe import (
    describe_relation,
    estimated_rows,
    find_relation,
    select,
)
from migrate.stores.postgres_errors import connect_faults, postgres_faults
from migrate.stores.postgres_session import PostgresSession
from migrate.stores.postgres_types import Relation, quote
from migrate.stores.urls import parse_url, redacted, with_socket_folders
from migrate.values import PointingTable, TableShape

LOCK_TIMEOUT: Final = "30s"
"""How long a statement of a session waits for a lock before it fails as TransientFault."""

IDLE_SECONDS: Final = 15
"""How long a small statement's transaction may stand still: less than a lease lasts, so that a frozen process keeps nobody from taking over."""

# A table that is being filled has no statistics: by itself the planner hashes the whole table to find a batch of keys
# (measured: 424 ms instead of 130 ms for 20,000 keys of 500,000 rows).
_SESSION_SETTINGS: Final = {"enable_hashjoin": "off", "random_page_cost": "1.1", "work_mem": "64MB"}

_SEQUENCE_OF: Final = """
SELECT coalesce(pg_get_serial_sequence(:relation, :column),
                substring(pg_get_expr(d.adbin, d.adrelid) FROM $r$nextval\\('([^']+)'$r$)) AS sequence
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = CAST(:relation AS regclass) AND a.attname = :column
"""
_STATE_OF: Final = "SELECT seqincrement AS step, seqmax AS high, seqmin AS low FROM pg_sequence WHERE seqrelid = CAST(:sequence AS regclass)"


class PostgresTarget:
    """Implements `TargetStore`."""

    dialect = "postgresql"
    writers: int | None = None

    def __init__(self, url: str, ledger_schema: str | None = None, *, lock_timeout: str = LOCK_TIMEOUT) -> None:
        self.url = with_socket_folders(parse_url(url))
        self.ledger_schema = ledger_schema
        self._lock_timeout = lock_timeout
        self._engine: sa.Engine | None = None
        self._relations: dict[str, Relation] = {}
        self._lock = Lock()

    def describe(self, table: str) -> TableShape | None:
        """The table's shape, read anew, or None when there is none."""
        with self._connected() as connection:
            found = find_relation(connection, table)
            if found is None:
                return None
            relation = describe_relation(connection, found)
            unique, unusual = unique_keys(connection, found["oid"])
            foreign, followers = foreign_keys(connection, found["oid"])
            obstacles = [*hazards(connection, found["oid"]), *hidden_rows(connection, found["oid"]), *followers]
            remarks = [*oddities(connection, found["oid"]), *unusual]
            rows = estimated_rows(connection, relation)
        with self._lock:
            self._relations[table] = relation
        columns = tuple(column.column for column in relation.columns)
        return TableShape(table, columns, unique, foreign, tuple(obstacles), tuple(remarks), rows)

    def pointing_at(self, tables: Collection[str]) -> list[PointingTable]:
        """See `TargetStore`; those of tables whose rows this user may not read are left out."""
        with self._connected() as connection:
            found = {name: place["oid"] for name in tables if (place := find_relation(connection, name)) is not None}
            own = set(found.values())
            return [each for name, oid in found.items() for each in pointing_at(connection, name, oid, own)]

    def session(self) -> PostgresSession:
        """Open a connection for writing.

        Raises:
            ConnectionLost: the server is not there (now).
            EnvironmentFault: it refuses user, password or database.
        """
        connection = PostgresConnection(self.url, {**_SESSION_SETTINGS, "lock_timeout": self._lock_timeout})
        return PostgresSession(connection, self._relation_of)

    def engine(self) -> sa.Engine:
        """For DDL and small statements outside of batch transactions, with the sessions' lock time-out."""
        with self._lock:
            if self._engine is None:
                given = self.url.query.get("options", "")
                settings = (
                    # What the URL sets (a search_path decides where the ledger is) holds here as in every other connection.
                    *((given,) if isinstance(given, str) else given),
                    f"-c lock_timeout={self._lock_timeout}",
                    f"-c idle_in_transaction_session_timeout={IDLE_SECONDS}s",
                )
                options = {**LIBPQ_OPTIONS, "options": " ".join(settings)}
                self._engine = sa.create_engine(self.url, connect_args=options, pool_pre_ping=True)
            return self._engine

    def advance_sequences(self, table: TableShape) -> list[str]:
        """Set the sequences behind the table's columns beyond the highest stored value; sentences about what was set.

        The table is locked against writers for the moment between looking and setting: a sequence must never be set back.
        """
        relation = self._relation_of(table)
        numbered = [column.name for column in relation.columns if column.column.default_kind == "identity"]
        sentences: list[str] = []
        for name in numbered:
            with self._connected() as connection, connection.begin():
                connection.exec_driver_sql(f"LOCK TABLE {relation.sql} IN SHARE ROW EXCLUSIVE MODE")
                sentence = _advanced(connection, relation, name)
                if sentence is not None:
                    sentences.append(sentence)
        return sentences

    def fingerprint(self) -> dict[str, str]:
        """Engine and major version."""
        with self._connected() as connection:
            number = connection.execute(sa.text("SELECT current_setting('server_version_num')::int")).scalar_one()
        return {"engine": "postgresql", "version": str(int(number) // 10000)}

    def close(self) -> None:
        """Free the pool of connections; sessions are closed by who opened them."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _relation_of(self, table: TableShape) -> Relation:
        with self._lock:
            known = self._relations.get(table.name)
        if known is None:
            if self.describe(table.name) is None:
                raise UnknownTable(table.name, where=redacted(self.url))
            with self._lock:
                known = self._relations[table.name]
        return known

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        where = redacted(self.url)
        with connect_faults(where):
            connection = self.engine().connect()
        # What is open goes back when the connection is returned: a lost one is told as that then too.
        with postgres_faults(where), connection:
            yield connection


def _advanced(connection: sa.Connection, relation: Relation, column: str) -> str | None:
    place = f"{quote(relation.schema)}.{quote(relation.name)}"
    sequence = select(connection, _SEQUENCE_OF, relation=place, column=column)[0]["sequence"]
    if sequence is None:
        return None
    state = select(connection, _STATE_OF, sequence=sequence)[0]
    rising = state["step"] > 0
    extreme = "max" if rising else "min"
    stored = connection.exec_driver_sql(
        f"SELECT {extreme}({quote(column)}) FROM {relation.sql}".replace("%", "%%")
    ).scalar_one()
    last, called = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {sequence}".replace("%", "%%")).one()
    following = last + state["step"] if called else last
    if (
        stored is None
        or (stored < following if rising else stored > following)
        or not state["low"] <= stored <= state["high"]
    ):
        return None
    select(
        connection, "SELECT setval(CAST(:sequence AS regclass), :stored, true)", sequence=sequence, stored=int(stored)
    )
    return f"{sequence} goes on after {stored} ({relation.schema}.{relation.name}.{column})"
