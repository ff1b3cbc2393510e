"""A column as a database declares it, for expressions over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from migrate.values import Kind, LogicalType

TAGS: Final[dict[Kind, str]] = {
    "integer": "I", "decimal": "D", "float": "F", "boolean": "B", "date": "A", "time": "M", "timestamp": "T", "instant": "Z",
    "bytes": "X", "uuid": "U",
}  # fmt: skip
"""Of the kinds whose fields look alike in SQL; a text has two tags, and JSON no form."""
_LENGTHS: Final[dict[Kind, int]] = {
    "float": 16, "boolean": 1, "date": 10, "time": 15, "timestamp": 26, "instant": 26, "bytes": 64, "uuid": 36,
}  # fmt: skip
"""Bytes of the canonical text, where all values have as many."""


def fixed_head(kind: Kind) -> str | None:
    """`<tag><length>:` of the fields of a kind, where it is the same in every row; else None."""
    length = _LENGTHS.get(kind)
    return None if length is None else f"{TAGS[kind]}{length}:"


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """`sql` names it, qualified and quoted. `native`: the database's own name of its type, lower case, without modifiers (MariaDB: with the word zerofill).

    `charset`: of a text, MariaDB's name of the character set that it is stored in; None where the whole database has one.
    """

    name: str
    sql: str
    type: LogicalType
    native: str
    charset: str | None = None
