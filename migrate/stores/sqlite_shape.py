"""Describes tables, views and queries of SQLite: columns, keys, foreign keys, and what changes rows by itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlglot
import sqlglot.errors
from sqlglot import expressions

from migrate.errors import InputError
from migrate.stores.port import ROW_NUMBER
from migrate.stores.sqlite_adbc import Connection, Error
from migrate.stores.sqlite_types import logical_type
from migrate.values import INT64_HIGH, INT64_LOW, Column, ForeignKey, LogicalType, PointingTable, TableShape, UniqueKey

_VISIBLE: Final = 0
_LITERAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)\Z")
_CASCADES: Final = {"CASCADE", "SET NULL", "SET DEFAULT"}
_QUERY_VIEW: Final = "migrate_source_query"


def quoted(name: str) -> str:
    """An identifier for SQL text."""
    return '"' + name.replace('"', '""') + '"'


def describe_table(connection: Connection, table: str, *, writing: bool) -> TableShape | None:
    """The shape of a table or view, or None when there is none. `writing`: see `logical_type`."""
    kinds = connection.run(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", [table]
    )
    if not kinds:
        return None
    name, kind, without_rowid = kinds[0]
    infos = connection.run('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', [name])
    definition = connection.run("SELECT sql FROM sqlite_schema WHERE name = ? AND type IN ('table', 'view')", [name])
    sql = str(definition[0][0] or "") if definition else ""
    collations = _collations(sql)
    alias = _rowid_alias(infos, sql) if not without_rowid else None
    columns = tuple(_column(info, alias, collations, writing=writing) for info in infos if info[5] != 1)
    keys, remarks = _unique_keys(connection, name, infos, alias)
    obstacles = _triggers(connection, name) + _cascading_children(connection, name) if writing else []
    return TableShape(
        name=name,
        columns=columns,
        unique_keys=tuple(keys),
        foreign_keys=_foreign_keys(connection, name),
        obstacles=tuple(obstacles),
        remarks=tuple(remarks),
        rows=_estimate(connection, name, alias) if kind == "table" and not without_rowid else None,
    )


def with_row_number(shape: TableShape) -> TableShape:
    """The shape of a table without a primary key, with SQLite's row id as a key behind its columns; unchanged where it has none."""
    if shape.primary_key or shape.rows is None or _row_id(shape.columns) is None:
        return shape
    number = LogicalType("integer", low=INT64_LOW, high=INT64_HIGH)
    column = Column(ROW_NUMBER, number, nullable=False, default_kind="generated", declared="rowid")
    keys = (*shape.unique_keys, UniqueKey(ROW_NUMBER, (ROW_NUMBER,)))
    return replace(shape, columns=(*shape.columns, column), unique_keys=keys, positional=True)


def describe_query(connection: Connection, query: str, key: tuple[str, ...]) -> TableShape:
    """The shape of a query's result; columns that are no plain column of a table have the type of their CAST, or are text.

    Raises:
        InputError: the query cannot be run, or lacks a key column.
    """
    try:
        connection.run(f"CREATE TEMP VIEW {_QUERY_VIEW} AS {query.rstrip().rstrip(';')}")
        infos = connection.run("SELECT name, type FROM pragma_table_info(?)", [_QUERY_VIEW])
        connection.run(f"DROP VIEW temp.{_QUERY_VIEW}")
    except Error as error:
        raise InputError(f"the query cannot be run: {error}", where="source → query") from error
    columns = tuple(
        Column(str(name), logical_type(declared or "", writing=False), declared=declared or "")
        for name, declared in infos
    )
    missing = [name for name in key if name not in {column.name for column in columns}]
    if missing:
        raise InputError(f"the query has no column {', '.join(missing)}", where="source → key")
    unique = (UniqueKey("key", key),) if key else ()
    return TableShape("query", columns, unique_keys=unique)


def row_id_name(shape: TableShape) -> str:
    """The name under which a table's row id can be read: one of SQLite's three that no column took."""
    name = _row_id(shape.columns)
    if name is None:
        raise InputError(f"table {shape.name} hides its row id", next_step="declare a key in the mapping")
    return name


def _row_id(columns: Sequence[Column]) -> str | None:
    taken = {column.name.lower() for column in columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def _column(info: tuple[Any, ...], alias: str | None, collations: dict[str, str], *, writing: bool) -> Column:
    name, declared, not_null, default, _key, hidden = info
    logical = logical_type(declared or "", writing=writing)
    nullable = not not_null and name != alias
    collation = collations.get(name.lower())
    if hidden != _VISIBLE:
        return Column(name, logical, nullable, "generated", None, declared or "", collation)
    if name == alias:
        return Column(
            name, LogicalType("integer", low=INT64_LOW, high=INT64_HIGH), False, "identity", None, declared, collation
        )
    kind, text = _default(default)
    return Column(name, logical, nullable, kind, text, declared or "", collation)


def _default(text: str | None) -> tuple[Any, str | None]:
    if text is None or text.strip().upper() == "NULL":
        return "null", None
    bare = text.strip()
    if bare.startswith("'") and bare.endswith("'") and "'" not in bare[1:-1].replace("''", ""):
        return "literal", bare[1:-1].replace("''", "'")
    if bare.upper() in {"TRUE", "FALSE"}:
        return "literal", "1" if bare.upper() == "TRUE" else "0"
    return ("literal", bare) if _LITERAL.match(bare) else ("expression", bare)


def _rowid_alias(infos: Sequence[tuple[Any, ...]], sql: str) -> str | None:
    """The column that is another name of the row id: the only primary key column, declared exactly INTEGER, and not descending in its definition."""
    keys = [info for info in infos if info[4]]
    if (
        len(keys) != 1
        or str(keys[0][1]).upper() != "INTEGER"
        or re.search(r"INTEGER\s+PRIMARY\s+KEY\s+DESC", sql, re.IGNORECASE)
    ):
        return None
    return str(keys[0][0])


def _collations(sql: str) -> dict[str, str]:
    """COLLATE of each column that has one; SQLite tells it in no other way than in the text of CREATE TABLE."""
    try:
        tree = sqlglot.parse_one(sql, dialect="sqlite") if sql else None
    except sqlglot.errors.SqlglotError:
        return {}
    found: dict[str, str] = {}
    for definition in tree.find_all(expressions.ColumnDef) if tree is not None else ():
        collate = definition.find(expressions.CollateColumnConstraint)
        if collate is not None:
            found[definition.name.lower()] = collate.this.name.upper()
    return found


def _unique_keys(
    connection: Connection, table: str, infos: Sequence[tuple[Any, ...]], alias: str | None
) -> tuple[list[UniqueKey], list[str]]:
    keys = [UniqueKey("PRIMARY KEY", (alias,), primary=True)] if alias else []
    remarks: list[str] = []
    indexes = connection.run('SELECT name, origin, partial FROM pragma_index_list(?) WHERE "unique"', [table])
    for name, origin, partial in indexes:
        parts = connection.run("SELECT name, coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno", [name])
        if partial:
            remarks.append(f"unique index {name} of {table} covers only some of the rows")
        elif any(part[0] is None for part in parts):
            remarks.append(f"unique index {name} of {table} is over an expression")
        else:
            keys.append(
                UniqueKey("PRIMARY KEY" if origin == "pk" else name, tuple(part[0] for part in parts), origin == "pk")
            )
    primary = tuple(info[0] for info in sorted(infos, key=lambda info: int(info[4])) if info[4])
    if primary and not any(key.primary for key in keys):
        keys.insert(0, UniqueKey("PRIMARY KEY", primary, primary=True))
    return sorted(keys, key=lambda key: (not key.primary, key.name)), remarks


def _foreign_keys(connection: Connection, table: str) -> tuple[ForeignKey, ...]:
    rows = connection.run(
        'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq',
        [table],
    )
    grouped: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row)
    found = []
    for number, parts in grouped.items():
        parent = str(parts[0][1])
        parent_columns = tuple(part[3] for part in parts)
        if None in parent_columns:
            keys = connection.run("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", [parent])
            parent_columns = tuple(row[0] for row in keys)
        cascades = any(action in _CASCADES for action in parts[0][4:6])
        found.append(
            ForeignKey(
                f"foreign key {number} of {table}", tuple(part[2] for part in parts), parent, parent_columns, cascades
            )
        )
    return tuple(found)


def pointing_at(connection: Connection, tables: Collection[str]) -> list[PointingTable]:
    """The foreign keys of other tables onto these."""
    asked = {name.lower(): name for name in tables}
    names = [
        str(name) for (name,) in connection.run("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    ]
    return [
        PointingTable(name, replace(key, parent=asked[key.parent.lower()]))
        for name in names
        if name.lower() not in asked
        for key in _foreign_keys(connection, name)
        if key.parent.lower() in asked
    ]


def _triggers(connection: Connection, table: str) -> list[str]:
    rows = connection.run(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE", [table]
    )
    return [f"trigger {name} on {table} changes rows by itself" for (name,) in rows]


def _cascading_children(connection: Connection, table: str) -> list[str]:
    rows = connection.run(
        "SELECT DISTINCT s.name, f.on_delete, f.on_update FROM sqlite_schema s, pragma_foreign_key_list(s.name) f "
        "WHERE s.type = 'table' AND f.\"table\" = ? COLLATE NOCASE", [table]
    )  # fmt: skip
    return [
        f"changes of {table} change rows of {name} by a foreign key (ON DELETE {on_delete}, ON UPDATE {on_update})"
        for name, on_delete, on_update in rows
        if on_delete in _CASCADES or on_update in _CASCADES
    ]


def _estimate(connection: Connection, table: str, alias: str | None) -> int | None:
    """Row ids from lowest to highest: exact for a table that was only appended to, an upper bound otherwise."""
    try:
        [(span,)] = connection.run(
            f"SELECT max({quoted(alias or 'rowid')}) - min({quoted(alias or 'rowid')}) + 1 FROM {quoted(table)}"
        )
    except Error:
        return None
    return int(span or 0)
