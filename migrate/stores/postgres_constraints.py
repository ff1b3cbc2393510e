"""Reads what PostgreSQL enforces on a table, and what changes or hides its rows by itself.

Only reads. A parent table is named as a mapping would name it: bare where the search path finds it, else with its schema.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from migrate.stores.postgres_describe import Row, select
from migrate.values import ForeignKey, PointingTable, UniqueKey

_INDEXES: Final = """
SELECT i.relname AS name, x.indisprimary AS is_primary, x.indimmediate AS immediate,
       x.indpred IS NOT NULL AS partial, x.indexprs IS NOT NULL AS expression, x.indisexclusion AS exclusion,
       ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k(number, n)
             JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number
             WHERE k.n <= x.indnkeyatts ORDER BY k.n) AS columns
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indrelid = CAST(:oid AS oid) AND (x.indisunique OR x.indisexclusion) AND x.indislive
ORDER BY x.indisprimary DESC, i.relname
"""

_FOREIGN_KEYS: Final = """
SELECT c.conname AS name, {name_of} AS parent, r.oid::int8 AS parent_oid,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(r.oid, 'SELECT') AS readable, c.confdeltype::text AS on_delete, c.confupdtype::text AS on_update,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(number, n)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.n) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k(number, n)
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.n) AS parent_columns
FROM pg_constraint c JOIN pg_class r ON r.oid = c.{other} JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE c.contype = 'f' AND c.{own} = CAST(:oid AS oid)
ORDER BY c.conparentid <> 0, c.conname
"""
_NAME_OF: Final = "CASE WHEN pg_table_is_visible(r.oid) THEN r.relname::text ELSE n.nspname || '.' || r.relname END"

_HAZARDS: Final = """
SELECT 'trigger ' || tgname || ' runs on ' ||
       concat_ws(' and ', CASE WHEN tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN tgtype & 16 <> 0 THEN 'update' END,
                 CASE WHEN tgtype & 8 <> 0 THEN 'delete' END, CASE WHEN tgtype & 32 <> 0 THEN 'truncate' END) AS sentence
FROM pg_trigger WHERE tgrelid = CAST(:oid AS oid) AND NOT tgisinternal AND tgenabled NOT IN ('D', 'R')
UNION ALL
SELECT 'rule ' || rulename || ' rewrites statements' FROM pg_rewrite
WHERE ev_class = CAST(:oid AS oid) AND rulename <> '_RETURN' AND ev_enabled NOT IN ('D', 'R')
UNION ALL
SELECT 'it is a view' FROM pg_class WHERE oid = CAST(:oid AS oid) AND relkind IN ('v', 'm')
"""
_ODDITIES: Final = """
SELECT 'the table is UNLOGGED: the server empties it after a crash' AS sentence FROM pg_class
WHERE oid = CAST(:oid AS oid) AND relpersistence = 'u'
UNION ALL
SELECT 'tables inherit from it, and their rows are in it without its unique keys' FROM pg_class c
WHERE oid = CAST(:oid AS oid) AND relkind = 'r' AND EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid)
"""
_HIDDEN: Final = "SELECT row_security_active(CAST(:oid AS oid)) AS hidden"

_CHANGES: Final = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def unique_keys(connection: sa.Connection, oid: int) -> tuple[tuple[UniqueKey, ...], list[str]]:
    """Keys over whole columns of every row, checked at once; and sentences about uniqueness of any other kind."""
    keys: list[UniqueKey] = []
    remarks: list[str] = []
    for row in select(connection, _INDEXES, oid=oid):
        unusual = _unusual(row)
        if unusual is None:
            keys.append(UniqueKey(row["name"], tuple(row["columns"]), primary=row["is_primary"]))
        else:
            remarks.append(f"{row['name']} {unusual}")
    return tuple(keys), remarks


def foreign_keys(connection: sa.Connection, oid: int) -> tuple[tuple[ForeignKey, ...], list[str]]:
    """The table's own foreign keys; and sentences about other tables whose rows follow changes of this one."""
    own = select(connection, _FOREIGN_KEYS.format(name_of=_NAME_OF, own="conrelid", other="confrelid"), oid=oid)
    keys = tuple(
        ForeignKey(
            row["name"],
            tuple(row["columns"]),
            row["parent"],
            tuple(row["parent_columns"]),
            cascades=row["on_delete"] in _CHANGES or row["on_update"] in _CHANGES,
        )
        for row in own
    )
    pointing = select(connection, _FOREIGN_KEYS.format(name_of=_NAME_OF, own="confrelid", other="conrelid"), oid=oid)
    return keys, [sentence for row in pointing for sentence in _cascades(row)]


def pointing_at(connection: sa.Connection, parent: str, oid: int, but: Collection[int]) -> list[PointingTable]:
    """The foreign keys onto this table of others that can be read, but for those of the tables `but`."""
    pointing = select(connection, _FOREIGN_KEYS.format(name_of=_NAME_OF, own="confrelid", other="conrelid"), oid=oid)
    return [
        PointingTable(
            row["parent"],
            ForeignKey(row["name"], tuple(row["columns"]), parent, tuple(row["parent_columns"])),
        )
        for row in pointing
        if row["readable"] and row["parent_oid"] not in but
    ]


def hazards(connection: sa.Connection, oid: int) -> list[str]:
    """Sentences about triggers, rules and other things that change or lose rows by themselves."""
    return sorted(row["sentence"] for row in select(connection, _HAZARDS, oid=oid))


def oddities(connection: sa.Connection, oid: int) -> list[str]:
    """Sentences about the table that a person should read and that stop nothing."""
    return [row["sentence"] for row in select(connection, _ODDITIES, oid=oid)]


def hidden_rows(connection: sa.Connection, oid: int) -> list[str]:
    """A sentence where row level security keeps rows from this user."""
    hidden = select(connection, _HIDDEN, oid=oid)[0]["hidden"]
    return ["row level security is active for this user: rows may be hidden or refused"] if hidden else []


def _unusual(row: Row) -> str | None:
    if row["exclusion"]:
        return "is an exclusion constraint"
    if row["partial"]:
        return "is unique for some rows only (partial index)"
    if row["expression"]:
        return "is unique over expressions"
    return None if row["immediate"] else "is deferrable: it cannot decide conflicts row by row"


def _cascades(row: Row) -> list[str]:
    where = f"{row['parent']} ({', '.join(row['columns'])}, foreign key {row['name']})"
    return [
        f"rows of {where} follow: ON {event} {_CHANGES[row[column]]}"
        for event, column in (("DELETE", "on_delete"), ("UPDATE", "on_update"))
        if row[column] in _CHANGES
    ]
