"""Which contracts have a form in SQL, and what is said of those that have none."""

from __future__ import annotations

import pytest

from migrate.checksum.contract import Contract
from migrate.checksum.sql_column import StoredColumn
from migrate.checksum.sql_form import NoSqlForm, SqlDialect, SqlForm, StoredRelation, sql_form
from migrate.values import LogicalType

TEXT = LogicalType("text")


def form(dialect: SqlDialect, *columns: StoredColumn, obstacle: str | None = None) -> SqlForm | NoSqlForm:
    """The form of a contract over these columns in their own types."""
    contract = Contract(tuple((column.name, column.type) for column in columns))
    return sql_form(contract, StoredRelation(dialect, "t", "s", columns, obstacle=obstacle))


def column(name: str, logical: LogicalType, native: str, charset: str | None = None) -> StoredColumn:
    """A column under the alias `s`."""
    return StoredColumn(name, f"s.{name}", logical, native, charset)


@pytest.mark.parametrize(
    ("dialect", "refused", "why"),
    [
        ("postgresql", column("j", LogicalType("json"), "jsonb"), "j: jsonb has no canonical form in PostgreSQL"),
        ("mariadb", column("j", LogicalType("json"), "longtext"), "j: longtext has no canonical form in MariaDB"),
        ("mariadb", column("f", LogicalType("float"), "float"), "f: float does not show its bits in MariaDB"),
        ("mariadb", column("g", TEXT, "varchar", "gbk"), "g: characters stored in gbk may have no Unicode"),
        (
            "mariadb",
            column("d", LogicalType("decimal", 8, 2), "decimal zerofill"),
            "d: zeros are filled in",
        ),
    ],
)
def test_what_cannot_be_encoded_without_doubt_is_named(dialect: SqlDialect, refused: StoredColumn, why: str) -> None:
    """One such column is enough, and the sentence has its name."""
    assert form(dialect, column("a", TEXT, "varchar", "utf8mb4"), refused) == NoSqlForm(why)


def test_a_scale_that_only_the_other_side_declares_not_has_no_form() -> None:
    """Without it no cast can be written: the table is read, and no statement fails."""
    amount = column("a", LogicalType("decimal", 18, 2), "decimal")
    relation = StoredRelation("mariadb", "t", "s", (amount,))
    why = "a: MariaDB has no numbers without a declared scale, as the other side has"
    assert sql_form(Contract((("a", LogicalType("decimal")),)), relation) == NoSqlForm(why)


def test_an_obstacle_of_the_database_comes_first() -> None:
    """A database in another encoding has no form for any table."""
    assert form("postgresql", column("a", TEXT, "text"), obstacle="no UTF-8") == NoSqlForm("no UTF-8")


@pytest.mark.parametrize("dialect", ["postgresql", "mariadb"])
def test_fields_stand_in_code_point_order_and_the_key_by_itself(dialect: SqlDialect) -> None:
    """The order is the contract's, whatever the table's; the key's form has the key's fields only."""
    columns = [column(name, TEXT, "varchar", "utf8mb4") for name in ("no", "No", "a")]
    contract = Contract(tuple((each.name, each.type) for each in columns), ("no",))
    found = sql_form(contract, StoredRelation(dialect, "t", "s", tuple(columns)))
    assert isinstance(found, SqlForm)
    places = [found.row.index(f"s.{name}") for name in ("No", "a", "no")]
    assert places == sorted(places)
    assert "s.no" in found.key
    assert "s.No" not in found.key
