"""Declared types of SQLite mean what their names say, and affinity is SQLite's own."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.stores.sqlite_types import affinity, logical_type

PARTS = ["INT", "CHAR", "CLOB", "TEXT", "BLOB", "REAL", "FLOA", "DOUB", "NUM", "DATE", "DECIMAL", "X", " "]


@given(st.lists(st.sampled_from(PARTS), max_size=3))
def test_affinity_is_that_of_sqlite(parts: list[str]) -> None:
    """For any declared type, a stored '1.0' has the storage class that SQLite's rules say."""
    declared = " ".join(parts).strip()
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t (v {declared})")
    connection.execute("INSERT INTO t VALUES ('1.0'), (2)")
    [first, second] = [kind for (kind,) in connection.execute("SELECT typeof(v) FROM t")]
    connection.close()
    expected = {
        "TEXT": ("text", "text"),
        "NONE": ("text", "integer"),
        "REAL": ("real", "real"),
        "INTEGER": ("integer", "integer"),
        "NUMERIC": ("integer", "integer"),
    }
    assert (first, second) == expected[affinity(declared)]


@pytest.mark.parametrize(
    ("declared", "kind", "precision", "scale", "length"),
    [
        ("INTEGER", "integer", None, None, None),
        ("UNSIGNED BIG INT", "integer", None, None, None),
        ("varchar(20)", "text", None, None, 20),
        ("NVARCHAR ( 7 )", "text", None, None, 7),
        ("decimal_text(18, 2)", "decimal", 18, 2, None),
        ("DECIMAL(18,2)", "decimal", 18, 2, None),
        ("NUMERIC(9)", "decimal", 9, 0, None),
        ("NUMERIC", "decimal", None, None, None),
        ("DOUBLE PRECISION", "float", None, None, None),
        ("BOOLEAN", "boolean", None, None, None),
        ("DATETIME", "timestamp", None, None, None),
        ("TIMESTAMP WITH TIME ZONE", "instant", None, None, None),
        ("DATE", "date", None, None, None),
        ("VARBINARY(9)", "bytes", None, None, 9),
        ("", "text", None, None, None),
        ("GEOMETRY", "unsupported", None, None, None),
    ],
)
def test_logical_types(declared: str, kind: str, precision: int | None, scale: int | None, length: int | None) -> None:
    """The declared name decides, in any case and spacing; lengths and digits are kept."""
    logical = logical_type(declared, writing=False)
    assert (logical.kind, logical.precision, logical.scale, logical.length) == (kind, precision, scale, length)


def test_a_plain_decimal_can_be_written_with_fifteen_digits() -> None:
    """NUMERIC affinity makes a binary64 of a fraction, and an int64 of a whole number; text holds all digits."""
    assert logical_type("DECIMAL(18,2)", writing=True).precision == 15
    assert logical_type("DECIMAL(18,0)", writing=True).precision == 18
    assert logical_type("DECIMAL(10,2)", writing=True).precision == 10
    assert logical_type("DECIMAL_TEXT(38,13)", writing=True).precision == 38
