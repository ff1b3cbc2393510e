"""What SQLite holds arrives exactly, whatever storage class it has, or its row is marked with the bytes."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from migrate.errors import EnvironmentFault, InputError
from migrate.stores import sqlite_adbc
from migrate.stores.port import ANOMALY, ROW_NUMBER
from migrate.stores.sqlite import SqliteSource, open_source
from migrate.stores.sqlite_reader import SqliteReader
from migrate.stores.urls import parse_url
from migrate.values import KeyRange, SourceSpec

Run = Callable[..., None]
Open = Callable[..., SqliteReader]
ALL = KeyRange(0, ("id",), None, None)


@pytest.fixture
def run(sqlite_url: str) -> Run:
    """Runs statements, committed."""

    def execute(*statements: str) -> None:
        connection = sqlite_adbc.connect(str(parse_url(sqlite_url).database))
        for statement in statements:
            connection.run(statement)
        connection.commit()
        connection.close()

    return execute


@pytest.fixture
def reader_of(sqlite_url: str) -> Iterator[Open]:
    """Opens readers and closes them at the end."""
    opened: list[SqliteReader] = []

    def make(table: str | None = None, query: str | None = None, key: tuple[str, ...] = ()) -> SqliteReader:
        opened.append(source(sqlite_url, table, query, key).reader())
        return opened[-1]

    yield make
    for reader in opened:
        reader.close()


def source(url: str, table: str | None = None, query: str | None = None, key: tuple[str, ...] = ()) -> SqliteSource:
    """A source over a table or query."""
    return open_source(SourceSpec(url, table=table, query=query, key=key))


def rows(reader: SqliteReader, key_range: KeyRange = ALL) -> list[dict[str, Any]]:
    """All rows of a range."""
    return [row for batch in reader.read(key_range, key_range.columns, 1 << 20) for row in batch.to_pylist()]


def column(reader: SqliteReader, name: str = "v") -> list[tuple[Any, Any]]:
    """(value, anomaly) of a column by id."""
    return [(row[name], row[ANOMALY]) for row in rows(reader)]


@pytest.mark.parametrize(
    ("declared", "stored", "expected"),
    [
        ("VARCHAR(9)", "'发票'", "发票"),
        ("VARCHAR(9)", "''", ""),
        ("VARCHAR(9)", "12", "12"),
        ("VARCHAR(9)", "'a' || char(0) || 'b'", "a\0b"),
        ("INTEGER", "9223372036854775807", 9223372036854775807),
        ("INTEGER", "'0042'", 42),
        ("DOUBLE", "0.1", 0.1),
        ("DOUBLE", "3", 3.0),
        ("DOUBLE", "9e999", float("inf")),
        ("DECIMAL_TEXT(18,2)", "'99999999999999.99'", Decimal("99999999999999.99")),
        ("DECIMAL(18,2)", "'99999999999.99'", Decimal("99999999999.99")),
        ("DECIMAL(18,2)", "0.1", Decimal("0.10")),
        ("DECIMAL(18,2)", "1e15", Decimal("1000000000000000.00")),
        ("DECIMAL(18,0)", "123456789012345678", Decimal(123456789012345678)),
        ("NUMERIC", "1e-7", "0.0000001"),
        ("NUMERIC", "1234567.5", "1234567.5"),
        ("NUMERIC", "9223372036854775807", "9223372036854775807"),
        ("BOOLEAN", "1", True),
        ("BOOLEAN", "'0'", False),
        ("DATE", "'2025-02-28'", date(2025, 2, 28)),
        ("DATETIME", "'2025-02-28 01:02:03.5'", datetime(2025, 2, 28, 1, 2, 3, 500000)),  # noqa: DTZ001 - no zone
        ("DATETIME", "'2025-02-28T01:02:03'", datetime(2025, 2, 28, 1, 2, 3)),  # noqa: DTZ001 - no zone
        ("TIMESTAMPTZ", "'2025-02-28 08:00:00+08:00'", datetime(2025, 2, 28, tzinfo=UTC)),
        ("TIME", "'23:59:59.999999'", time(23, 59, 59, 999999)),
        ("BLOB", "x'00FF'", b"\x00\xff"),
        ("BLOB", "x''", b""),
        ("JSON", "'{\"a\": 1.0}'", '{"a": 1.0}'),
        ("JSON", "'17'", "17"),
        ("", "'x'", "x"),
        ("", "17", "17"),
        ("", "0.1", "0.1"),
    ],
)
def test_values_arrive_exactly(run: Run, reader_of: Open, declared: str, stored: str, expected: Any) -> None:
    """A value arrives in its column's type, though the rows before it are NULL and what ADBC infers from them is wrong."""
    run(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})",
        "INSERT INTO t VALUES (1, NULL), (2, NULL)",
        f"INSERT INTO t VALUES (3, {stored})",
    )
    assert column(reader_of("t")) == [(None, None), (None, None), (expected, None)]


@pytest.mark.parametrize(
    ("declared", "stored", "told"),
    [
        ("VARCHAR(9)", "x'4142'", "v: blob x4142 in a column of type VARCHAR(9)"),
        ("VARCHAR(9)", "CAST(x'41FF' AS TEXT)", "v: text x41FF is no exact text(9)"),
        ("INTEGER", "'abc'", "v: text x616263 in a column of type INTEGER"),
        ("INTEGER", "1.5", "v: real 1.5 in a column of type INTEGER"),
        ("INTEGER", "9223372036854775808", "v: real 9.2233720368547758e+18 in a column of type INTEGER"),
        ("DOUBLE", "'x'", "v: text x78 in a column of type DOUBLE"),
        ("DECIMAL_TEXT(18,2)", "'1.005'", "v: text x312E303035 is no exact decimal(18,2)"),
        ("DECIMAL_TEXT(18,2)", "'1_0'", "v: text x315F30 is no exact decimal(18,2)"),
        ("DECIMAL(18,2)", "0.1 + 0.2", "v: real 0.30000000000000004 is no exact decimal(18,2)"),
        ("DECIMAL(18,2)", "1.005", "v: real 1.005 is no exact decimal(18,2)"),
        ("DECIMAL(18,2)", "'99999999999999.99'", "v: real 99999999999999.98 is no exact decimal(18,2)"),
        ("NUMERIC", "9e999", "v: real inf is no exact decimal"),
        ("BOOLEAN", "2", "v: integer 2 in a column of type BOOLEAN"),
        ("BOOLEAN", "'yes'", "v: text x796573 in a column of type BOOLEAN"),
        ("DATE", "'2025-02-29'", "v: text x323032352D30322D3239 is no exact date"),
        ("DATE", "20250228", "v: integer 20250228 in a column of type DATE"),
        (
            "DATETIME",
            "'2025-02-28 01:02:03Z'",
            "v: text x323032352D30322D32382030313A30323A30335A is no exact timestamp",
        ),
        (
            "DATETIME",
            "'2025-02-28 01:02:03.1234567'",
            "v: text x323032352D30322D32382030313A30323A30332E31323334353637 is no exact timestamp",
        ),
        ("TIME", "'24:00:00'", "v: text x32343A30303A3030 is no exact time"),
        ("BLOB", "'text'", "v: text x74657874 in a column of type BLOB"),
        ("", "x'00'", "v: blob x00 in a column of type text"),
    ],
)
def test_what_does_not_fit_is_told_with_its_bytes(
    run: Run, reader_of: Open, declared: str, stored: str, told: str | None
) -> None:
    """A value outside of its column's type is NULL with a reason; the rows around it are read."""
    run(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared}, w TEXT)",
        f"INSERT INTO t VALUES (1, NULL, 'a'), (2, {stored}, 'b'), (3, NULL, 'c')",
    )
    found = rows(reader_of("t"))
    assert [row["w"] for row in found] == ["a", "b", "c"]
    assert [found[0][ANOMALY], found[2][ANOMALY]] == [None, None]
    assert found[1][ANOMALY] == told
    assert (found[1]["v"] is None) == (told is not None)


def test_several_reasons_are_told_together(run: Run, reader_of: Open) -> None:
    """A row with two odd values names both; rows without any keep none, also among others."""
    run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT, c DATE)",
        "INSERT INTO t VALUES (1, x'00', 'b', NULL), (2, 'a', 1, 'c'), (3, 'a', 1, NULL)",
    )
    found = rows(reader_of("t"))
    assert found[0][ANOMALY] == "a: blob x00 in a column of type TEXT; b: text x62 in a column of type INT"
    assert found[1][ANOMALY] == "c: text x63 is no exact date"
    assert found[2][ANOMALY] is None


def test_an_anomaly_elsewhere_does_not_concern_the_wanted_columns(run: Run, reader_of: Open) -> None:
    """Only the columns that are asked for are judged."""
    run("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT)", "INSERT INTO t VALUES (1, 'x', 'bad')")
    [batch] = reader_of("t").read(ALL, ("id",), 1000, ("a",))
    assert batch.to_pylist() == [{"a": "x", ANOMALY: None}]


def test_tables_of_many_columns_are_read(run: Run, reader_of: Open) -> None:
    """Conditions over 1,500 columns do not grow deeper than SQLite's parser goes."""
    names = [f"c{number}" for number in range(1500)]
    run(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(f'{name} TEXT' for name in names)})",
        "INSERT INTO t (id, c7, c1499) VALUES (1, 'x', x'01')",
    )
    [row] = rows(reader_of("t"))
    assert row["c7"] == "x"
    assert row[ANOMALY] == "c1499: blob x01 in a column of type TEXT"


def test_a_table_without_a_key_is_read_by_row_id(run: Run, reader_of: Open, sqlite_url: str) -> None:
    """The row id is a column behind the others and a key; a column called rowid does not hide it."""
    run(
        "CREATE TABLE t (rowid TEXT, v INT)",
        "INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3)",
        "DELETE FROM t WHERE v = 2",
    )
    shape = source(sqlite_url, "t").shape
    assert shape.positional
    assert shape.names == ("rowid", "v", ROW_NUMBER)
    reader = reader_of("t")
    border = reader.border((ROW_NUMBER,), None, 1)
    assert border == (1,)
    found = rows(reader, KeyRange(0, (ROW_NUMBER,), border, None))
    assert [(row["rowid"], row[ROW_NUMBER]) for row in found] == [("c", 3)]
    assert not source(sqlite_url, "t", key=("v",)).shape.positional


def test_borders_are_values_as_stored(run: Run, reader_of: Open) -> None:
    """Dates in another spelling and numbers in a text column compare as themselves, so no row is lost between ranges."""
    run(
        "CREATE TABLE t (d DATETIME, id INT, PRIMARY KEY (d, id))",
        "INSERT INTO t VALUES ('2025-01-01', 1), ('2025-01-01 00:00:00', 2), ('2025-01-01T00:00:00', 3), (20250101, 4), (NULL, 5), (x'01', 6)",
    )
    reader = reader_of("t")
    seen, after = [], None
    while True:
        upto = reader.border(("d", "id"), after, 1)
        seen.append([row["id"] for row in rows(reader, KeyRange(0, ("d", "id"), after, upto))])
        if upto is None:
            break
        after = upto
    assert seen == [[5], [4], [1], [2], [3], [6], []]


def test_picked_rows_are_found_in_any_spelling(run: Run, reader_of: Open) -> None:
    """A typed key finds the row whose date or decimal is written otherwise, and folds case where the column does."""
    run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, m DECIMAL_TEXT(9,2), w TEXT COLLATE NOCASE)",
        "INSERT INTO t VALUES (1, '2025-01-01', '1.5', 'Abc'), (2, '2025-01-02 00:00:00', '2.50', 'abc'), (3, '2025-01-03T00:00:00.000000', NULL, 'x')",
    )
    reader = reader_of("t")
    moments = [(datetime(2025, 1, day),) for day in (1, 2, 3)]  # noqa: DTZ001 - no zone
    assert reader.pick(("at",), moments, ("id",))["id"].to_pylist() == [1, 2, 3]
    assert reader.pick(("m",), [(Decimal("1.50"),), (Decimal("2.50"),), (None,)], ("id",))["id"].to_pylist() == [
        1,
        2,
        3,
    ]
    assert reader.pick(("w",), [("ABC",)], ("id",))["id"].to_pylist() == [1, 2]


def test_a_reader_sees_one_state(run: Run, reader_of: Open) -> None:
    """What is committed after a reader was opened stays unseen."""
    run("CREATE TABLE t (id INTEGER PRIMARY KEY)", "PRAGMA journal_mode=WAL", "INSERT INTO t VALUES (1)")
    reader = reader_of("t")
    run("INSERT INTO t VALUES (2)")
    assert [row["id"] for row in rows(reader)] == [1]


def test_a_query_has_the_types_of_columns_and_casts(run: Run, reader_of: Open, sqlite_url: str) -> None:
    """Plain columns and CASTs keep their type, other expressions are text, and a missing key or broken SQL is told."""
    run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, m DECIMAL_TEXT(9,2), b BLOB)",
        "INSERT INTO t VALUES (1, '1.50', x'01')",
    )
    query = "WITH q AS (SELECT * FROM t) SELECT id, m, b, CAST(id AS INTEGER) AS c, upper('x') AS u, id + 0.5 AS h FROM q -- all;"
    [row] = rows(reader_of(query=query, key=("id",)))
    assert row == {"id": 1, "m": Decimal("1.50"), "b": b"\x01", "c": 1, "u": "X", "h": "1.5", ANOMALY: None}
    with pytest.raises(InputError, match="no column k"):
        source(sqlite_url, query=query, key=("k",))
    with pytest.raises(InputError, match="cannot be run"):
        source(sqlite_url, query="SELECT nothing FROM nowhere")


def test_large_values_come_in_small_chunks(run: Run, reader_of: Open) -> None:
    """Memory follows the wanted size and not the number of rows: chunks of large values hold few of them."""
    run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO t SELECT value, printf('%.*c', 100000, 'x') FROM json_each('["
        + ",".join(map(str, range(200)))
        + "]')",
    )
    chunks = [batch.num_rows for batch in reader_of("t").read(ALL, ("id",), 1_000_000)]
    assert sum(chunks) == 200
    assert max(chunks) <= 21


def test_a_source_is_never_made_or_changed(sqlite_url: str, run: Run, reader_of: Open) -> None:
    """A missing file is an error and not an empty database; an open one cannot be written through the reader; text is no database."""
    with pytest.raises(InputError, match="no file"):
        source(sqlite_url, "t")
    run("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with pytest.raises(sqlite_adbc.Error, match="readonly"):
        reader_of("t")._connection.run("INSERT INTO t VALUES (1)")
    with pytest.raises(InputError, match="there is no table missing"):
        source(sqlite_url, "missing")


def test_a_file_that_is_no_database_is_told(tmp_path: Any) -> None:
    """A text file named as a database is an input error."""
    path = tmp_path / "notes.db"
    path.write_text("no database at all, but long enough to have a header of a hundred bytes. " * 3)
    with pytest.raises((InputError, EnvironmentFault), match="not a"):
        source(f"sqlite:///{path}", "t")
