"""Which logical type a column of PostgreSQL has, and the SQL by which it is named, cast and quoted.

Pure. Type modifiers are decoded as PostgreSQL's own sources do (numeric.c, varchar.c, timestamp.c).
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

from migrate.checksum.sql_column import StoredColumn
from migrate.values import Column, LogicalType

EARLIEST_DATE: Final = "0001-01-01"
LATEST_DATE: Final = "9999-12-31"
EARLIEST_TIME: Final = "0001-01-01T00:00:00"
LATEST_TIME: Final = "9999-12-31T23:59:59.999999"

_MODIFIER_OFFSET: Final = 4  # VARHDRSZ
_NAME_BYTES: Final = 63  # NAMEDATALEN - 1
_INTEGER_BYTES: Final = {"int2": 2, "int4": 4, "int8": 8}
_CODECS: Final = {
    "LATIN1": "latin-1",
    "EUC_CN": "gb2312",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "EUC_TW": "big5",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "KOI8R": "koi8_r",
}


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """A type as the catalogue has it, domains resolved: its `name` in pg_type, `typtype`, modifier, and SQL names.

    `declared` is the type as written in DDL; `cast` names the type without modifier, so that casting to it never rounds or truncates.
    """

    name: str
    typtype: str
    modifier: int
    declared: str
    cast: str
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class PostgresColumn:
    """A column with what the statements about it need.

    `collation` is its own collation as SQL, or None for the database's default. `drawn_always`: GENERATED ALWAYS AS IDENTITY, which an INSERT
    can override and an UPDATE cannot.
    """

    column: Column
    facts: TypeFacts
    collation: str | None = None
    drawn_always: bool = False

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def type(self) -> LogicalType:
        """The column's logical type."""
        return self.column.type


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation in a database: its place, and its columns in order. `sql` stands behind FROM."""

    schema: str
    name: str
    sql: str
    columns: tuple[PostgresColumn, ...]

    def column(self, name: str) -> PostgresColumn:
        """The column of that name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def quote(name: str) -> str:
    """The identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def stored_column(column: PostgresColumn, alias: str) -> StoredColumn:
    """The column for expressions over it."""
    native = "enum" if column.facts.typtype == "e" else column.facts.name
    return StoredColumn(column.name, f"{alias}.{quote(column.name)}", column.type, native)


def literal(text: str) -> str:
    """The text as a literal of unknown type, which takes the type of what it is compared with."""
    return "'" + text.replace("'", "''") + "'"


def charset_of(encoding: str) -> str | None:
    """The Python codec of a server encoding; None where all of Unicode fits (or nothing is checked, SQL_ASCII)."""
    if encoding in ("UTF8", "SQL_ASCII"):
        return None
    name = _CODECS.get(encoding, encoding)
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "ascii"


def logical_type(facts: TypeFacts, charset: str | None) -> LogicalType:
    """The logical type with all facts that decide whether a value fits."""
    if facts.name in _INTEGER_BYTES:
        bound: int = 2 ** (8 * _INTEGER_BYTES[facts.name] - 1)
        return LogicalType("integer", low=-bound, high=bound - 1)
    if facts.name == "numeric":
        return _numeric(facts.modifier)
    if facts.typtype == "e":
        return LogicalType("text", charset=charset, nul=False)
    if facts.name in ("text", "citext", "varchar", "bpchar", "name"):
        return _text(facts, charset)
    if facts.name in ("date", "time", "timestamp", "timestamptz"):
        return _temporal(facts)
    simple = {
        "float4": LogicalType("float", bits=32),
        "float8": LogicalType("float"),
        "bool": LogicalType("boolean"),
        "bytea": LogicalType("bytes"),
        "uuid": LogicalType("uuid"),
        "json": LogicalType("json", charset=charset, nul=False),
        "jsonb": LogicalType("json", charset=charset, nul=False),
    }
    return simple.get(facts.name, LogicalType("unsupported", nul=False))


def _numeric(modifier: int) -> LogicalType:
    if modifier < 0:
        return LogicalType("decimal")
    precision = ((modifier - _MODIFIER_OFFSET) >> 16) & 0xFFFF
    scale = (((modifier - _MODIFIER_OFFSET) & 0x7FF) ^ 1024) - 1024
    if not 0 <= scale <= precision:
        return LogicalType("unsupported", nul=False)  # numeric(2,-3) rounds to thousands, numeric(2,4) holds 0.0012
    return LogicalType("decimal", precision=precision, scale=scale)


def _text(facts: TypeFacts, charset: str | None) -> LogicalType:
    if facts.name == "name":
        return LogicalType("text", max_bytes=_NAME_BYTES, charset=charset, nul=False)
    length = facts.modifier - _MODIFIER_OFFSET if facts.modifier >= 0 and facts.name in ("varchar", "bpchar") else None
    # bpchar compares without trailing spaces, with or without a length.
    return LogicalType("text", length=length, charset=charset, nul=False, keeps_spaces=facts.name != "bpchar")


def _temporal(facts: TypeFacts) -> LogicalType:
    if facts.name == "date":
        return LogicalType("date", earliest=EARLIEST_DATE, latest=LATEST_DATE)
    fraction = facts.modifier if facts.modifier >= 0 else 6
    if facts.name == "time":
        return LogicalType("time", fraction=fraction)
    return LogicalType(
        "instant" if facts.name == "timestamptz" else "timestamp",
        fraction=fraction,
        earliest=EARLIEST_TIME,
        latest=LATEST_TIME,
    )
