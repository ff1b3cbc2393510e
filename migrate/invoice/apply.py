"""Creates the invoice tables where they are missing, and refuses where something else stands in their place.

Nothing that exists is ever altered or dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from migrate.errors import EnvironmentFault, InputError, StateError
from migrate.invoice.checks import made_on
from migrate.invoice.schema import METADATA
from migrate.invoice.types import CODE_COLLATION, MARIADB
from migrate.stores.urls import redacted

DIALECTS = ("postgresql", "mysql", "mariadb", "sqlite")
"""Databases that the invoice tables are made for."""

_URLS = {"postgresql": "postgresql+psycopg://", "mysql": "mysql+pymysql://", "mariadb": "mariadb+pymysql://"}

# What a database calls a type, and what SQLAlchemy writes for it, brought to one spelling.
_SPELLINGS = (
    (r"\s*,\s*", ","),
    (r"character varying", "varchar"),
    (r"^character\b", "char"),
    (r"numeric", "decimal"),
    (r"^bool(ean)?$", "boolean"),
    (r"^tinyint\(1\)$", "boolean"),
    (r"^(big)?int(eger)?(\(\d+\))?$", r"\1int"),
)

_MYSQL_COLUMNS = """
    SELECT column_name, column_type, is_nullable = 'YES', collation_name FROM information_schema.columns
    WHERE table_schema = database() AND table_name = :name ORDER BY ordinal_position"""
_POSTGRES_COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, NULL FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
_SQLITE_COLUMNS = 'SELECT name, type, NOT "notnull", NULL FROM pragma_table_info(:name) ORDER BY cid'


@dataclass(frozen=True, slots=True)
class _Column:
    type: str
    nullable: bool
    collation: str | None


def ddl(dialect: str, only: str | None = None) -> str:
    """The statements that create the invoice tables and indexes on `dialect`, each ended by a semicolon; of one table with `only`.

    Raises:
        InputError: the dialect is none of `DIALECTS`.
    """
    _require_supported(dialect)
    made = sa.make_url(_URLS.get(dialect, "sqlite://")).get_dialect()()
    statements: list[sa.schema.ExecutableDDLElement] = []
    for table in METADATA.sorted_tables if only is None else [METADATA.tables[only]]:
        statements.append(CreateTable(table))
        statements += [CreateIndex(index) for index in _indexes(table)]
    return "\n".join(_tidy(str(statement.compile(dialect=made))) for statement in statements)


def apply_schema(engine: sa.Engine, where: str | None = None) -> list[str]:
    """Create the invoice tables and indexes that are missing; a sentence for each thing that was created.

    `where` names the database in errors (default: the engine's URL without its password). One transaction where the database can (PostgreSQL, SQLite). Doing it again creates nothing and returns [].

    Raises:
        InputError: the database is not one that the tables are made for.
        StateError: an existing table differs; nothing was created.
        EnvironmentFault: the database refused or was lost.
    """
    _require_supported(engine.dialect.name)
    place = where or redacted(engine.url)
    try:
        with engine.connect() as connection:
            _begin(connection)
            refuse_differences(connection, place)
            done = _create_missing(connection)
            connection.commit()
            return done
    except sa.exc.DBAPIError as error:
        raise EnvironmentFault(
            f"the invoice tables could not be created: {error.orig}",
            where=place,
            next_step="see that the database can be reached and that the user may create tables; running again is safe",
        ) from error


def refuse_differences(connection: sa.Connection, place: str) -> None:
    """Raise StateError that names every difference between existing tables and the canonical ones; missing ones are none."""
    found = [sentence for table in METADATA.sorted_tables for sentence in differences(connection, table)]
    if found:
        raise StateError(
            "existing tables differ from the canonical invoice tables:\n" + "\n".join(f"    {line}" for line in found),
            where=place,
            next_step="rename or migrate the existing tables, or use an empty database; nothing was changed",
        )


def differences(connection: sa.Connection, table: sa.Table) -> list[str]:
    """What differs between a canonical table and the existing one of its name; [] when there is none."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(table.name):
        return []
    wanted, stored = _wanted(connection, table), _stored(connection, table.name)
    found = [f"{table.name}.{column}: missing" for column in wanted if column not in stored]
    found += [f"{table.name}.{column}: not part of the canonical table" for column in stored if column not in wanted]
    for column in wanted.keys() & stored.keys():
        found += _column_differences(f"{table.name}.{column}", wanted[column], stored[column])
    return sorted(found) + _key_differences(inspector, table) + _constraint_differences(inspector, table)


def _column_differences(where: str, wanted: _Column, stored: _Column) -> list[str]:
    found = []
    if wanted.type != stored.type:
        found.append(f"{where}: is {stored.type}, should be {wanted.type}")
    if wanted.nullable != stored.nullable:
        found.append(f"{where}: {'may' if stored.nullable else 'may not'} be NULL, should be the other way")
    if wanted.collation != stored.collation:
        found.append(f"{where}: has the collation {stored.collation}, should have {wanted.collation}")
    return found


def _key_differences(inspector: sa.Inspector, table: sa.Table) -> list[str]:
    stored = inspector.get_pk_constraint(table.name)["constrained_columns"]
    wanted = [column.name for column in table.primary_key]
    if stored == wanted:
        return []
    return [f"{table.name}: primary key is ({', '.join(stored)}), should be ({', '.join(wanted)})"]


def _constraint_differences(inspector: sa.Inspector, table: sa.Table) -> list[str]:
    dialect = inspector.dialect
    wanted = {
        str(constraint.name): constraint
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint | sa.ForeignKeyConstraint) and made_on(constraint, dialect.name)
    }
    stored = {check["name"] for check in inspector.get_check_constraints(table.name)}
    stored |= {key["name"] for key in inspector.get_foreign_keys(table.name)}
    return [f"{table.name}: the constraint {name} is missing" for name in sorted(wanted.keys() - stored)]


def _wanted(connection: sa.Connection, table: sa.Table) -> dict[str, _Column]:
    dialect = connection.dialect
    found = {}
    for column in table.columns:
        declared = column.type.dialect_impl(dialect)
        text = isinstance(declared, sa.String) and dialect.name in MARIADB
        collation = (declared.collation or CODE_COLLATION) if text and isinstance(declared, sa.String) else None
        written = column.type.compile(dialect=dialect).split(" COLLATE ")[0]
        found[column.name] = _Column(_spelled(written), bool(column.nullable), collation)
    return found


def _stored(connection: sa.Connection, table: str) -> dict[str, _Column]:
    query = {"postgresql": _POSTGRES_COLUMNS, "sqlite": _SQLITE_COLUMNS}.get(connection.dialect.name, _MYSQL_COLUMNS)
    rows = connection.execute(sa.text(query), {"name": table})
    return {
        name: _Column(_spelled(declared), bool(nullable), collation) for name, declared, nullable, collation in rows
    }


def _spelled(declared: str) -> str:
    spelled = declared.lower()
    for pattern, spelling in _SPELLINGS:
        spelled = re.sub(pattern, spelling, spelled)
    return spelled.replace("timestamp without time zone", "timestamp")


def _create_missing(connection: sa.Connection) -> list[str]:
    inspector = sa.inspect(connection)
    done = []
    for table in METADATA.sorted_tables:
        if not inspector.has_table(table.name):
            connection.execute(CreateTable(table))
            done.append(f"table {table.name} created")
            present = set()
        else:
            present = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in _indexes(table):
            if index.name not in present:
                connection.execute(CreateIndex(index))
                done.append(f"index {index.name} created")
    return done


def _begin(connection: sa.Connection) -> None:
    # Python's own driver of SQLite opens no transaction for DDL by itself; the toolkit's does.
    if connection.dialect.driver == "pysqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _indexes(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _require_supported(dialect: str) -> None:
    if dialect not in DIALECTS:
        raise InputError(
            f"the invoice tables are made for PostgreSQL, MariaDB, MySQL and SQLite, not for {dialect!r}",
            next_step="choose a target URL that begins with postgresql://, mysql:// or sqlite:///",
        )


def _tidy(statement: str) -> str:
    lines = [line.rstrip().replace("\t", "    ") for line in statement.strip().splitlines()]
    return "\n".join(lines).replace(")ENGINE", ") ENGINE") + ";\n"
