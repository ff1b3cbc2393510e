"""A parent and a child table with every kind of constraint, for the tests of sessions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from migrate.invoice import types
from migrate.values import TableShape


def codes(length: int) -> sa.types.TypeEngine[str]:
    """Text compared by code point on every database."""
    binary = sa.dialects.mysql.VARCHAR(length, collation="utf8mb4_bin")
    return (
        sa.String(length, collation="C").with_variant(binary, *types.MARIADB).with_variant(sa.String(length), "sqlite")
    )


def folded(length: int) -> sa.types.TypeEngine[str]:
    """Text compared without regard to case; on PostgreSQL, whose test build has no such collation, under one that is not the default."""
    return (
        sa.String(length, collation="pg_unicode_fast")
        .with_variant(sa.dialects.mysql.VARCHAR(length, collation="utf8mb4_general_ci"), *types.MARIADB)
        .with_variant(sa.String(length, collation="NOCASE"), "sqlite")
    )


def tables() -> tuple[sa.Table, sa.Table]:
    """A parent, and a child with every kind of constraint."""
    metadata = sa.MetaData()
    parent = sa.Table("parent", metadata, sa.Column("code", codes(10), primary_key=True))
    child = sa.Table(
        "child",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("code", codes(10), sa.ForeignKey("parent.code")),
        sa.Column("name", folded(10), unique=True),
        sa.Column("amount", types.money(), nullable=False),
        sa.Column("level", sa.Integer),
        sa.CheckConstraint("level >= 0", name="level_positive"),
    )
    return parent, child


def rows_of(shape: TableShape, **columns: list[Any]) -> pa.Table:
    """Rows in the Arrow types of their columns (decimals as text where the store sees text)."""
    arrays = {}
    for name, values in columns.items():
        arrow = shape.column(name).type.arrow
        plain = [str(value) if isinstance(value, Decimal) and arrow == pa.string() else value for value in values]
        arrays[name] = pa.array(plain, arrow)
    return pa.table(arrays)


def child(shape: TableShape, number: int, **changes: Any) -> pa.Table:
    """One good child row, with changes."""
    row = {"id": number, "code": "p", "name": f"n{number}", "amount": Decimal("2.00"), "level": 1, **changes}
    return rows_of(shape, **{name: [value] for name, value in row.items()})
