"""Reads the shape of tables and queries from PostgreSQL's catalogue, with everything that decides whether rows fit.

Only reads. A name is taken as a user writes it: `table`, `schema.table`, either part in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from migrate.errors import InputError
from migrate.stores.postgres_errors import postgres_faults
from migrate.stores.postgres_types import (
    PostgresColumn,
    Relation,
    TypeFacts,
    charset_of,
    logical_type,
    quote,
)
from migrate.values import Column, DefaultKind

_NAME_PARTS: Final = re.compile(r'\A(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^"]+)\Z')
_SEQUENCE_DEFAULT: Final = re.compile(r"\Anextval\(")
_LITERAL_DEFAULT: Final = re.compile(
    r"\A\(?(?:-?\d+(?:\.\d+)?|true|false|'(?:[^']|'')*')\)?(?:::[\w\s\".]+(?:\([\d,]+\))?)?\Z"
)
_NULL_DEFAULT: Final = re.compile(r"\ANULL(?:::[\w\s\".()]+)?\Z", re.IGNORECASE)

_FIND: Final = """
SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = :schema END
"""

_COLUMNS: Final = """
SELECT a.attname AS name, a.atttypid::int8 AS oid, a.atttypmod AS modifier, a.attnotnull AS not_null,
       a.attidentity::text AS identity, a.attgenerated::text AS generated,
       coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault) AS expression,
       CASE WHEN o.collname = 'default' THEN NULL ELSE o.collname END AS collation, cn.nspname AS collation_schema
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation o ON o.oid = a.attcollation
LEFT JOIN pg_namespace cn ON cn.oid = o.collnamespace
WHERE a.attrelid = CAST(:oid AS oid) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

_TYPES: Final = """
WITH RECURSIVE wanted AS (
    SELECT * FROM unnest(CAST(:oids AS int8[]), CAST(:modifiers AS int4[])) WITH ORDINALITY AS w(oid, modifier, n)
), chain AS (
    SELECT n, oid::oid AS oid, modifier, false AS not_null FROM wanted
    UNION ALL
    SELECT n, t.typbasetype, CASE WHEN t.typtypmod <> -1 THEN t.typtypmod ELSE chain.modifier END, not_null OR t.typnotnull
    FROM chain JOIN pg_type t ON t.oid = chain.oid WHERE t.typtype = 'd'
)
SELECT b.typname AS name, b.typtype::text AS typtype, chain.modifier AS modifier,
       format_type(wanted.oid::oid, wanted.modifier) AS declared, format_type(b.oid, -1) AS cast_name, chain.not_null AS not_null
FROM chain JOIN wanted USING (n) JOIN pg_type b ON b.oid = chain.oid
WHERE b.typtype <> 'd' ORDER BY chain.n
"""

Row = Mapping[str, Any]


def find_relation(connection: sa.Connection, name: str) -> Row | None:
    """The relation that a user's name means (`oid`, `schema`, `name`, `kind`), or None.

    A dot is first taken as part of an unquoted table name, then as the border of schema and table.
    """
    for schema, table in _readings(name):
        found = select(connection, _FIND, name=table, schema=schema)
        if found:
            return found[0]
    return None


def describe_relation(connection: sa.Connection, found: Row) -> Relation:
    """The relation with its columns, types resolved and literal defaults evaluated."""
    charset = charset_of(server_encoding(connection))
    columns = select(connection, _COLUMNS, oid=found["oid"])
    facts = _type_facts(connection, [(row["oid"], row["modifier"]) for row in columns])
    defaults = _defaults(connection, columns, facts)
    described = tuple(
        _column(row, fact, default, charset) for row, fact, default in zip(columns, facts, defaults, strict=True)
    )
    return Relation(found["schema"], found["name"], f"{quote(found['schema'])}.{quote(found['name'])}", described)


def describe_query(connection: sa.Connection, query: str) -> Relation:
    """The columns of a query, which becomes a derived table.

    Raises:
        InputError: the server does not accept the query, or two of its columns have one name.
    """
    text = query.strip().rstrip(";")
    sql = f"({text}\n)"
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise InputError("query sources need psycopg")
    try:
        with raw.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {sql} AS s LIMIT 0".encode())
            result = cursor.pgresult
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        raise InputError(
            f"the server does not accept the query: {str(error).splitlines()[0]}", where="source → query"
        ) from error
    if result is None:
        raise InputError("the query returns no columns", where="source → query")
    names = [(result.fname(index) or b"").decode() for index in range(result.nfields)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"the query has several columns named {', '.join(repeated)}", where="source → query")
    facts = _type_facts(connection, [(result.ftype(index), result.fmod(index)) for index in range(result.nfields)])
    charset = charset_of(server_encoding(connection))
    columns = tuple(
        PostgresColumn(Column(name, logical_type(fact, charset), declared=fact.declared), fact)
        for name, fact in zip(names, facts, strict=True)
    )
    return Relation("", "query", sql, columns)


def server_encoding(connection: sa.Connection) -> str:
    """The encoding of the database, as PostgreSQL names it."""
    return str(connection.execute(sa.text("SELECT current_setting('server_encoding')")).scalar_one())


def estimated_rows(connection: sa.Connection, relation: Relation) -> int | None:
    """The planner's estimate of the number of rows; it knows the relation's present size even where it was never analysed."""
    plan = connection.exec_driver_sql(
        f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {relation.sql} AS s".replace("%", "%%")
    ).scalar_one()
    rows = plan[0]["Plan"]["Plan Rows"]
    return int(rows)


def select(connection: sa.Connection, statement: str, **values: object) -> list[Row]:
    """Rows of a catalogue query as mappings."""
    with postgres_faults():
        return [dict(row) for row in connection.execute(sa.text(statement), values).mappings()]


def _readings(name: str) -> list[tuple[str | None, str]]:
    match = _NAME_PARTS.match(name)
    if match is None:
        return []
    schema, table = (_unquoted(part) for part in match.groups())
    readings: list[tuple[str | None, str]] = [] if '"' in name else [(None, name)]
    if table is not None:
        readings.append((schema, table))
    return readings


def _unquoted(part: str | None) -> str | None:
    if part is not None and part.startswith('"'):
        return part[1:-1].replace('""', '"')
    return part


def _type_facts(connection: sa.Connection, types: Sequence[tuple[int, int]]) -> list[TypeFacts]:
    rows = select(connection, _TYPES, oids=[oid for oid, _ in types], modifiers=[modifier for _, modifier in types])
    return [
        TypeFacts(row["name"], row["typtype"], row["modifier"], row["declared"], row["cast_name"], row["not_null"])
        for row in rows
    ]


def _column(row: Row, facts: TypeFacts, default: tuple[DefaultKind, str | None], charset: str | None) -> PostgresColumn:
    collation, plain = row["collation"], row["collation"]
    if collation is not None:
        collation = f"{quote(row['collation_schema'])}.{quote(collation)}"
    kind, text = default
    column = Column(
        name=row["name"],
        type=logical_type(facts, charset),
        nullable=not (row["not_null"] or facts.not_null),
        default_kind=kind,
        default=text,
        declared=facts.declared,
        # citext folds case by its type, whatever its collation: say so where people look for it.
        collation="citext" if facts.name == "citext" else plain,
    )
    return PostgresColumn(column, facts, collation, drawn_always=row["identity"] == "a")


def _defaults(
    connection: sa.Connection, columns: Sequence[Row], facts: Sequence[TypeFacts]
) -> list[tuple[DefaultKind, str | None]]:
    """What a row gets that does not name the column; literals as the column would store and print them."""
    found = [_default_kind(row) for row in columns]
    literals = [
        f"(({row['expression']})::{fact.declared})::text" if kind == "literal" else "NULL::text"
        for row, fact, kind in zip(columns, facts, found, strict=True)
    ]
    if "literal" not in found:
        return [(kind, row["expression"]) for kind, row in zip(found, columns, strict=True)]
    with postgres_faults():
        texts = connection.exec_driver_sql(f"SELECT {', '.join(literals)}".replace("%", "%%")).one()
    return [
        (kind, text if kind == "literal" else row["expression"])
        for kind, text, row in zip(found, texts, columns, strict=True)
    ]


def _default_kind(row: Row) -> DefaultKind:
    expression = row["expression"]
    if row["generated"]:
        return "generated"
    if row["identity"] or (expression and _SEQUENCE_DEFAULT.match(expression)):
        return "identity"
    if expression is None or _NULL_DEFAULT.match(expression):
        return "null"
    return "literal" if _LITERAL_DEFAULT.match(expression) else "expression"
