"""Two tables of PostgreSQL that declare their columns alike are compared by the server's own binary form of a row, to the same verdict and differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.checksum.contract import Contract
from migrate.checksum.sql_record import record_form
from migrate.checksum.vectorised import row_encodings
from migrate.stores.opening import open_source
from migrate.stores.port import ANOMALY, SqlReader
from migrate.values import SourceSpec
from migrate.verify.tables import TwoTables, verify_tables
from migrate.verify.verdict import Verification
from tests.integration.sql_tables import Table, Value, every_type
from tests.rig.database import Database

ADMITTED: Final = (
    "i2", "i4", "金额", "money", "flag", "day", "clock", "Moment", "second", "instant", "words", "short", "fixed", "folded", "raw", "uuid",
)  # fmt: skip
BILLS: Final = "(no bigint PRIMARY KEY, name varchar(40), net decimal(18,2), day date, raw bytea)"


@pytest.fixture
def table(new_database: Callable[[str], str]) -> Iterator[Table]:
    """The table with every type."""
    with every_type("postgresql", new_database("postgresql")) as made:
        yield made


@pytest.fixture
def bills(new_database: Callable[[str], str]) -> Database:
    """Two tables with the same rows, in another order."""
    database = Database(new_database("postgresql"))
    rows: list[dict[str, Any]] = [
        {"no": n, "name": f"公司{n}" if n % 3 else None, "net": f"{n}.{n:02}", "day": "2025-04-01", "raw": bytes([n])}
        for n in range(30)
    ]
    for name, content in (("first", rows), ("second", rows[::-1])):
        database.run(f"CREATE TABLE {name} {BILLS}")
        database.insert(name, content)
    return database


def compared(database: Database, *key: str) -> Verification:
    """The first table and the second."""
    return verify_tables(TwoTables(database.url, "first", database.url, "second", key))


def ways(found: Verification) -> list[tuple[str, str]]:
    """How each side was scanned, and why."""
    return [(each.scan, each.reason) for each in found.coverage]


def records_and_encodings(table: Table) -> list[tuple[bytes | None, bytes | None]]:
    """Of each row its record by the server and its CRE/1 encoding."""
    source = open_source(SourceSpec(table.url, table="every"))
    contract = Contract(tuple((name, source.shape.column(name).type) for name in ADMITTED), ())
    with closing(source.reader()) as reader:
        assert isinstance(reader, SqlReader)
        form = record_form(contract, reader.stored(), reader.stored())
        assert form is not None
        found = list(reader.beside(form, ADMITTED, reader.stored().sql, ""))
    records = [each for column, _ in found for each in column.to_pylist()]
    rows = pa.Table.from_batches([batch for _, batch in found])
    encodings = row_encodings(rows, contract).to_pylist()
    unread = [each is not None for each in rows[ANOMALY].to_pylist()]
    known = [None if odd else encoding for encoding, odd in zip(encodings, unread, strict=True)]
    return list(zip(records, known, strict=True))


@settings(max_examples=40)
@given(st.data())
def test_records_are_equal_where_encodings_are(table: Table, data: st.DataObject) -> None:
    """Of hostile values: two rows have one record exactly if they have one encoding, and none exactly if they have none."""
    nothing: dict[str, Value] = dict.fromkeys(table.types)
    values = {name: table.types[name][1] for name in ADMITTED}
    single = [{**nothing, name: data.draw(found)} for name, found in values.items() for _ in range(2)]
    whole = [{**nothing, **{name: data.draw(st.none() | found) for name, found in values.items()}}]
    table.fill([*single, *whole, nothing])
    found = records_and_encodings(table)
    assert all((record is None) == (encoding is None) for record, encoding in found)
    pairs = set(found) - {(None, None)}
    assert len({record for record, _ in pairs}) == len({encoding for _, encoding in pairs}) == len(pairs)


def test_equal_tables_are_seen_by_their_records(bills: Database) -> None:
    """Every row is counted on both sides, without a sample and whatever the size."""
    found = compared(bills)
    assert (found.verdict, ways(found)) == ("EQUAL", [("stream", "records")] * 2)
    result = found.targets["second"]
    assert (result.source_rows, result.target_rows) == (30, 30)


def test_what_differs_is_named_as_ever(bills: Database) -> None:
    """Rows are compared by their encodings then: kinds, columns, causes are those of any other way."""
    bills.run(
        "DELETE FROM second WHERE no = 7",
        "DELETE FROM first WHERE no = 8",
        "UPDATE second SET net = net + 0.01 WHERE no = 5",
        "UPDATE second SET name = name || ' ' WHERE no = 10",
    )
    found, by_rows = (
        compared(bills),
        verify_tables(TwoTables(bills.url, "first", bills.url, "second", scan="stream")),
    )
    assert (found.verdict, ways(found)) == ("DIFFERENT", [("stream", "records")] * 2)
    assert not found.not_verified
    assert found.targets == by_rows.targets
    assert sorted(each.kind for each in found.targets["second"].differences) == [
        "changed", "changed", "extra", "missing",
    ]  # fmt: skip


def test_rows_without_an_encoding_end_the_attempt(bills: Database) -> None:
    """Also where both sides have the same: it is not verified, as when the rows are read."""
    for name in ("first", "second"):
        bills.run(f"UPDATE {name} SET day = 'infinity' WHERE no = 3")
    found = compared(bills)
    assert (found.verdict, ways(found)) == ("NOT_VERIFIED", [("stream", "small")] * 2)


@pytest.mark.parametrize(
    "declared",
    ["net TYPE decimal(18,3)", "net TYPE numeric", "name TYPE text", "name TYPE char(40)", "no TYPE integer"],
)
def test_columns_declared_otherwise_have_no_common_record(bills: Database, declared: str) -> None:
    """What is equal by value may have other bytes; such tables are compared in the usual ways."""
    bills.run(f"ALTER TABLE second ALTER COLUMN {declared}")
    found = compared(bills)
    assert found.verdict == "EQUAL"
    assert "records" not in {reason for _, reason in ways(found)}


def test_columns_that_are_filled_up_to_another_length_have_no_common_record(bills: Database) -> None:
    """The spaces behind a char(n) are no part of its value, and yet of its record."""
    for name, length in (("first", 40), ("second", 50)):
        bills.run(f"ALTER TABLE {name} ALTER COLUMN name TYPE char({length})")
    found = compared(bills)
    assert (found.verdict, ways(found)) == ("EQUAL", [("stream", "small")] * 2)


def test_longer_columns_have_the_same_record(bills: Database) -> None:
    """How long a text or how large a number may be is no part of a value."""
    bills.run("ALTER TABLE second ALTER COLUMN name TYPE varchar(80), ALTER COLUMN net TYPE decimal(20,2)")
    assert ways(compared(bills)) == [("stream", "records")] * 2


def test_without_a_key_there_is_no_bucket(bills: Database) -> None:
    """Rows that are named by all of their columns are sorted by their encoding, which a record does not give."""
    for name in ("first", "second"):
        bills.run(f"ALTER TABLE {name} DROP CONSTRAINT {name}_pkey")
    found = compared(bills)
    assert (found.verdict, ways(found)) == ("EQUAL", [("stream", "small")] * 2)
