"""Check constraints of the invoice tables, as each database writes them.

They hold for every legal invoice: only facts that FAPIAO.md marks certain, and never a rule that old data may break lawfully
(check digits of tax ids, provinces in numbers). What SQLite does not enforce by itself (lengths, exact decimals, dates) is
checked there too, so that a value that does not fit is refused on all three databases.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from migrate.invoice.types import MARIADB, DecimalText

SERVERS = ("postgresql", *MARIADB)
STANDARD = {"key": '"key"'}
BACKTICKS = {"key": "`key`"}
"""The one column whose name is a reserved word, as each database quotes it."""


def only(column: str, characters: str, name: str) -> list[sa.CheckConstraint]:
    """The column holds nothing but `characters`, the inside of a bracket expression."""
    return [
        _check(f"{STANDARD.get(column, column)} !~ '[^{characters}]'", name, "postgresql"),
        _check(f"{BACKTICKS.get(column, column)} NOT REGEXP '[^{characters}]'", name, *MARIADB),
        _check(f"{STANDARD.get(column, column)} NOT GLOB '*[^{characters}]*'", name, "sqlite"),
    ]


def length_in(column: str, lengths: tuple[int, ...], name: str) -> list[sa.CheckConstraint]:
    """The column has one of these numbers of characters."""
    wanted = ", ".join(str(length) for length in lengths)
    return [
        _check(f"char_length({column}) IN ({wanted})", name, *SERVERS),
        _check(f"length({column}) IN ({wanted})", name, "sqlite"),
    ]


def on_every_database(condition: str, name: str) -> list[sa.CheckConstraint]:
    """A condition that all databases read alike; `{key}` in it stands for the column `key`."""
    return [
        _check(condition.format(**BACKTICKS), name, *MARIADB),
        _check(condition.format(**STANDARD), name, "postgresql", "sqlite"),
    ]


def on_amounts(condition: str, columns: tuple[str, ...], name: str) -> list[sa.CheckConstraint]:
    """A condition over decimals of one scale; `{net}` in it stands for the column `net` as a number.

    SQLite's canonical text without its point is the amount in the smallest unit: an integer of 18 digits, which is exact.
    """
    plain = {column: column for column in columns}
    units = {column: f"CAST(replace({column}, '.', '') AS INTEGER)" for column in columns}
    return [
        _check(condition.format(**plain), name, *SERVERS),
        _check(condition.format(**units), name, "sqlite"),
    ]


def fitting_on_sqlite(table: sa.Table) -> Iterator[sa.CheckConstraint]:
    """For each column of the table: what its declared type means, which SQLite does not enforce by itself."""
    sqlite = sa.create_mock_engine("sqlite://", lambda *_: None).dialect
    for column in table.columns:
        condition = _fits(STANDARD.get(column.name, column.name), column.type.dialect_impl(sqlite))
        if condition is not None:
            yield _check(condition, f"ck_{table.name}_{column.name}_fits", "sqlite")


def _fits(column: str, declared: sa.types.TypeEngine[object]) -> str | None:
    if isinstance(declared, DecimalText):
        return _canonical(column, declared)
    if isinstance(declared, sa.Date | sa.DateTime):
        return _on_the_calendar(column, with_time=isinstance(declared, sa.DateTime))
    if isinstance(declared, sa.Text):
        return f"typeof({column}) <> 'blob'"
    if isinstance(declared, sa.String):
        return f"length({column}) <= {declared.length} AND typeof({column}) <> 'blob'"
    if isinstance(declared, sa.Integer):
        return f"typeof({column}) IN ('integer', 'null')"
    return None


def _on_the_calendar(column: str, *, with_time: bool) -> str:
    # Without a modifier, `date` gives the 30th of February back as it is.
    if not with_time:
        return f"date({column}, '+0 days') IS {column}"
    day = f"substr({column}, 1, 10)"
    return f"date({day}, '+0 days') IS {day} AND substr({column}, 12) GLOB '[0-2][0-9]:[0-5][0-9]:[0-5][0-9]*'"


def _canonical(column: str, declared: DecimalText) -> str:
    fraction = "[0-9]" * declared.scale
    digits = f"ltrim({column}, '-')"
    return (
        f"{digits} GLOB '*[0-9].{fraction}' AND {digits} NOT GLOB '*[^0-9.]*' AND {digits} NOT GLOB '*.*.*'"
        f" AND {digits} NOT GLOB '0[0-9]*' AND {column} NOT GLOB '--*'"
        f" AND ({column} NOT GLOB '-*' OR {digits} GLOB '*[1-9]*') AND length({digits}) <= {declared.precision + 1}"
    )


def made_on(constraint: sa.Constraint, dialect: str) -> bool:
    """True for a constraint that is created on that dialect."""
    return dialect in constraint.info.get("dialects", (dialect,))


def _check(condition: str, name: str, *dialects: str) -> sa.CheckConstraint:
    constraint = sa.CheckConstraint(condition, name=name, info={"dialects": dialects})
    constraint.ddl_if(callable_=lambda *_, dialect, **__: dialect.name in dialects)
    return constraint
