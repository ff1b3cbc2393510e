"""Snapshots of PostgreSQL that several connections read in. Never writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from migrate.errors import EnvironmentFault
from migrate.stores.postgres_connection import PostgresConnection

READ_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    # A batch that has to be sorted stays in memory.
    "work_mem": "64MB",
    "lock_timeout": "30s",
    # A scan that joins another one in the middle would break the physical order.
    "synchronize_seqscans": "off",
    # A policy that hides rows, behind a view too, makes the statement fail; else they would be missing from a run and from its verification alike.
    "row_security": "off",
}
_EXPORT: Final = "SELECT pg_export_snapshot()"
_MAY_EXPORT: Final = "SELECT has_function_privilege('pg_export_snapshot()', 'execute')"


@dataclass(frozen=True, slots=True)
class ExportedSnapshot:
    """The snapshot of a reader, for others; it is there as long as that reader."""

    identifier: str
    shared = True

    def close(self) -> None:
        """It ends with its reader."""


class PostgresSnapshot:
    """A transaction that exports its snapshot; readers must open before it is closed, and keep what they have after."""

    shared = True

    def __init__(self, url: sa.URL) -> None:
        self._connection = PostgresConnection(url, READ_SETTINGS)
        try:
            self._connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self.identifier = exported(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """End it."""
        self._connection.close()


def require_exportable(connection: PostgresConnection) -> None:
    """Raise EnvironmentFault where this user may not export the snapshot of a transaction.

    A savepoint may be around this question, and not around the export itself, whose failure ends the transaction.
    """
    if connection.rows(_MAY_EXPORT) != [(True,)]:
        raise EnvironmentFault("snapshots may not be exported", where=connection.where)


def exported(connection: PostgresConnection) -> str:
    """The identifier of the snapshot of this connection's transaction."""
    return str(connection.rows(_EXPORT)[0][0])
