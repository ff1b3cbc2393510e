"""A contract as SQL: one scalar expression that is the CRE/1 encoding of a row, and one for its key fields.

Pure. What a database cannot compute without doubt has no form here, and says why; whoever asks then reads the rows themselves.
A form is NULL for a row that has no encoding ("poison"), and only for such a row. That it equals `encoding` byte for byte is for its user
to prove on rows of the table before anything is concluded from it: servers, versions and settings differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from migrate.checksum import sql_mariadb, sql_postgres
from migrate.checksum.contract import Contract
from migrate.checksum.sql_column import StoredColumn
from migrate.values import LogicalType

SqlDialect: TypeAlias = Literal["postgresql", "mariadb"]


@dataclass(frozen=True, slots=True)
class StoredRelation:
    """What is read from: `sql` stands behind FROM, under `alias`; `columns` as declared.

    `rows` is an estimate, or None. `obstacle`: why nothing of this database can be encoded by itself, or None.
    """

    dialect: SqlDialect
    sql: str
    alias: str
    columns: tuple[StoredColumn, ...]
    rows: int | None = None
    obstacle: str | None = None

    def column(self, name: str) -> StoredColumn:
        """The column of that name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class SqlForm:
    """Expressions over the relation's alias: `row` is the encoding of all fields as text, `row_bytes` the same as bytes, `key` that of the key fields as text."""

    row: str
    row_bytes: str
    key: str


@dataclass(frozen=True, slots=True)
class NoSqlForm:
    """This table has to be read; `why` is a sentence for people."""

    why: str


def sql_form(contract: Contract, relation: StoredRelation) -> SqlForm | NoSqlForm:
    """The contract over this relation, or why there is none."""
    if relation.obstacle is not None:
        return NoSqlForm(relation.obstacle)
    refusal, join = _REFUSALS[relation.dialect], _JOINS[relation.dialect]
    reasons = [
        f"{name}: {why}" for name, logical in contract.columns if (why := refusal(relation.column(name), logical))
    ]
    if reasons:
        return NoSqlForm("; ".join(reasons))
    row = join(_fields(contract.columns, relation))
    return SqlForm(row, _BYTES[relation.dialect](row), join(_fields(contract.key_columns, relation)))


def _fields(columns: tuple[tuple[str, LogicalType], ...], relation: StoredRelation) -> list[str]:
    field = _FIELDS[relation.dialect]
    return [field(relation.column(name), logical) for name, logical in columns]


_REFUSALS = {"postgresql": sql_postgres.refusal, "mariadb": sql_mariadb.refusal}
_FIELDS = {"postgresql": sql_postgres.field, "mariadb": sql_mariadb.field}
_JOINS = {"postgresql": sql_postgres.joined, "mariadb": sql_mariadb.joined}
_BYTES = {"postgresql": sql_postgres.utf8, "mariadb": sql_mariadb.utf8}
