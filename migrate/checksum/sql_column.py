"""A column as a database declares it, for expressions over it."""

from __future__ import annotations

from dataclasses import dataclass

from migrate.values import LogicalType


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
