"""Which table may have been meant, for the error about one that is not there."""

from __future__ import annotations

import difflib

import sqlalchemy as sa

from migrate.stores.urls import sqlite_path, with_socket_folders


def nearest_table(url: sa.URL, name: str) -> str | None:
    """`did you mean …`, or the tables that there are, of the schema that `name` is in; None where the database does not say."""
    schema, _, table = name.rpartition(".")
    try:
        names = _names(url, schema or None)
    except sa.exc.SQLAlchemyError:
        # This is about a better message for another error: that one must not be lost over it.
        return None
    # The ledger's own tables are nobody's source or target.
    names = [each for each in names if not each.startswith("migrate_")]
    folded = {each.lower(): each for each in names}
    found = difflib.get_close_matches(table.lower(), list(folded), n=1, cutoff=0.6)
    if found:
        return f"did you mean {folded[found[0]]}?"
    return f"its tables: {', '.join(sorted(names)[:_SHOWN])}{' …' if len(names) > _SHOWN else ''}" if names else None


_SHOWN = 10


def _names(url: sa.URL, schema: str | None) -> list[str]:
    if url.get_backend_name() == "postgresql":
        url = with_socket_folders(url)
    elif url.get_backend_name() == "sqlite":
        # A source is only read.
        url = url.set(database=f"file:{sqlite_path(url)}").update_query_dict({"mode": "ro", "uri": "true"})
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        seen = sa.inspect(connection)
        return [*seen.get_table_names(schema), *seen.get_view_names(schema)]
