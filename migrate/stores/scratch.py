"""Scratch tables beside a target table: its columns with their types, without keys, constraints and defaults.

Whatever they are filled with, no row of the target changes. Their names begin with `migrate_scratch_`, so that one which a killed process left is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from migrate.errors import EnvironmentFault
from migrate.stores.mariadb_shape import quoted
from migrate.stores.port import TargetStore
from migrate.stores.postgres_types import quote
from migrate.values import TableShape

PREFIX: Final = "migrate_scratch_"


@contextmanager
def scratch_table(store: TargetStore, shape: TableShape, name: str) -> Iterator[TableShape]:
    """The shape of a new empty table like `shape`, in the same schema, which is dropped behind the block.

    `name`: what to append to `PREFIX`, of no other table. Raises EnvironmentFault where the user may not make tables.
    """
    place = scratch_name(shape, name)
    _run(store, _definition(store, shape, place))
    try:
        made = store.describe(place)
        if made is None:
            raise EnvironmentFault(f"the scratch table {place} is not there", next_step="run the same command again")
        yield made
    finally:
        drop_scratch(store, place)


def scratch_name(shape: TableShape, name: str) -> str:
    """What `scratch_table` calls its table."""
    schema, dot, _ = shape.name.rpartition(".")
    return f"{schema}{dot}{PREFIX}{name}"


def present_scratch(store: TargetStore, schemas: Collection[str | None]) -> list[str]:
    """The tables of these schemas (None: the connection's own) whose names begin like those of scratch tables; of schemas that are not there, none."""
    inspector = sa.inspect(store.engine())
    there = set(inspector.get_schema_names())
    return [
        name if schema is None else f"{schema}.{name}"
        for schema in sorted(schemas, key=str)
        if schema is None or schema in there
        for name in sorted(inspector.get_table_names(schema))
        if name.startswith(PREFIX)
    ]


def dropping(store: TargetStore, place: str) -> str:
    """The statement that drops a table."""
    return f"DROP TABLE IF EXISTS {_table(store, place)}"


def drop_scratch(store: TargetStore, place: str) -> None:
    """Drop a scratch table, if it is there. Raises EnvironmentFault where the database does not."""
    _run(store, dropping(store, place))


def _definition(store: TargetStore, shape: TableShape, place: str) -> str:
    if store.dialect == "sqlite":
        # A table made of a query has its affinities, but not the declared types that decide how values are read.
        columns = ", ".join(f"{_quoted(store, column.name)} {column.declared}" for column in shape.columns)
        return f"CREATE TABLE {_table(store, place)} ({columns})"
    columns = ", ".join(_quoted(store, name) for name in shape.names)
    unlogged = "UNLOGGED " if store.dialect == "postgresql" else ""
    origin = _table(store, shape.name)
    return f"CREATE {unlogged}TABLE {_table(store, place)} AS SELECT {columns} FROM {origin} WHERE 1 = 0"


def _table(store: TargetStore, name: str) -> str:
    """A table as SQL names it, with its schema where the database has schemas."""
    parts = [name] if store.dialect == "sqlite" else name.split(".", 1)
    return ".".join(_quoted(store, part) for part in parts)


def _quoted(store: TargetStore, name: str) -> str:
    # Not SQLAlchemy's own: with such drivers it doubles percent signs already, and `_run` would do so again.
    return quoted(name) if store.dialect == "mariadb" else quote(name)


def _run(store: TargetStore, statement: str) -> None:
    # Drivers with parameters of the form %s take every percent sign for one.
    text = statement if store.dialect == "sqlite" else statement.replace("%", "%%")
    try:
        with store.engine().begin() as connection:
            connection.exec_driver_sql(text)
    except sa.exc.DBAPIError as error:
        raise EnvironmentFault(
            f"a scratch table cannot be made or dropped: {error.orig}",
            next_step="give the database user the right to create tables, then run the same command again",
        ) from error
