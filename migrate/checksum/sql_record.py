"""PostgreSQL's own binary form of a row: where two tables declare their columns alike, rows of the same bytes are the same row.

Pure. It is no encoding of CRE/1 and no digest of a row is ever made of it: it only says whether two rows are one, and is there because the
server has it at hand (`record_send`, of fields with their types and lengths), where it would have to write every field as text first.
"""

from __future__ import annotations

from typing import Final

from migrate.checksum.contract import Contract
from migrate.checksum.sql_column import StoredColumn
from migrate.checksum.sql_form import StoredRelation

_EXACT: Final = frozenset({"bool", "int2", "int4", "int8", "text", "varchar", "bytea", "uuid"})
"""Types of which each value has one binary form, and an encoding."""
_BOUNDS: Final = {
    "date": ("0001-01-01", "9999-12-31"),
    "time": ("00:00:00", "23:59:59.999999"),
    "timestamp": ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"),
    "timestamptz": ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"),
}
"""The same of types of which only values between these have an encoding."""


def record_form(contract: Contract, relation: StoredRelation, other: StoredRelation) -> str | None:
    """An expression (bytea) over `relation` whose values are equal exactly where CRE/1 is, also with those of the same expression over `other`.

    NULL for a row that has no encoding, and only for such a row. None where the columns are not declared alike in both, or have a type with
    several forms of one value: numbers of any scale, floats, JSON.
    """
    if any(each.dialect != "postgresql" or each.obstacle is not None for each in (relation, other)):
        return None
    columns = [relation.column(name) for name, _ in contract.columns]
    if not all(_is_exact(column) and _declared_alike(column, other.column(column.name)) for column in columns):
        return None
    record = f"pg_catalog.record_send(ROW({', '.join(column.sql for column in columns)}))"
    poison = [condition for column in columns if (condition := _poison(column))]
    return f"CASE WHEN {' OR '.join(poison)} THEN NULL ELSE {record} END" if poison else record


def _is_exact(column: StoredColumn) -> bool:
    if column.native == "numeric":
        return column.type.kind == "decimal" and column.type.scale is not None
    if column.native == "bpchar":
        # Filled up with spaces, which are no part of the value, to a length that both sides share; without one they may be any.
        return column.type.length is not None
    return column.native in _EXACT or column.native in _BOUNDS


def _declared_alike(one: StoredColumn, other: StoredColumn) -> bool:
    """Of one type with as many digits behind the point; how long or large a value may be shows in none but one that is filled up."""
    padded = one.native == "bpchar" and one.type.length != other.type.length
    return (one.native, one.type.scale) == (other.native, other.type.scale) and not padded


def _poison(column: StoredColumn) -> str | None:
    """True for a value without an encoding, NULL or false for any other one; None where there is no such value."""
    if column.native == "numeric":
        return f"{column.sql}='NaN'"
    bounds = _BOUNDS.get(column.native)
    return None if bounds is None else f"{column.sql} NOT BETWEEN '{bounds[0]}' AND '{bounds[1]}'"
