"""Plain frozen values that every layer speaks: logical types, columns, table shapes, keys and key ranges.

Pure: nothing here touches a database, a file, the clock or the environment.

A value of a logical type is held in memory in exactly one Arrow type (`LogicalType.arrow`):

| kind | Arrow | never |
|---|---|---|
| integer | int64, or decimal128(38, 0) where the column can hold more | float |
| decimal with scale, precision ≤ 38 | decimal128(precision, scale) | float |
| decimal otherwise | string, plain notation | rounding |
| float | float64 | for money |
| boolean, date, bytes | bool, date32, binary | |
| time / timestamp / instant | time64[us] / timestamp[us] / timestamp[us, UTC] | mixing the last two |
| text, uuid, json | string | |
| unsupported | string, the database's own text form; may be copied, never compared | |
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final, Literal

import pyarrow as pa

Kind = Literal[
    "integer",
    "decimal",
    "float",
    "boolean",
    "date",
    "time",
    "timestamp",
    "instant",
    "text",
    "bytes",
    "uuid",
    "json",
    "unsupported",
]

INT64_LOW = -(2**63)
INT64_HIGH = 2**63 - 1

_SIMPLE_ARROW: dict[str, pa.DataType] = {
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "instant": pa.timestamp("us", tz="UTC"),
    "text": pa.string(),
    "bytes": pa.binary(),
    "uuid": pa.string(),
    "json": pa.string(),
    "unsupported": pa.string(),
}
_DIGITS: Final = re.compile(r"\(\s*(\d+)")
"""The first number in the parentheses of a declared type."""

_SIMPLE_DUCKDB: dict[str, str] = {
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "instant": "TIMESTAMPTZ",
    "text": "VARCHAR",
    "bytes": "BLOB",
    "uuid": "VARCHAR",
    "json": "VARCHAR",
    "unsupported": "VARCHAR",
}


@dataclass(frozen=True, slots=True)
class LogicalType:
    """What a column can hold, without loss; the facts that decide whether a value fits.

    `precision`, `scale`: decimal digits. `low`, `high`: bounds of an integer, inclusive. `length`: characters of a text
    (bytes of a `bytes`). `max_bytes`: bytes of a text in the database's encoding. `charset`: the characters that fit:
    `None` is all of Unicode, `utf8mb3` the basic plane, otherwise a Python codec name. `nul`: may a text hold U+0000.
    `keeps_spaces`: false where trailing spaces are not stored (char(n)). `fraction`: digits of a second that are stored.
    `earliest`, `latest`: ISO bounds of a date or time, inclusive. `bits`: of a float.
    """

    kind: Kind
    precision: int | None = None
    scale: int | None = None
    low: int | None = None
    high: int | None = None
    length: int | None = None
    max_bytes: int | None = None
    charset: str | None = None
    nul: bool = True
    keeps_spaces: bool = True
    fraction: int = 6
    earliest: str | None = None
    latest: str | None = None
    bits: int = 64

    @property
    def wide(self) -> bool:
        """True for an integer that can lie outside of int64."""
        if self.kind != "integer":
            return False
        return (self.low is not None and self.low < INT64_LOW) or (self.high is not None and self.high > INT64_HIGH)

    @property
    def exact_decimal(self) -> bool:
        """True for a decimal that Arrow and DuckDB hold as decimal128."""
        return (
            self.kind == "decimal" and self.scale is not None and self.precision is not None and self.precision <= 38  # noqa: PLR2004 - decimal128
        )

    @property
    def arrow(self) -> pa.DataType:
        """The one Arrow type that holds values of this logical type."""
        if self.kind == "integer":
            return pa.decimal128(38, 0) if self.wide else pa.int64()
        if self.kind == "decimal":
            return pa.decimal128(self.precision, self.scale) if self.exact_decimal else pa.string()
        return _SIMPLE_ARROW[self.kind]

    @property
    def duckdb(self) -> str:
        """The DuckDB type that corresponds to `arrow`."""
        if self.kind == "integer":
            return "DECIMAL(38,0)" if self.wide else "BIGINT"
        if self.kind == "decimal":
            return f"DECIMAL({self.precision},{self.scale})" if self.exact_decimal else "VARCHAR"
        return _SIMPLE_DUCKDB[self.kind]

    def __str__(self) -> str:
        if self.kind == "decimal" and self.scale is not None:
            return f"decimal({self.precision},{self.scale})"
        if self.length is not None:
            return f"{self.kind}({self.length})"
        return self.kind


DefaultKind = Literal["null", "literal", "expression", "identity", "generated"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table or source, as the database declares it.

    `default_kind` tells what a row gets that does not name this column: NULL, the text in `default`, the value of an
    expression, the next of a sequence, or a generated value (which cannot be written at all). `declared` is the database's own type.
    """

    name: str
    type: LogicalType
    nullable: bool = True
    default_kind: DefaultKind = "null"
    default: str | None = None
    declared: str = ""
    collation: str | None = None

    @property
    def digits_kept(self) -> int | None:
        """Digits that a column of decimals keeps exactly, where its declared type promises more (a plain DECIMAL of SQLite); None elsewhere."""
        promised = _DIGITS.search(self.declared)
        if self.type.kind != "decimal" or self.type.precision is None or promised is None:
            return None
        return self.type.precision if int(promised[1]) > self.type.precision else None


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A primary key, unique constraint or unique index over whole columns of every row."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns that must be found in another table, or the same one."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    cascades: bool = False


@dataclass(frozen=True, slots=True)
class PointingTable:
    """A table, named as `describe` takes it, and a foreign key of it; the key's parent is named as whoever asked named it."""

    name: str
    key: ForeignKey


@dataclass(frozen=True, slots=True)
class TableShape:
    """All that planning needs to know about one table or source.

    `columns` are in the database's order. `obstacles` are sentences about things that change rows by themselves or
    hide them, so that nothing can be written safely: triggers, rules, cascades into the table, row security, an engine without
    transactions. `remarks` are sentences that a person should read but that stop nothing: partial or expression unique indexes.
    `rows` is an estimate, or None. `positional` is true where rows have a stable number or physical id, but no key.
    """

    name: str
    columns: tuple[Column, ...]
    unique_keys: tuple[UniqueKey, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    obstacles: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    rows: int | None = None
    positional: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns of the primary key, or ()."""
        return next((key.columns for key in self.unique_keys if key.primary), ())


KeyValue = None | bool | int | float | str | bytes | Decimal | date | datetime | time
Key = tuple[KeyValue, ...]
"""Exact, typed values of the key columns of one row."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Rows whose `columns` lie in (after, upto] in the source's own order; None is open.

    All rows that the source holds equal in `columns` lie in the same range.
    """

    number: int
    columns: tuple[str, ...]
    after: Key | None
    upto: Key | None


@dataclass(frozen=True, slots=True)
class SourceSample:
    """Some key ranges of a source, in its order, none of which meets another; how many rows they have, and `of` how many rows of all."""

    ranges: tuple[KeyRange, ...]
    rows: int
    of: int


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Where source rows come from: exactly one of table, query, files. `sample`: only these of its rows are there."""

    url: str | None
    table: str | None = None
    query: str | None = None
    files: str | None = None
    format: str | None = None
    options: tuple[tuple[str, str], ...] = field(default=())
    key: tuple[str, ...] = ()
    sample: SourceSample | None = None

    @property
    def relation(self) -> str:
        """What to call it in messages."""
        return self.table or self.files or "query"
