"""PostgreSQL as a store; see `postgres_source` and `postgres_target`."""

from __future__ import annotations

from migrate.stores.postgres_source import open_source
from migrate.stores.postgres_target import PostgresTarget

__all__ = ["open_source", "open_target"]


def open_target(url: str, ledger_schema: str | None = None) -> PostgresTarget:
    """The target database at `url`; nothing is connected yet."""
    return PostgresTarget(url, ledger_schema)
