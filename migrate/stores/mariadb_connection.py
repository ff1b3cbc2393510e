"""Connections to MariaDB and MySQL with the session settings that reading and writing rely on."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from migrate.stores.mariadb_errors import mariadb_faults
from migrate.stores.urls import redacted

LOCK_WAIT_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 15
IDLE_SECONDS: Final = 15
"""How long a small statement's transaction may stand still: less than a lease lasts, so that a frozen process keeps nobody from taking over."""

# NO_AUTO_VALUE_ON_ZERO: 0 in an AUTO_INCREMENT column is 0, and not the next number.
_STRICT: Final = (
    "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO"
)
# Without strictness a read can still see 0000-00-00; a slow consumer must not lose its connection.
_READ_SETTINGS: Final = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 3600, "
    # A reader waits for nothing but a change of the table; by default it would wait for a day.
    f"lock_wait_timeout = {LOCK_WAIT_SECONDS * 2}"
)
_WRITE_SETTINGS: Final = (
    f"SET SESSION time_zone = '+00:00', sql_mode = '{_STRICT}', net_write_timeout = 3600, "
    f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, lock_wait_timeout = {LOCK_WAIT_SECONDS * 2}, "
    "foreign_key_checks = 1, unique_checks = 1"
)


def reading_engine(url: sa.URL) -> sa.Engine:
    """For consistent, read-only snapshots; each connection is a new one."""
    arguments = _arguments(_READ_SETTINGS, local_infile=False)
    return sa.create_engine(url, poolclass=sa.NullPool, isolation_level="REPEATABLE READ", connect_args=arguments)


def writing_engine(url: sa.URL) -> sa.Engine:
    """For strict writing under READ COMMITTED; gap locks of REPEATABLE READ deadlock.

    Connections are kept for the next small statement: making one loads all certificates of the system (measured: 58 ms of 69).
    """
    # MySQL has no such limit, and takes the comment for one.
    settings = f"{_WRITE_SETTINGS} /*M!100300 , idle_transaction_timeout = {IDLE_SECONDS} */"
    arguments = _arguments(settings, local_infile=True)
    return sa.create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", connect_args=arguments)


def connect(engine: sa.Engine) -> sa.Connection:
    """A new connection.

    Raises:
        EnvironmentFault: the server cannot be reached, or refuses the user.
    """
    with mariadb_faults(redacted(engine.url)):
        return engine.connect()


def connect_for_batches(engine: sa.Engine) -> sa.Connection:
    """A new connection outside of the pool, so that its locks and temporary tables end with it; it may stand still while a batch is mapped."""
    connection = connect(engine)
    connection.detach()
    with mariadb_faults(redacted(engine.url)):
        driver_connection(connection).query(
            "SET SESSION net_write_timeout = 3600 /*M!100300 , idle_transaction_timeout = 0 */"
        )
    return connection


def driver_connection(connection: sa.Connection) -> Any:
    """pymysql's connection under one of SQLAlchemy's."""
    return connection.connection.dbapi_connection  # driver_connection is None for a connection outside of the pool


def _arguments(settings: str, *, local_infile: bool) -> dict[str, Any]:
    return {
        "charset": "utf8mb4",
        "init_command": settings,
        "local_infile": local_infile,
        "connect_timeout": _CONNECT_SECONDS,
    }
