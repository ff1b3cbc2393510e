"""The invoice tables keep money exactly, refuse what no legal invoice can be, and are created once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from migrate.errors import InputError, StateError
from migrate.invoice import METADATA, apply_schema, ddl, differences
from migrate.invoice.schema import INVOICE, INVOICE_LINE, RED_LINK
from migrate.invoice.types import DecimalText

LARGEST = Decimal("9999999999999999.99")

DIGITAL: dict[str, Any] = {
    "key": "O-91110108MA00XY0A11-SD-25112000000012345678",
    "direction": "O",
    "owner_tax_id": "91110108MA00XY0A11",
    "type_code": "82",
    "digital_no": "25112000000012345678",
    "issued_at": datetime(2025, 4, 13, 10, 11, 12, 123456),  # noqa: DTZ001 - the column has no zone
    "issue_date": date(2025, 4, 13),
    "seller_name": "北京样例科技有限公司𠮷",
    "net": Decimal("1000.00"),
    "tax": Decimal("130.00"),
    "gross": Decimal("1130.00"),
    "is_blue": True,
    "status": "01",
    "version": 20250413101112,
    "source_system": "test",
}
VOIDED_BLANK = {**DIGITAL, "digital_no": None, "code": "011001900311", "no": "00000001", "status": "02",
                "type_code": "10", "net": None, "tax": None, "gross": None}  # fmt: skip
RED = {**DIGITAL, "net": Decimal("-1000.00"), "tax": Decimal("-130.00"), "gross": Decimal("-1130.00"), "is_blue": False}


def engine_of(url: str) -> sa.Engine:
    """An engine for a URL as users write it."""
    made = sa.make_url(url)
    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}.get(made.drivername, made.drivername)
    engine = sa.create_engine(made.set(drivername=driver))
    if made.drivername == "sqlite":
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    return engine


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An empty database of each kind."""
    made = engine_of(database_url)
    yield made
    made.dispose()


@pytest.fixture
def canonical(engine: sa.Engine) -> sa.Engine:
    """A database of each kind with the invoice tables."""
    apply_schema(engine)
    return engine


def store(engine: sa.Engine, table: sa.Table, **row: Any) -> None:
    """Insert one row in a transaction of its own."""
    with engine.begin() as connection:
        connection.execute(table.insert(), row)


def refused(engine: sa.Engine, table: sa.Table, **row: Any) -> str:
    """The database's message when it refuses the row."""
    with pytest.raises((sa.exc.DBAPIError, sa.exc.StatementError)) as caught:
        store(engine, table, **row)
    return str(caught.value)


def test_every_column_keeps_its_largest_value_exactly(canonical: sa.Engine) -> None:
    """Money of 18 digits, quantities of 38 and microseconds come back as they went in, on each database."""
    store(canonical, INVOICE, **{**DIGITAL, "net": LARGEST, "tax": Decimal("0.00"), "gross": LARGEST})
    line = {"quantity": Decimal("9999999999999999999999999.9999999999999"), "price": Decimal("0.0000000000001"),
            "tax": Decimal("-999999999999.999999"), "rate": Decimal("0.130000"), "net": -LARGEST}  # fmt: skip
    store(canonical, INVOICE_LINE, key=DIGITAL["key"], line_no=1, source_system="test", **line)
    with canonical.connect() as connection:
        header = connection.execute(sa.select(INVOICE)).mappings().one()
        stored = connection.execute(sa.select(INVOICE_LINE)).mappings().one()
    assert (header["gross"], header["tax"]) == (LARGEST, Decimal(0))
    assert (header["issued_at"], header["issue_date"]) == (DIGITAL["issued_at"], DIGITAL["issue_date"])
    assert (header["seller_name"], header["is_blue"], header["version"]) == (
        DIGITAL["seller_name"],
        True,
        20250413101112,
    )
    assert {name: stored[name] for name in line} == line


@pytest.mark.parametrize("row", [DIGITAL, VOIDED_BLANK, RED], ids=["digital", "voided blank", "red"])
def test_legal_invoices_are_taken(canonical: sa.Engine, row: dict[str, Any]) -> None:
    """A digital invoice, a voided blank without amounts and a red invoice are legal."""
    store(canonical, INVOICE, **row)


@pytest.mark.parametrize(
    ("constraint", "changed"),
    [
        ("ck_invoice_key_characters", {"key": "O-91110108MA00XY0A11-SD-２５"}),
        ("ck_invoice_direction", {"direction": "X"}),
        ("ck_invoice_status", {"status": "05"}),
        ("ck_invoice_origin", {"origin": "3"}),
        ("ck_invoice_digital_no_length", {"digital_no": "2511200000001234567"}),
        ("ck_invoice_digital_no_digits", {"digital_no": "2511200000001234567X"}),
        ("ck_invoice_code_length", {"code": "01100190031"}),
        ("ck_invoice_no_length", {"no": "1"}),
        ("ck_invoice_identity", {"digital_no": None}),
        ("ck_invoice_amounts_present", {"net": None, "tax": None, "gross": None}),
        ("ck_invoice_gross", {"gross": Decimal("1130.01")}),
        ("ck_invoice_sign", {"is_blue": False}),
    ],
)
def test_what_no_legal_invoice_can_be_is_refused(
    canonical: sa.Engine, constraint: str, changed: dict[str, Any]
) -> None:
    """Each check constraint refuses its case, by name, on each database."""
    assert constraint in refused(canonical, INVOICE, **{**DIGITAL, **changed})


@pytest.mark.parametrize(
    "column", ["direction", "owner_tax_id", "type_code", "is_blue", "status", "version", "source_system"]
)
def test_required_columns_refuse_null(canonical: sa.Engine, column: str) -> None:
    """A column that every invoice has may not be NULL."""
    assert column in refused(canonical, INVOICE, **{**DIGITAL, column: None})


def test_values_that_do_not_fit_are_refused_and_never_cut(canonical: sa.Engine) -> None:
    """A text too long and an amount too large are errors on each database, SQLite included."""
    refused(canonical, INVOICE, **{**DIGITAL, "source_system": "x" * 33})
    refused(canonical, INVOICE, **{**DIGITAL, "gross": Decimal("10000000000000000.00")})


def test_keys_differ_in_case_and_are_unique(canonical: sa.Engine) -> None:
    """Keys are compared by code point: another case is another invoice, the same key is refused."""
    store(canonical, INVOICE, **DIGITAL)
    store(canonical, INVOICE, **{**DIGITAL, "key": DIGITAL["key"].lower()})
    refused(canonical, INVOICE, **DIGITAL)


def test_lines_and_red_links_need_their_invoice(canonical: sa.Engine) -> None:
    """A line or a red link of an invoice that is not there is refused; the blue invoice may be elsewhere."""
    refused(canonical, INVOICE_LINE, key=DIGITAL["key"], line_no=1, source_system="test")
    refused(canonical, RED_LINK, key=DIGITAL["key"], source_system="test")
    store(canonical, INVOICE, **RED)
    store(
        canonical,
        RED_LINK,
        key=DIGITAL["key"],
        blue_key="O-91110108MA00XY0A11-SK-011001900311-00000001",
        source_system="test",
    )


def test_applying_again_changes_nothing(engine: sa.Engine) -> None:
    """The first call names each table and index, the second none; lost ones come back."""
    done = apply_schema(engine)
    assert [line for line in done if line.startswith("table")] == [
        f"table {table.name} created" for table in METADATA.sorted_tables
    ]
    assert apply_schema(engine) == []
    with engine.begin() as connection:
        connection.execute(sa.schema.DropTable(INVOICE_LINE))
        connection.execute(sa.schema.DropIndex(next(i for i in INVOICE.indexes if i.name == "ix_invoice_seller")))
    assert apply_schema(engine) == ["index ix_invoice_seller created", "table invoice_line created"]


def test_another_table_of_that_name_is_refused_whole(engine: sa.Engine) -> None:
    """Where `invoice` exists with other columns, every difference is named and no table is created."""
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE invoice (direction varchar(9) NOT NULL PRIMARY KEY, kind int)"))
    with pytest.raises(StateError) as caught:
        apply_schema(engine)
    for sentence in ("invoice.gross: missing", "invoice.kind: not part of", "invoice.direction: is varchar(9), should be char(1)",
                     "primary key is (direction), should be (key)", "ck_invoice_gross is missing"):  # fmt: skip
        assert sentence in str(caught.value)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["invoice"]


def test_a_merging_collation_is_a_difference(mariadb_url: str) -> None:
    """A key column that compares without case would merge keys, and is named."""
    engine = engine_of(mariadb_url)
    apply_schema(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE red_link MODIFY blue_key varchar(100) COLLATE utf8mb4_general_ci"))
        assert differences(connection, RED_LINK) == [
            "red_link.blue_key: has the collation utf8mb4_general_ci, should have utf8mb4_bin"
        ]
    engine.dispose()


def test_the_shown_ddl_creates_the_same_tables(engine: sa.Engine) -> None:
    """The statements of `schema show` make tables that `schema apply` finds nothing to add to."""
    with engine.begin() as connection:
        for statement in ddl(engine.dialect.name).split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    assert apply_schema(engine) == []


def test_an_unknown_dialect_is_an_input_error() -> None:
    """A database that the tables are not made for is refused by name."""
    with pytest.raises(InputError, match="oracle"):
        ddl("oracle")


@pytest.mark.parametrize(
    "text", ["1", "1.5", "01.00", "-0.00", "+1.00", "1e3", "1.000", ".50", "12345678901234567.00", "--1.00", "1.0a"]
)
def test_sqlite_refuses_decimals_that_are_not_canonical(sqlite_url: str, text: str) -> None:
    """Only the canonical text of an amount can be stored, so that equal amounts are equal texts."""
    engine = engine_of(sqlite_url)
    apply_schema(engine)
    store(engine, INVOICE, **DIGITAL)
    with engine.begin() as connection, pytest.raises(sa.exc.IntegrityError, match="ck_invoice_deductible_tax_fits"):
        connection.exec_driver_sql("UPDATE invoice SET deductible_tax = ?", (text,))
    engine.dispose()


@pytest.mark.parametrize(("column", "text"), [("issue_date", "2026-02-30"), ("issue_date", "20250413"), ("issued_at", "2025-04-31 00:00:00"),
                                              ("issued_at", "2460000.5"), ("version", "abc")])  # fmt: skip
def test_sqlite_refuses_what_is_no_date_or_number(sqlite_url: str, column: str, text: str) -> None:
    """SQLite would store any text in any column; the tables do not let it."""
    engine = engine_of(sqlite_url)
    apply_schema(engine)
    store(engine, INVOICE, **DIGITAL)
    with engine.begin() as connection, pytest.raises(sa.exc.IntegrityError, match=f"ck_invoice_{column}_fits"):
        connection.exec_driver_sql(f"UPDATE invoice SET {column} = ?", (text,))
    engine.dispose()


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0.00"), ("-0.00", "0.00"), ("99999999999999.99", "99999999999999.99"), ("1e3", "1000.00")],
)
def test_decimal_text_is_canonical(value: str, text: str) -> None:
    """Every spelling of an amount becomes the one text that CRE/1 encodes."""
    assert DecimalText(18, 2)._text(Decimal(value)) == text


def test_decimal_text_refuses_to_round() -> None:
    """An amount with more digits than the column is an error, not another amount."""
    with pytest.raises(ValueError, match="does not fit"):
        DecimalText(18, 2)._text(Decimal("1.005"))
