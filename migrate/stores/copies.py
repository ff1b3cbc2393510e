"""A copy of some tables of a database beside them, on the same server: structure, keys, checks, rows; gone behind the block.

PostgreSQL: a schema; MariaDB: a database; SQLite: a file. The copy has a URL of its own, under which nothing of the original can be reached
by its plain name. Nothing of the original is changed; its sequences are not shared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from migrate.errors import EnvironmentFault, InputError
from migrate.stores.port import TargetStore
from migrate.stores.urls import dialect_of, parse_url, redacted, sqlite_path

PREFIX: Final = "migrate_rehearsal_"
"""How the names of copies begin, so that one which a killed process left is known."""


def copied(
    store: TargetStore, url: str, tables: Sequence[str], name: str, without: Collection[str] = ()
) -> AbstractContextManager[str]:
    """The URL of a copy of `tables` (parents first) of the database at `url`, called `PREFIX` and `name`, which is dropped behind the block.

    `without`: tables that a copy of a whole file must not have. Raises InputError for a table outside of the connection's own schema, or a
    database that cannot be copied like that; EnvironmentFault where the user may not.
    """
    foreign = [table for table in tables if "." in table]
    if foreign:
        raise InputError(
            f"{foreign[0]} is in a schema of its own: a copy cannot stand in for it",
            next_step="make the copy yourself, and name its database: --on URL",
        )
    copy = _COPIES.get(dialect_of(parse_url(url)))
    if copy is None:
        raise InputError(f"{redacted(url)} cannot be copied", next_step="make a copy yourself, and name it: --on URL")
    return copy(store, parse_url(url), tables, f"{PREFIX}{name}", without)


@contextmanager
def _as_schema(
    store: TargetStore, url: sa.URL, tables: Sequence[str], name: str, _without: Collection[str]
) -> Iterator[str]:
    quote = store.engine().dialect.identifier_preparer.quote_identifier
    place = quote(name)
    with _told("a schema"), store.engine().begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {place}")
        for table in tables:
            _copy_to_schema(connection, quote(table), f"{place}.{quote(table)}")
        keys = [key for table in tables for key in connection.execute(_FOREIGN_KEYS, {"name": quote(table)})]
        # Read under the old path, made under the new one: a parent that is named without a schema is the copied one.
        connection.exec_driver_sql(f"SET LOCAL search_path TO {place}")
        for child, key, definition in keys:
            connection.exec_driver_sql(f"ALTER TABLE {quote(child)} ADD CONSTRAINT {quote(key)} {_percent(definition)}")
    try:
        with store.engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in tables:
                connection.exec_driver_sql(f"ANALYZE {place}.{quote(table)}")
        # Only this schema: whatever is not in it must be missing, and not found in the original.
        options = f"-c search_path={name}"
        yield url.update_query_dict({"options": options}).render_as_string(hide_password=False)
    finally:
        with store.engine().begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {place} CASCADE")


_FOREIGN_KEYS: Final = sa.text(
    "SELECT (SELECT relname FROM pg_class WHERE oid = conrelid), conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE contype = 'f' AND conrelid = to_regclass(:name) ORDER BY conname"
)
_COLUMNS: Final = sa.text(
    "SELECT attname, pg_get_serial_sequence(:name, attname) IS NOT NULL, attidentity <> '' FROM pg_attribute"
    " WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
)


_ADVANCE: Final = "SELECT setval(pg_get_serial_sequence(:name, :column), max({column})) FROM {copy} HAVING count(*) > 0"


def _copy_to_schema(connection: sa.Connection, table: str, place: str) -> None:
    columns = connection.execute(_COLUMNS, {"name": table}).all()
    quote = connection.dialect.identifier_preparer.quote_identifier
    names = _percent(", ".join(quote(name) for name, _, _ in columns))
    origin, copy = _percent(table), _percent(place)
    connection.exec_driver_sql(f"CREATE TABLE {copy} (LIKE {origin} INCLUDING ALL)")
    numbered = [(name, identity) for name, sequence, identity in columns if sequence]
    for name, identity in numbered:
        if not identity:
            # LIKE takes over a default that draws from the original's sequence.
            column = _percent(quote(name))
            connection.exec_driver_sql(f"ALTER TABLE {copy} ALTER COLUMN {column} DROP DEFAULT")
            connection.exec_driver_sql(f"ALTER TABLE {copy} ALTER COLUMN {column} ADD GENERATED BY DEFAULT AS IDENTITY")
    connection.exec_driver_sql(f"INSERT INTO {copy} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {origin}")
    for name, _ in numbered:
        newest = sa.text(_ADVANCE.format(column=quote(name), copy=place))
        connection.execute(newest, {"name": place, "column": name})


@contextmanager
def _as_database(
    store: TargetStore, url: sa.URL, tables: Sequence[str], name: str, _without: Collection[str]
) -> Iterator[str]:
    quote = store.engine().dialect.identifier_preparer.quote_identifier
    place, origin = quote(name), quote(url.database or "")
    defaults = sa.text(
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = :name"
    )
    with _told("a database"), store.engine().connect() as connection:
        charset, collation = connection.execute(defaults, {"name": url.database}).one()
        connection.exec_driver_sql(f"CREATE DATABASE {place} CHARACTER SET {charset} COLLATE {collation}")
    try:
        with _told("a database"), store.engine().connect() as connection:
            try:
                made = [connection.exec_driver_sql(f"SHOW CREATE TABLE {quote(table)}").one()[1] for table in tables]
                names = {table: _stored_columns(connection, url.database or "", table) for table in tables}
                connection.exec_driver_sql(f"USE {place}")
                connection.exec_driver_sql("SET foreign_key_checks = 0")
                for definition in made:
                    connection.exec_driver_sql(_percent(definition))
                for table in tables:
                    columns, named = (_percent(text) for text in (", ".join(map(quote, names[table])), quote(table)))
                    connection.exec_driver_sql(
                        f"INSERT INTO {named} ({columns}) SELECT {columns} FROM {origin}.{named}"
                    )
                connection.commit()
            finally:
                # It stands in another database by now, and checks no keys: nobody may get it from the pool.
                connection.invalidate()
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with store.engine().connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {place}")


def _stored_columns(connection: sa.Connection, database: str, table: str) -> list[str]:
    query = sa.text(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = :database AND table_name = :name"
        " AND extra NOT LIKE '%GENERATED' ORDER BY ordinal_position"
    )
    return [row[0] for row in connection.execute(query, {"database": database, "name": table})]


@contextmanager
def _as_file(
    _store: TargetStore, url: sa.URL, _tables: Sequence[str], name: str, without: Collection[str]
) -> Iterator[str]:
    origin = sqlite_path(url)
    if origin is None:
        raise InputError("a database in memory cannot be copied", next_step="name a copy: --on URL")
    place = origin.with_name(f"{origin.name}.{name}")
    try:
        with (
            _told("a file beside it"),
            closing(sqlite3.connect(f"{origin.resolve().as_uri()}?mode=ro", uri=True)) as database,
        ):
            database.execute("VACUUM INTO ?", [str(place)])
        with closing(sqlite3.connect(place)) as database:
            for table in without:
                database.execute(f'DROP TABLE IF EXISTS "{table}"')
            database.commit()
        yield url.set(database=str(place)).render_as_string(hide_password=False)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{place}{suffix}").unlink(missing_ok=True)


def _percent(text: str) -> str:
    """Drivers with parameters of the form %s take every percent sign for one."""
    return text.replace("%", "%%")


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        raise EnvironmentFault(
            f"the copy for the rehearsal cannot be made: {getattr(error, 'orig', error)}",
            next_step=f"give the database user the right to make {what}, or make the copy yourself and name its database: --on URL",
        ) from error


_COPIES: Final[
    dict[str, Callable[[TargetStore, sa.URL, Sequence[str], str, Collection[str]], AbstractContextManager[str]]]
] = {
    "postgresql": _as_schema,
    "mariadb": _as_database,
    "sqlite": _as_file,
}
