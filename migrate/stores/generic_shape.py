"""The shape of a table of any SQLAlchemy dialect, by SQLAlchemy's own reflection.

Reflection shows no triggers, rules or row security: the shape says so among its remarks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa

from migrate.values import (
    INT64_HIGH,
    INT64_LOW,
    Column,
    DefaultKind,
    ForeignKey,
    LogicalType,
    PointingTable,
    TableShape,
    UniqueKey,
)

_CHANGES: Final = ("CASCADE", "SET NULL", "SET DEFAULT")
_SMALL_BITS: Final = {"TINYINT": 8, "MEDIUMINT": 24}
_BINARY: Final = ("BLOB", "BINARY", "BYTEA", "IMAGE", "RAW")
_FIXED: Final = ("CHAR", "NCHAR")


def reflect(connection: sa.Connection, name: str) -> tuple[sa.Table, TableShape] | None:
    """The table as SQLAlchemy and as the toolkit describe it, or None when there is none. `name` may carry a schema."""
    inspector = sa.inspect(connection)
    schema, table = _place(inspector, name)
    if table is None:
        return None
    reflected = sa.Table(table, sa.MetaData(), schema=schema, autoload_with=connection, resolve_fks=False)
    keys, remarks = _unique_keys(inspector, schema, table)
    shape = TableShape(
        name,
        tuple(_column(column, connection.dialect.name) for column in reflected.columns),
        keys,
        _foreign_keys(inspector, schema, table),
        remarks=(*remarks, "triggers cannot be seen through the generic store: make sure that none changes rows"),
    )
    return reflected, shape


def pointing_at(connection: sa.Connection, tables: Collection[str]) -> list[PointingTable]:
    """The foreign keys of other tables of the default schema onto these."""
    keys = sa.inspect(connection).get_multi_foreign_keys()
    names = sorted(name for _, name in keys if name not in tables)
    inspector = sa.inspect(connection)
    return [
        PointingTable(name, key)
        for name in names
        for key in _foreign_keys(inspector, None, name)
        if key.parent in tables
    ]


def logical_type(declared: sa.types.TypeEngine[Any], dialect: str) -> LogicalType:
    """The logical type of a reflected type; `unsupported` for one that SQLAlchemy's generic types do not cover."""
    if isinstance(declared, sa.Integer):
        return _integer(declared, dialect)
    if isinstance(declared, sa.Float):
        return LogicalType("float", bits=32 if isinstance(declared, sa.REAL) and dialect != "sqlite" else 64)
    if isinstance(declared, sa.Numeric):
        return LogicalType(
            "decimal", precision=declared.precision, scale=declared.scale if declared.precision else None
        )
    if isinstance(declared, sa.Uuid):
        return LogicalType("uuid")
    if isinstance(declared, sa.JSON):
        return LogicalType("json")
    if isinstance(declared, sa.String | sa.Enum):
        fixed = declared.__visit_name__ in _FIXED
        return LogicalType("text", length=declared.length, nul=dialect == "sqlite", keeps_spaces=not fixed)
    return _other_type(declared)


def _integer(declared: sa.Integer, dialect: str) -> LogicalType:
    if dialect == "sqlite":  # stores any integer up to 64 bits whatever the column's type is called
        return LogicalType("integer", low=INT64_LOW, high=INT64_HIGH)
    by_class = 64 if isinstance(declared, sa.BigInteger) else 16 if isinstance(declared, sa.SmallInteger) else 32
    bits = _SMALL_BITS.get(declared.__visit_name__, by_class)
    if getattr(declared, "unsigned", False) or (dialect, declared.__visit_name__) == ("mssql", "TINYINT"):
        return LogicalType("integer", low=0, high=2**bits - 1)
    return LogicalType("integer", low=-(2 ** (bits - 1)), high=2 ** (bits - 1) - 1)


def _other_type(declared: sa.types.TypeEngine[Any]) -> LogicalType:
    if isinstance(declared, sa.DateTime):
        return LogicalType("instant" if declared.timezone else "timestamp")
    if isinstance(declared, sa.LargeBinary) or any(part in declared.__visit_name__ for part in _BINARY):
        return LogicalType("bytes", length=getattr(declared, "length", None))
    simple = ((sa.Boolean, "boolean"), (sa.Date, "date"), (sa.Time, "time"))
    for generic, kind in simple:
        if isinstance(declared, generic) and not getattr(declared, "timezone", False):
            return LogicalType(kind)  # type: ignore[arg-type]
    return LogicalType("unsupported")


def _place(inspector: sa.Inspector, name: str) -> tuple[str | None, str | None]:
    if inspector.has_table(name):
        return None, name
    schema, dot, table = name.partition(".")
    if dot and inspector.has_table(table, schema=schema):
        return schema, table
    return None, None


def _column(column: sa.Column[Any], dialect: str) -> Column:
    kind, default = _default(column)
    return Column(
        column.name,
        logical_type(column.type, dialect),
        nullable=bool(column.nullable),
        default_kind=kind,
        default=default,
        declared=repr(column.type),
        collation=collation if isinstance(collation := getattr(column.type, "collation", None), str) else None,
    )


def _default(column: sa.Column[Any]) -> tuple[DefaultKind, str | None]:
    if column.computed is not None:
        return "generated", str(column.computed.sqltext)
    if column.identity is not None or column.autoincrement is True:
        return "identity", None
    if column.server_default is None:
        return "null", None
    # Whether its text is a literal depends on the dialect; an expression is read back, which is always right.
    return "expression", str(getattr(column.server_default, "arg", ""))


def _unique_keys(inspector: sa.Inspector, schema: str | None, table: str) -> tuple[tuple[UniqueKey, ...], list[str]]:
    remarks: list[str] = []
    found: dict[tuple[str, ...], UniqueKey] = {}
    primary = inspector.get_pk_constraint(table, schema=schema)
    if primary["constrained_columns"]:
        columns = tuple(primary["constrained_columns"])
        found[columns] = UniqueKey(primary["name"] or "primary key", columns, primary=True)
    for unique in inspector.get_unique_constraints(table, schema=schema):
        columns = tuple(unique["column_names"])
        found.setdefault(columns, UniqueKey(unique["name"] or "unique", columns))
    for index in inspector.get_indexes(table, schema=schema):
        plain = [name for name in index["column_names"] if name is not None]
        options = index.get("dialect_options", {})
        if not index["unique"]:
            continue
        if len(plain) != len(index["column_names"]) or any(key.endswith("_where") for key in options):
            remarks.append(f"{index['name']} is unique for some rows only, or over expressions")
        else:
            found.setdefault(tuple(plain), UniqueKey(index["name"] or "unique index", tuple(plain)))
    return tuple(found.values()), remarks


def _foreign_keys(inspector: sa.Inspector, schema: str | None, table: str) -> tuple[ForeignKey, ...]:
    keys = []
    for key in inspector.get_foreign_keys(table, schema=schema):
        parent = key["referred_table"]
        if key["referred_schema"]:
            parent = f"{key['referred_schema']}.{parent}"
        options = key.get("options", {})
        changes = any(str(options.get(event, "")).upper() in _CHANGES for event in ("ondelete", "onupdate"))
        keys.append(
            ForeignKey(
                key["name"] or "foreign key",
                tuple(key["constrained_columns"]),
                parent,
                tuple(key["referred_columns"]),
                cascades=changes,
            )
        )
    return tuple(keys)
