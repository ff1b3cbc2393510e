"""The DDL that is proposed for a missing target table can be run, and keeps what the mapping writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from migrate.cli.missing_tables import proposal
from migrate.mapping.model import TargetTable
from migrate.stores.opening import open_target
from migrate.values import Column, LogicalType, TableShape

KINDS: dict[str, LogicalType] = {
    "id": LogicalType("text", length=32),
    "amount": LogicalType("decimal", precision=18, scale=2),
    "counted": LogicalType("integer", low=-(2**63), high=2**63 - 1),
    "wide": LogicalType("integer", low=0, high=2**64 - 1),
    "ratio": LogicalType("float"),
    "flag": LogicalType("boolean"),
    "day": LogicalType("date"),
    "clock": LogicalType("time"),
    "at": LogicalType("timestamp"),
    "moment": LogicalType("instant"),
    "content": LogicalType("bytes"),
    "ident": LogicalType("uuid"),
    "story": LogicalType("text"),
}
SOURCE = TableShape("old", tuple(Column(name, kind) for name, kind in KINDS.items()))


def target(**fields: object) -> TargetTable:
    """A target that copies every column of the source, and has these fields besides."""
    return TargetTable.model_validate(
        {"table": "new", "key": ["id"], "fields": {**{name: name for name in KINDS}, **fields}}
    )


def test_every_kind_of_column_can_be_created(database_url: str) -> None:
    """The proposal runs on each database, and the store finds the kinds that it was made from."""
    store = open_target(database_url)
    statement = proposal(target(), SOURCE, store.engine().dialect)
    with store.engine().begin() as connection:
        connection.exec_driver_sql("\n".join(statement.splitlines()[1:]).rstrip(";\n"))
    made = store.describe("new")
    store.close()
    assert made is not None
    assert made.primary_key == ("id",)
    assert made.names == tuple(KINDS)
    kinds = {column.name: column.type for column in made.columns}
    assert (kinds["amount"].kind, kinds["amount"].precision, kinds["amount"].scale) == ("decimal", 18, 2)
    assert kinds["id"].length == 32
    assert [kinds[name].kind for name in ("counted", "day", "at", "content", "story")] == [
        "integer", "date", "timestamp", "bytes", "text",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "declared"),
    [
        ({"from": "story", "type": "decimal(10,3)"}, "NUMERIC(10, 3)"),
        ({"from": "day", "values": {"a": "b"}}, "TEXT"),
        ({"sql": "amount + 1"}, "TEXT"),
        ({"value": "x"}, "TEXT"),
        ({"from": "story", "clean": ["trim", "money"]}, "NUMERIC(18, 2)"),
        ({"from": "story", "formats": ["%Y%m%d"]}, "DATE"),
        ({"from": "story", "formats": ["%Y%m%d", "%Y-%m-%d %H:%M:%S"]}, "TIMESTAMP"),
        ({"from": "story", "type": "no such type"}, "TEXT"),
    ],
)
def test_types_come_from_the_mapping_before_the_source(field: dict[str, object], declared: str) -> None:
    """A declared type outranks the column's; what is computed is text until somebody looks."""
    dialect = sa.make_url("postgresql+psycopg://").get_dialect()()
    statement = proposal(target(extra=field), SOURCE, dialect)
    assert f"extra {declared}" in statement
    assert statement.startswith("-- proposed from the fields of the mapping")


def test_the_invoice_tables_come_as_they_are(new_database: Callable[[str], str]) -> None:
    """A missing canonical table is not guessed."""
    dialect = open_target(new_database("sqlite")).engine().dialect
    statement = proposal(
        TargetTable.model_validate({"table": "red_link", "key": "key", "fields": {"key": "id"}}), SOURCE, dialect
    )
    assert "fk_red_link_key" in statement
    assert "proposed" not in statement
