"""What MariaDB holds arrives exactly, or its row is marked with the bytes."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from migrate.errors import DataError, InputError
from migrate.stores.mariadb import open_source
from migrate.stores.mariadb_source import MariaReader
from migrate.stores.port import ANOMALY
from migrate.stores.urls import parse_url
from migrate.values import KeyRange, SourceSpec

Run = Callable[..., None]
ALL = KeyRange(0, ("id",), None, None)


@pytest.fixture
def run(mariadb_url: str) -> Iterator[Run]:
    """Runs statements, without strictness, as old systems did."""
    engine = sa.create_engine(parse_url(mariadb_url), poolclass=sa.NullPool)

    def execute(*statements: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("SET sql_mode = ''")
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    yield execute
    engine.dispose()


@pytest.fixture
def reader_of(mariadb_url: str) -> Iterator[Callable[..., MariaReader]]:
    """Opens readers and closes them at the end."""
    opened: list[MariaReader] = []

    def make(table: str | None = None, query: str | None = None, key: tuple[str, ...] = ()) -> MariaReader:
        opened.append(open_source(SourceSpec(mariadb_url, table=table, query=query, key=key)).reader())
        return opened[-1]

    yield make
    for reader in opened:
        reader.close()


def rows(reader: MariaReader, key_range: KeyRange = ALL, chunk_bytes: int = 1 << 20) -> list[dict[str, Any]]:
    """All rows of a range."""
    order = key_range.columns
    return [row for batch in reader.read(key_range, order, chunk_bytes) for row in batch.to_pylist()]


def test_impossible_dates_are_anomalies_with_their_text(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """Zero dates and days that no calendar has are reported, and the other values of their rows are read."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, d DATE, ts DATETIME(3), word VARCHAR(9))",
        "SET sql_mode = 'ALLOW_INVALID_DATES'",
        "INSERT INTO t VALUES (1, '0000-00-00', '2025-01-02 03:04:05.678', 'a'), (2, '2025-02-31', NULL, 'b'), "
        "(3, '2025-02-28', '0000-00-00 00:00:00', 'c'), (4, '2025-03-00', NULL, 'd')",
    )
    found = rows(reader_of("t"))
    assert [row["d"] for row in found] == [None, None, date(2025, 2, 28), None]
    assert found[0]["ts"] == datetime(2025, 1, 2, 3, 4, 5, 678000)  # noqa: DTZ001 - DATETIME has no zone
    assert [row["word"] for row in found] == ["a", "b", "c", "d"]
    assert found[0][ANOMALY] == "d: 0000-00-00 (x303030302D30302D3030) is no date"
    assert found[1][ANOMALY].startswith("d: 2025-02-31 ")
    assert found[2][ANOMALY].startswith("ts: 0000-00-00 00:00:00.000 ")
    assert found[3][ANOMALY].startswith("d: 2025-03-00 ")


def test_only_zero_and_one_are_booleans(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """BOOLEAN is TINYINT(1), which holds other numbers; those are anomalies, and BIT(1) is a boolean too."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, b BOOLEAN, c BIT(1))",
        "INSERT INTO t VALUES (1, 1, b'1'), (2, 0, b'0'), (3, 2, NULL), (4, -1, NULL)",
    )
    found = rows(reader_of("t"))
    assert [(row["b"], row["c"]) for row in found] == [(True, True), (False, False), (None, None), (None, None)]
    assert [row[ANOMALY] for row in found] == [None, None, "b: 2 (x32) is no boolean", "b: -1 (x2D31) is no boolean"]


def test_times_beyond_a_day_are_anomalies(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """TIME holds durations from -838 to 838 hours; only those within a day are times."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, at TIME(6))",
        "INSERT INTO t VALUES (1, '23:59:59.999999'), (2, '24:00:00'), (3, '-00:00:01'), (4, '838:59:59')",
    )
    found = rows(reader_of("t"))
    assert str(found[0]["at"]) == "23:59:59.999999"
    assert [row["at"] for row in found[1:]] == [None, None, None]
    assert all(row[ANOMALY].startswith("at: ") for row in found[1:])


def test_characters_without_unicode_are_anomalies_with_their_bytes(
    run: Run, reader_of: Callable[..., MariaReader]
) -> None:
    """Bytes of a GBK column that MariaDB shows as `?` are reported, and a question mark that was stored is read."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, word VARCHAR(20) CHARACTER SET gbk)",
        "INSERT INTO t VALUES (1, '发票?'), (2, _gbk X'B7A2A2A0C6B1'), (3, _gbk X'FE59'), (4, NULL)",
    )
    found = rows(reader_of("t"))
    assert found[0]["word"] == "发票?"
    assert found[0][ANOMALY] is None
    assert found[1][ANOMALY] == "word: characters without Unicode in xB7A2A2A0C6B1"
    assert found[2][ANOMALY] == "word: characters without Unicode in xFE59"
    assert found[3] == {"id": 4, "word": None, ANOMALY: None}


def test_a_damaged_key_stops_the_walk(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """A border never is a key whose characters were lost: the ranges would not meet."""
    run("CREATE TABLE t (k VARCHAR(20) CHARACTER SET gbk PRIMARY KEY)", "INSERT INTO t VALUES (_gbk X'A2A0')")
    with pytest.raises(DataError, match="key cannot be read"):
        reader_of("t").border(("k",), None, 1)


def test_numbers_are_exact(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """FLOAT is widened exactly, BIGINT UNSIGNED and DECIMAL(65) keep all digits, ZEROFILL and BIT are numbers, YEAR too."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, f FLOAT, g DOUBLE, u BIGINT UNSIGNED, d DECIMAL(65,30), e DECIMAL(38,10), z INT(8) ZEROFILL, b BIT(64), y YEAR)",
        "INSERT INTO t VALUES (1, 0.1, 1e308, 18446744073709551615, '12345678901234567890123456789012345.000000000000000000000000000001', "
        "'-1234567890123456789012345678.0123456789', 42, X'FFFFFFFFFFFFFFFF', 2025), (2, 16777217, 0.1, 0, 0, 0, 0, 0, 0)",
    )
    first, second = rows(reader_of("t"))
    assert first["f"] == 0.10000000149011612
    assert second["f"] == 16777216.0
    assert (first["g"], second["g"]) == (1e308, 0.1)
    assert first["u"] == Decimal(18446744073709551615)
    assert first["d"] == "12345678901234567890123456789012345.000000000000000000000000000001"
    assert first["e"] == Decimal("-1234567890123456789012345678.0123456789")
    assert (first["z"], first["b"], first["y"], second["y"]) == (42, Decimal(2**64 - 1), 2025, 0)
    assert first[ANOMALY] is None


def test_instants_do_not_depend_on_the_servers_zone(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """TIMESTAMP is an instant: a value written in Shanghai's time is read in UTC."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP(6) NULL)",
        "SET time_zone = '+08:00'",
        "INSERT INTO t VALUES (1, '2025-01-01 08:00:00.000001')",
    )
    [row] = rows(reader_of("t"))
    assert row["at"] == datetime(2025, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


def test_ranges_of_enums_go_by_their_text(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """ORDER BY sorts an ENUM by number but comparison takes it as text: ranges over one lose no row all the same."""
    run(
        "CREATE TABLE t (e ENUM('z', 'a', 'm'), id INT, PRIMARY KEY (e, id))",
        "INSERT INTO t VALUES ('z', 1), ('a', 2), ('m', 3), ('z', 4), ('a', 5)",
    )
    reader = reader_of("t")
    seen, after = [], None
    while True:
        upto = reader.border(("e", "id"), after, 2)
        seen += [row["id"] for row in rows(reader, KeyRange(0, ("e", "id"), after, upto))]
        if upto is None:
            break
        after = upto
    assert seen == [2, 5, 3, 1, 4]


def test_ranges_with_impossible_dates_in_the_key_lose_no_row(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """A border on 0000-00-00 is kept as text and compares as what is stored."""
    run(
        "CREATE TABLE t (d DATE, id INT, PRIMARY KEY (d, id))",
        "INSERT INTO t VALUES ('0000-00-00', 1), ('0000-00-00', 2), ('2025-01-01', 3), ('2025-01-01', 4)",
    )
    reader = reader_of("t")
    border = reader.border(("d", "id"), None, 1)
    assert border == ("0000-00-00", 1)
    assert [row["id"] for row in rows(reader, KeyRange(0, ("d", "id"), border, None))] == [2, 3, 4]
    assert [row["id"] for row in rows(reader, KeyRange(0, ("d", "id"), None, border))] == [1]


def test_a_reader_sees_one_state_and_cannot_write(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """What is committed after a reader was opened stays unseen, also for statements that begin later."""
    run("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    reader = reader_of("t")
    run("INSERT INTO t VALUES (2)")
    assert [row["id"] for row in rows(reader)] == [1]
    with pytest.raises(Exception, match="READ ONLY"):
        reader._raw.query("INSERT INTO t VALUES (3)")


def test_chunks_are_bounded_and_a_read_may_be_left(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """Rows come in chunks of about the wanted size; a reader that was left in the middle reads on correctly."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, word VARCHAR(100))",
        "INSERT INTO t SELECT seq, repeat('x', 100) FROM seq_1_to_5000",
    )
    reader = reader_of("t")
    chunks = list(reader.read(ALL, ("id",), 50_000))
    assert sum(chunk.num_rows for chunk in chunks) == 5000
    assert max(chunk.nbytes for chunk in chunks) < 1_500_000
    # The client reads from the network in pieces of one mebibyte at most, so that small results come in one chunk.
    next(iter(reader.read(ALL, ("id",), 50_000)))
    assert reader.border(("id",), None, 5000) == (5000,)


def test_the_types_of_a_query_are_those_of_its_columns(
    run: Run, reader_of: Callable[..., MariaReader], mariadb_url: str
) -> None:
    """A query's columns have exact types, a GBK column in it is still checked, and a missing key is told."""
    run(
        "CREATE TABLE t (id INT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(18,2), b BOOLEAN, at TIMESTAMP(3) NULL, g VARCHAR(9) CHARACTER SET gbk)",
        "INSERT INTO t VALUES (1, 18446744073709551615, '99999999999999.99', 1, '2025-01-01 00:00:00.125', _gbk X'A2A0')",
    )
    query = "SELECT id + 1 AS id, u, d, d * 2 AS twice, b, at, g, 100 % 7 AS m FROM t -- 100%"
    [row] = rows(reader_of(query=query, key=("id",)))
    assert row["u"] == Decimal(2**64 - 1)
    assert (row["d"], row["twice"], row["b"]) == (Decimal("99999999999999.99"), Decimal("199999999999999.98"), True)
    assert row["at"] == datetime(2025, 1, 1, 0, 0, 0, 125000, tzinfo=UTC)
    assert row[ANOMALY] == "g: characters without Unicode in xA2A0"
    assert row["m"] == 2
    with pytest.raises(InputError, match="no column missing"):
        open_source(SourceSpec(mariadb_url, query=query, key=("missing",)))


def test_values_of_every_length_come_whole(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """Values at the borders of the protocol's length forms, up to beyond one packet of 16 MiB, arrive byte for byte."""
    lengths = [
        0,
        1,
        250,
        251,
        252,
        65535,
        65536,
        1 << 20,
        (1 << 24) - 20,
        (1 << 24) - 6,
        (1 << 24) - 5,
        1 << 24,
        20_000_000,
    ]
    run("SET GLOBAL max_allowed_packet = 134217728", "CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB, w VARCHAR(9))")
    # A packet limit concerns new connections.
    for length in lengths:
        run(f"INSERT INTO t VALUES ({length}, repeat('x', {length}), 'end')")
    run("INSERT INTO t VALUES (-1, NULL, NULL)")
    found = {row["id"]: (row["b"], row["w"]) for row in rows(reader_of("t"), chunk_bytes=1 << 16)}
    assert found.pop(-1) == (None, None)
    assert {key: len(value) for key, (value, _) in found.items()} == {length: length for length in lengths}
    assert all(set(value) <= {120} and word == "end" for value, word in found.values())


def test_an_error_in_the_middle_of_a_result_is_told(run: Run, reader_of: Callable[..., MariaReader]) -> None:
    """Rows before the error do not pass for all of them."""
    run("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t SELECT seq FROM seq_1_to_100000")
    reader = reader_of(query="SELECT id, if(id > 90000, (SELECT 1 UNION SELECT 2), id) AS v FROM t", key=("id",))
    with pytest.raises(Exception, match="more than 1 row"):
        list(reader.read(ALL, ("id",), 1000))
