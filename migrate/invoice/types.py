"""Column types of the invoice tables that are exact on every database; it must never let money pass through a float."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

MARIADB = ("mysql", "mariadb")
"""SQLAlchemy's names for MariaDB and MySQL."""

CODE_COLLATION = "utf8mb4_bin"
"""Compares code points: two keys that differ in anything are two keys. Codes never end in a space, which it ignores."""

NAME_COLLATION = "utf8mb4_unicode_520_ci"
"""For names that people search: case does not matter, and rare characters (𠮷) are told apart, which general_ci cannot."""


_WIDE = Context(prec=100)
"""More digits than any column has: the usual 28 would refuse a quantity of 38."""


class DecimalText(sa.types.UserDefinedType[Decimal]):
    """An exact decimal on SQLite: canonical text in a column declared `DECIMAL_TEXT(precision,scale)`, which has TEXT affinity.

    SQLite's own NUMERIC turns 99999999999999.99 into a binary float. Canonical is what CRE/1 encodes: plain notation with
    exactly `scale` fraction digits, no leading zeros, no `+`, no `-0`.
    """

    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        self.precision = precision
        self.scale = scale

    def get_col_spec(self, **_kw: object) -> str:
        """The declared type."""
        return f"DECIMAL_TEXT({self.precision},{self.scale})"

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], str | None]:  # noqa: ARG002 - SQLAlchemy's signature
        """Writes a Decimal as canonical text; ValueError when it has more digits than the column."""
        return self._text

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Decimal | None]:  # noqa: ARG002 - SQLAlchemy's signature
        """Reads the text as a Decimal."""
        return lambda stored: None if stored is None else Decimal(stored)

    def _text(self, value: Decimal | int | str | None) -> str | None:
        if value is None:
            return None
        number = Decimal(value)
        scaled = number.quantize(Decimal(1).scaleb(-self.scale), context=_WIDE)
        if scaled != number or scaled.adjusted() + 1 > self.precision - self.scale:
            raise ValueError(f"{value} does not fit in {self.get_col_spec()}")
        return f"{abs(scaled) if scaled == 0 else scaled:f}"


def decimal(precision: int, scale: int) -> sa.types.TypeEngine[Decimal]:
    """DECIMAL on servers, `DecimalText` on SQLite."""
    return sa.Numeric(precision, scale).with_variant(DecimalText(precision, scale), "sqlite")


def money() -> sa.types.TypeEngine[Decimal]:
    """Amounts in yuan with two decimals, up to 16 digits before the point."""
    return decimal(18, 2)


def name(length: int) -> sa.types.TypeEngine[str]:
    """Text that people read and search, of at most `length` characters."""
    return sa.String(length).with_variant(mysql.VARCHAR(length, collation=NAME_COLLATION), *MARIADB)


def moment() -> sa.types.TypeEngine[Any]:
    """A timestamp without zone (China's time), to the microsecond; ISO text on SQLite."""
    # A plain DATETIME of MariaDB rounds fractions of a second away in silence.
    return sa.TIMESTAMP().with_variant(mysql.DATETIME(fsp=6), *MARIADB)


def document() -> sa.types.TypeEngine[str]:
    """Text of any length, kept byte for byte; not a JSON type, which would reorder what was received."""
    return sa.Text().with_variant(mysql.LONGTEXT(), *MARIADB)
