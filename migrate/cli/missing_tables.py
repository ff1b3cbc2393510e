"""DDL of the target tables that a mapping writes and the database does not have: a proposal for a person to read and run.

The canonical invoice tables come as they are. Of any other table no more is known than the mapping says: a field's `type`, else what
its formats or cleaners make, else the type of the source column it is copied from, else text; a comment above it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from migrate.invoice import DIALECTS, METADATA, ddl
from migrate.invoice.types import MARIADB, decimal, document, moment
from migrate.values import LogicalType, TableShape

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions
    from migrate.mapping.model import FieldSpec, TargetTable

KEY_LENGTH = 255
"""Of a text key of unknown length: MariaDB indexes no text without one."""

_SIMPLE: dict[str, sa.types.TypeEngine[Any]] = {
    "float": sa.Double(),
    "boolean": sa.Boolean(),
    "date": sa.Date(),
    "time": sa.Time(),
    # MariaDB's only type for an instant ends in 2038; what its sessions store here is UTC.
    "instant": sa.TIMESTAMP(timezone=True).with_variant(mysql.DATETIME(fsp=6), *MARIADB),
    "bytes": sa.LargeBinary().with_variant(mysql.LONGBLOB(), *MARIADB),
    "uuid": sa.String(36).with_variant(sa.Uuid(), "postgresql"),
    "json": sa.JSON(),
}


def missing_tables(mappings: Sequence[Path], options: RunOptions) -> dict[str, str]:
    """Statements by name of the missing table, in the order of the mappings; reads both databases, writes nothing.

    Raises:
        InputError: a mapping that cannot be read, or names no database.
        EnvironmentFault: a database is out of reach.
    """
    from migrate.engine.databases import source_spec_of, target_url_of
    from migrate.mapping.reader import read_mapping
    from migrate.stores.opening import open_source, open_target

    found: dict[str, str] = {}
    for path in mappings:
        mapping = read_mapping(path)
        store = open_target(target_url_of(mapping, options), options.ledger_schema)
        try:
            missing = [target for target in mapping.targets if store.describe(target.table) is None]
            if missing:
                source = open_source(source_spec_of(mapping, options)).shape
                dialect = store.engine().dialect
                found.update({target.table: proposal(target, source, dialect) for target in missing})
        finally:
            store.close()
    return found


def proposal(target: TargetTable, source: TableShape, dialect: sa.Dialect) -> str:
    """The statements that create one table."""
    canonical = METADATA.tables.get(target.table)
    if canonical is not None and dialect.name in DIALECTS:
        return ddl(dialect.name, target.table)
    table = sa.Table(target.table, sa.MetaData(), *(_column(name, target, source) for name in target.fields))
    statement = str(CreateTable(table).compile(dialect=dialect)).strip()
    return f"-- proposed from the fields of the mapping: look at types and lengths first\n{statement};\n"


def _column(name: str, target: TargetTable, source: TableShape) -> sa.Column[Any]:
    in_key = name in target.key
    declared = _type(target.fields[name], source)
    return sa.Column(
        name, _sql_type(declared, in_key=in_key), primary_key=in_key, nullable=not in_key, autoincrement=False
    )


def _type(field: FieldSpec, source: TableShape) -> LogicalType:
    from migrate.mapping.types import TypeTextError, parse_type

    if field.type is not None:
        try:
            return parse_type(field.type)
        except TypeTextError:
            return LogicalType("text")
    if field.formats is not None:
        return LogicalType("timestamp" if any("%H" in each or "%T" in each for each in field.formats) else "date")
    if field.clean is not None and "money" in field.clean:
        return LogicalType("decimal", precision=18, scale=2)
    copied = field.from_[0] if field.from_ and field.values is None and field.lookup is None else None
    return source.column(copied).type if copied in source.names else LogicalType("text")


def _sql_type(declared: LogicalType, *, in_key: bool) -> sa.types.TypeEngine[Any]:
    match declared.kind:
        case "integer":
            return decimal(38, 0) if declared.wide else sa.BigInteger()
        case "decimal" if declared.precision is not None and declared.scale is not None:
            return decimal(declared.precision, declared.scale)
        case "text" if declared.length is not None or in_key:
            return sa.String(declared.length or KEY_LENGTH)
        case "timestamp":
            return moment()
        case _:
            return _SIMPLE.get(declared.kind, document())
