"""PostgreSQL as a store; see `postgres_source` and `postgres_target`."""

from migrate.stores.postgres_source import open_source

__all__ = ["open_source"]
