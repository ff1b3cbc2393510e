"""Describes tables, views and queries of MariaDB and MySQL: columns, keys, foreign keys, and what changes rows by itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pymysql.constants import ER, FIELD_TYPE, FLAG
from pymysql.err import OperationalError

from migrate.checksum.sql_column import StoredColumn
from migrate.errors import InputError
from migrate.stores.mariadb_errors import mariadb_faults
from migrate.stores.mariadb_types import Declared, logical_type
from migrate.values import Column, DefaultKind, ForeignKey, PointingTable, TableShape, UniqueKey

_CASCADES: Final = {"CASCADE", "SET NULL", "SET DEFAULT"}
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\Z")
_BITS: Final = re.compile(r"b'([01]+)'\Z")
_DENIED: Final = {ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR}
_LONG_TIMESTAMPS: Final = (11, 5)
_BINARY_CHARSET: Final = 63
_NAMES: Final = {
    FIELD_TYPE.TINY: "tinyint", FIELD_TYPE.SHORT: "smallint", FIELD_TYPE.INT24: "mediumint", FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint", FIELD_TYPE.FLOAT: "float", FIELD_TYPE.DOUBLE: "double", FIELD_TYPE.DECIMAL: "decimal",
    FIELD_TYPE.NEWDECIMAL: "decimal", FIELD_TYPE.DATE: "date", FIELD_TYPE.NEWDATE: "date", FIELD_TYPE.TIME: "time",
    FIELD_TYPE.DATETIME: "datetime", FIELD_TYPE.TIMESTAMP: "timestamp", FIELD_TYPE.YEAR: "year", FIELD_TYPE.BIT: "bit",
    FIELD_TYPE.JSON: "json", FIELD_TYPE.GEOMETRY: "geometry",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MariaColumn:
    """A column, its type as declared, and the character set that its bytes are stored in."""

    column: Column
    declared: Declared

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name


@dataclass(frozen=True, slots=True)
class Relation:
    """What is read from: `sql` stands behind FROM."""

    sql: str
    columns: tuple[MariaColumn, ...]

    def column(self, name: str) -> MariaColumn:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


def quoted(name: str) -> str:
    """An identifier for SQL text."""
    return "`" + name.replace("`", "``") + "`"


def quoted_table(name: str) -> str:
    """A table for SQL text, of another database where its name says so."""
    return ".".join(quoted(part) for part in name.split(".", 1))


def stored_column(column: MariaColumn, alias: str) -> StoredColumn:
    """The column for expressions over it."""
    declared = column.declared
    filled = " zerofill" if "zerofill" in declared.column_type.lower() else ""
    source = f"{alias}.{quoted(column.name)}"
    return StoredColumn(column.name, source, column.column.type, declared.data_type.lower() + filled, declared.charset)


def literal(text: str) -> str:
    """A text for SQL, safe under every sql_mode: the server reads hexadecimal without any escapes."""
    return f"_utf8mb4 X'{text.encode().hex()}'" if text else "_utf8mb4''"


def describe_table(connection: Any, table: str, *, writing: bool) -> tuple[Relation, TableShape] | None:
    """Relation and shape of a table or view, or None when there is none. Obstacles are looked for when `writing`."""
    with mariadb_faults(table):
        place = _place(table)
        found = _rows(
            connection,
            f"SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS FROM information_schema.TABLES WHERE {place}",
        )
        if not found:
            return None
        _, kind, engine, rows = found[0]
        columns, on_update = _columns(connection, place)
        keys, remarks = _unique_keys(connection, place)
        obstacles = _obstacles(connection, table, kind, engine) if writing else []
        shape = TableShape(
            name=table,
            columns=tuple(column.column for column in columns),
            unique_keys=keys,
            foreign_keys=_foreign_keys(connection, place),
            obstacles=tuple(obstacles),
            remarks=(*remarks, *on_update),
            rows=None if rows is None else int(rows),
        )
    return Relation(quoted_table(table), columns), shape


def describe_query(connection: Any, query: str, key: tuple[str, ...]) -> tuple[Relation, TableShape]:
    """Relation and shape of a query, from what the server says of its result.

    Raises:
        InputError: the server does not take the query, or it lacks a key column.
    """
    text = query.rstrip().rstrip(";")
    with mariadb_faults("source → query"):
        charsets = dict(_rows(connection, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS"))
        # With NULL the server tells the character set in which a column is stored, and not the connection's.
        connection.query("SET character_set_results = NULL")
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM ({text}\n) AS q LIMIT 0")
                fields = cursor._result.fields  # noqa: SLF001 - nothing public has the flags and character sets
        finally:
            connection.query("SET character_set_results = utf8mb4")
    columns = tuple(_field(field, charsets) for field in fields)
    missing = [name for name in key if name not in {column.name for column in columns}]
    if missing:
        raise InputError(f"the query has no column {', '.join(missing)}", where="source → key")
    unique = (UniqueKey("key", key),) if key else ()
    return Relation(f"({text}\n)", columns), TableShape(
        "query", tuple(column.column for column in columns), unique_keys=unique
    )


def _rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _place(table: str, prefix: str = "TABLE") -> str:
    schema, dot, name = table.rpartition(".")
    where = literal(schema) if dot else "database()"
    return f"{prefix}_SCHEMA = {where} AND {prefix}_NAME = {literal(name)}"


def _columns(connection: Any, place: str) -> tuple[tuple[MariaColumn, ...], list[str]]:
    [(version,)] = _rows(connection, "SELECT version()")
    maria = "MariaDB" in version
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    json = _json_columns(connection, place) if maria else set()
    columns, on_update = [], []
    for row in _rows(
        connection,
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, "
        "CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE, COLUMN_DEFAULT, EXTRA "
        f"FROM information_schema.COLUMNS WHERE {place} ORDER BY ORDINAL_POSITION",
    ):
        (
            name,
            data_type,
            column_type,
            characters,
            precision,
            scale,
            seconds,
            charset,
            collation,
            nullable,
            default,
            extra,
        ) = row
        declared = Declared(
            data_type,
            column_type,
            characters,
            precision,
            scale,
            seconds,
            charset,
            json=name in json,
            long_timestamps=maria and numbers >= _LONG_TIMESTAMPS,
        )
        kind, text = _default(default, extra or "", quotes=maria)
        column = Column(name, logical_type(declared), nullable == "YES", kind, text, column_type, collation)
        columns.append(MariaColumn(column, declared))
        if "on update" in (extra or "").lower():
            on_update.append(f"{name} changes by itself with every UPDATE that does not name it")
    return tuple(columns), on_update


def _json_columns(connection: Any, place: str) -> set[str]:
    """MariaDB's JSON is LONGTEXT with a check of its own."""
    clauses = _rows(
        connection,
        f"SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE {place.replace('TABLE_SCHEMA', 'CONSTRAINT_SCHEMA')}",
    )
    matches = (re.match(r"json_valid\(`(.+)`\)\Z", clause, re.IGNORECASE) for (clause,) in clauses)
    return {match[1].replace("``", "`") for match in matches if match}


def _default(default: str | None, extra: str, *, quotes: bool) -> tuple[DefaultKind, str | None]:
    """MariaDB shows literals quoted and expressions bare, MySQL literals bare and marks expressions in EXTRA."""
    flags = extra.lower()
    if "generated" in flags.replace("default_generated", "") or "persistent" in flags or "virtual" in flags:
        return "generated", None
    if "auto_increment" in flags:
        return "identity", None
    if default is None or (quotes and default.upper() == "NULL"):
        return "null", None
    bits = _BITS.match(default)
    if bits:
        return "literal", str(int(bits[1], 2))
    if quotes and default.startswith("'") and default.endswith("'"):
        return "literal", default[1:-1].replace("''", "'").replace("\\\\", "\\")
    if quotes:
        return ("literal", default) if _NUMBER.match(default) else ("expression", default)
    expression = "default_generated" in flags or default.upper().startswith("CURRENT_TIMESTAMP")
    return ("expression", default) if expression else ("literal", default)


def _unique_keys(connection: Any, place: str) -> tuple[tuple[UniqueKey, ...], list[str]]:
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for row in _rows(
        connection,
        "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS "
        f"WHERE {place} AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
    ):
        grouped.setdefault(row[0], []).append(row[1:])
    keys, remarks = [], []
    for name, parts in grouped.items():
        if any(column is None for column, _ in parts):
            remarks.append(f"unique index {name} is over an expression")
        elif any(length is not None for _, length in parts):
            remarks.append(f"unique index {name} covers only the beginning of a column")
        else:
            keys.append(UniqueKey(name, tuple(column for column, _ in parts), name == "PRIMARY"))
    return tuple(sorted(keys, key=lambda key: (not key.primary, key.name))), remarks


def _foreign_keys(connection: Any, place: str) -> tuple[ForeignKey, ...]:
    conditions = " AND ".join(f"k.{condition}" for condition in place.split(" AND "))
    rows = _rows(
        connection,
        "SELECT k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA <=> database(), k.REFERENCED_TABLE_SCHEMA, "
        "k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.UPDATE_RULE, r.DELETE_RULE "
        "FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r "
        "ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME "
        f"WHERE {conditions} AND k.REFERENCED_TABLE_NAME IS NOT NULL ORDER BY k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
    )
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        grouped.setdefault(row[0], []).append(row)
    return tuple(_foreign_key(name, parts) for name, parts in grouped.items())


def _foreign_key(name: str, parts: Sequence[tuple[Any, ...]]) -> ForeignKey:
    _, _, here, schema, table, _, on_update, on_delete = parts[0]
    return ForeignKey(
        name,
        tuple(part[1] for part in parts),
        table if here else f"{schema}.{table}",
        tuple(part[5] for part in parts),
        cascades=on_update in _CASCADES or on_delete in _CASCADES,
    )


def _obstacles(connection: Any, table: str, kind: str, engine: str | None) -> list[str]:
    found = []
    if "VIEW" in kind:
        found.append(f"{table} is a view")
    elif engine != "InnoDB":
        found.append(f"{table} has the engine {engine}, which has no transactions as the toolkit needs them (InnoDB)")
    triggers = _rows(
        connection,
        f"SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE {_place(table, 'EVENT_OBJECT').replace('EVENT_OBJECT_NAME', 'EVENT_OBJECT_TABLE')}",
    )
    found += [f"trigger {name} on {table} changes rows by itself" for (name,) in triggers]
    schema, dot, name = table.rpartition(".")
    children = _rows(
        connection,
        f"SELECT {_named('CONSTRAINT_SCHEMA')}, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS "
        f"WHERE UNIQUE_CONSTRAINT_SCHEMA = {literal(schema) if dot else 'database()'} AND REFERENCED_TABLE_NAME = {literal(name)}",
    )
    found += [
        f"changes of {table} change rows of {child} by the foreign key {constraint} (ON DELETE {on_delete}, ON UPDATE {on_update})"
        for child, constraint, on_update, on_delete in children
        if on_update in _CASCADES or on_delete in _CASCADES
    ]
    return found


def pointing_at(connection: Any, tables: Collection[str]) -> list[PointingTable]:
    """The foreign keys of other tables of the server onto these, but for tables whose rows this user may not read."""
    with mariadb_faults("the tables that point at others"):
        [(folds,)] = _rows(connection, "SELECT @@lower_case_table_names <> 0")
        own = {_identity(connection, table): table for table in tables}
        if folds:
            own = {(schema.lower(), name.lower()): table for (schema, name), table in own.items()}
        found = []
        for (schema, name), table in own.items():
            for child, parent, each in _pointing_at(connection, schema, name, table):
                places = [(place[0].lower(), place[1].lower()) if folds else place for place in (child, parent)]
                # The server's own tables about tables compare names without regard to case, even where they are two.
                if places[1] == (schema, name) and places[0] not in own:
                    found.append(each)
        return [each for each in found if _readable(connection, each.name)]


_Place: TypeAlias = tuple[str, str]
"""A table by its database and its name."""


def _pointing_at(connection: Any, schema: str, name: str, table: str) -> list[tuple[_Place, _Place, PointingTable]]:
    """Each with the place of the table that has the key, and of the one that it points at."""
    grouped: dict[tuple[str, str, str, str, str, str], list[tuple[str, str]]] = {}
    for *key, column, parent_column in _rows(
        connection,
        "SELECT TABLE_SCHEMA, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, "
        f"{_named('TABLE_SCHEMA')}, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME "
        f"FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA = {literal(schema)} "
        f"AND REFERENCED_TABLE_NAME = {literal(name)} ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
    ):
        grouped.setdefault(tuple(key), []).append((column, parent_column))
    return [
        (
            (child, child_name),
            (parent, parent_name),
            PointingTable(shown, ForeignKey(constraint, tuple(p[0] for p in pairs), table, tuple(p[1] for p in pairs))),
        )
        for (child, child_name, parent, parent_name, shown, constraint), pairs in grouped.items()
    ]


def _named(schema: str) -> str:
    """SQL for a table's name as `describe_table` takes it: with its database where that is another one."""
    return f"IF({schema} <=> database(), TABLE_NAME, CONCAT({schema}, '.', TABLE_NAME))"


def _identity(connection: Any, table: str) -> tuple[str, str]:
    schema, dot, name = table.rpartition(".")
    if dot:
        return schema, name
    [(here,)] = _rows(connection, "SELECT database()")
    return str(here), name


def _readable(connection: Any, table: str) -> bool:
    try:
        _rows(connection, f"SELECT 1 FROM {quoted_table(table)} LIMIT 0")
    except OperationalError as error:
        if error.args[0] in _DENIED:
            return False
        raise
    return True


def _field(field: Any, charsets: dict[int, str]) -> MariaColumn:
    """A column of a result from its description in the protocol; lengths of text are in bytes there."""
    binary = field.charsetnr == _BINARY_CHARSET
    unsigned = " unsigned" if field.flags & FLAG.UNSIGNED else ""
    nullable = not field.flags & FLAG.NOT_NULL
    name = _NAMES.get(field.type_code)
    if name is None:
        name = "longblob" if binary else "longtext"
    column_type = f"{name}(1)" if name in {"tinyint", "bit"} and field.length == 1 else name + unsigned
    # A decimal's length counts the sign and the point.
    digits = field.length - (field.scale > 0) - (not unsigned) if name == "decimal" else field.length
    declared = Declared(
        name,
        column_type,
        None,
        digits,
        field.scale,
        min(field.scale, 6),
        None if binary else charsets.get(field.charsetnr),
    )
    return MariaColumn(Column(field.name, logical_type(declared), nullable, declared=column_type), declared)
