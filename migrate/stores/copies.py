"""A copy of some tables of a database beside them, on the same server: structure, keys, checks, rows; gone behind the block.

PostgreSQL: a schema; MariaDB: a database; SQLite: a file. The copy has a URL of its own, under which nothing of the original can be reached
by its plain name. Nothing of the original is changed; its sequences are not shared.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from migrate.errors import EnvironmentFault, InputError
from migrate.stores.mariadb_shape import quoted
from migrate.stores.port import TargetStore
from migrate.stores.postgres_types import quote
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
    place = quote(name)
    with _told("a schema"), store.engine().begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {place}")
        for table in tables:
            _copy_to_schema(connection, quote(table), f"{place}.{quote(table)}")
        numbers = [each for table in tables for each in connection.execute(_SEQUENCES, {"name": quote(table)})]
        keys = [key for table in tables for key in connection.execute(_FOREIGN_KEYS, {"name": quote(table)})]
        # Read under the old path, made under the new one: a parent or sequence that is named without a schema is the copied one.
        connection.exec_driver_sql(f"SET LOCAL search_path TO {place}")
        for number in numbers:
            _copy_sequence(connection, number, place)
        for child, key, definition in keys:
            _do(connection, f"ALTER TABLE {quote(child)} ADD CONSTRAINT {quote(key)} {definition}")
    try:
        with store.engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in tables:
                _do(connection, f"ANALYZE {place}.{quote(table)}")
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
    "SELECT attname FROM pg_attribute"
    " WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
)
_SEQUENCES: Final = sa.text(
    "SELECT t.relname AS table_name, a.attname AS column_name, a.attidentity <> '' AS identity, s.relname AS sequence,"
    " s.oid::regclass::text AS origin, pg_get_expr(d.adbin, d.adrelid) AS definition,"
    " format_type(q.seqtypid, NULL) AS type, q.seqstart AS start, q.seqincrement AS step, q.seqmin AS low, q.seqmax AS high,"
    " q.seqcycle AS cycles FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attidentity = ''"
    " JOIN pg_depend p ON p.refclassid = 'pg_class'::regclass AND p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid"
    " OR a.attidentity <> '' AND p.deptype = 'i' AND p.classid = 'pg_class'::regclass AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum"
    " JOIN pg_class s ON s.relkind = 'S' AND s.oid = CASE WHEN a.attidentity <> '' THEN p.objid ELSE p.refobjid END"
    " JOIN pg_sequence q ON q.seqrelid = s.oid WHERE a.attrelid = to_regclass(:name) ORDER BY a.attnum"
)
"""Sequences that number columns, for their own sake (identity) or by a default, whoever owns them."""


def _copy_to_schema(connection: sa.Connection, table: str, place: str) -> None:
    names = ", ".join(quote(name) for (name,) in connection.execute(_COLUMNS, {"name": table}))
    _do(connection, f"CREATE TABLE {place} (LIKE {table} INCLUDING ALL)")
    _do(connection, f"INSERT INTO {place} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {table}")


def _copy_sequence(connection: sa.Connection, number: sa.Row[Any], place: str) -> None:
    """Number a column of the copy from a sequence of its own, which stands where the original stands."""
    table, column = f"{place}.{quote(number.table_name)}", quote(number.column_name)
    copy = f"{place}.{quote(number.sequence)}"
    if number.identity:
        own = sa.text("SELECT pg_get_serial_sequence(:table, :column)")
        copy = connection.execute(own, {"table": table, "column": number.column_name}).scalar_one()
    else:
        # LIKE took over a default that draws from the original's sequence.
        _do(
            connection,
            f"CREATE SEQUENCE IF NOT EXISTS {copy} AS {number.type} START {number.start} INCREMENT {number.step}"
            f" MINVALUE {number.low} MAXVALUE {number.high} {'' if number.cycles else 'NO '}CYCLE",
        )
        _do(connection, f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {number.definition}")
    (state,) = _do(connection, f"SELECT last_value, is_called FROM {number.origin}").mappings()
    connection.execute(_ADVANCE, {"copy": copy, **state})


_ADVANCE: Final = sa.text("SELECT setval(CAST(:copy AS regclass), :last_value, :is_called)")


@contextmanager
def _as_database(
    store: TargetStore, url: sa.URL, tables: Sequence[str], name: str, _without: Collection[str]
) -> Iterator[str]:
    place, origin = quoted(name), quoted(url.database or "")
    defaults = sa.text(
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = :name"
    )
    with _told("a database"), store.engine().connect() as connection:
        charset, collation = connection.execute(defaults, {"name": url.database}).one()
        connection.exec_driver_sql(f"CREATE DATABASE {place} CHARACTER SET {charset} COLLATE {collation}")
    try:
        with _told("a database"), store.engine().connect() as connection:
            try:
                made = [str(tuple(_do(connection, f"SHOW CREATE TABLE {quoted(table)}").one())[1]) for table in tables]
                names = {table: _stored_columns(connection, url.database or "", table) for table in tables}
                connection.exec_driver_sql(f"USE {place}")
                connection.exec_driver_sql("SET foreign_key_checks = 0")
                for definition in made:
                    _do(connection, definition)
                for table in tables:
                    columns, named = ", ".join(map(quoted, names[table])), quoted(table)
                    _do(connection, f"INSERT INTO {named} ({columns}) SELECT {columns} FROM {origin}.{named}")
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
    with _told("a file beside it"):
        # Made before it is filled, for those who may read the original.
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, origin.stat().st_mode & 0o777))
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


def _do(connection: sa.Connection, statement: str) -> sa.CursorResult[Any]:
    """Run a statement without parameters: drivers with those of the form %s take every percent sign for one."""
    return connection.exec_driver_sql(statement.replace("%", "%%"))


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
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
