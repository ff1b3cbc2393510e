"""What is written is read back exactly, or was refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from migrate.errors import ConstraintViolation
from migrate.invoice import types
from migrate.stores.port import ANOMALY, ORDINAL, TargetSession
from migrate.values import Key, KeyRange, TableShape
from tests.contract.conftest import Store
from tests.contract.family import codes

TEXTS = [
    "", " ", "  ", "a", "a ", " a", "NULL", "null", "\\N", "\\", "\\n", "'", '"', "''", "a'b\"c`d", "%", "%s", "%%", "$1", "?", ":a",
    "a\tb", "a\nb", "a\r\nb", "a,b;c|d", "\x01\x1a\x7f", "é", "é", "发票", "￥1,234.50", "𠮷野家", "😀", "\ufeff", "\u200b",
    "\u3000", "0x41", "1e3", "0123", "-0", "NaN", "ß", "İ", "\x00", "a\x00b", "\ufffd", "x" * 20,
]  # fmt: skip
NUMBERS = ["0", "0.00", "-0.00", "0.01", "-0.01", "1", "1.5", "99999999999999.99", "-99999999999999.99", "9999999999999999.99",
           "1234567890123456.78", "100", "1000000000000"]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "whole": [0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)],
    "small": [0, 1, -1, 32767, -32768, 32768, -32769],
    "amount": [Decimal(text) for text in NUMBERS],
    "number": [0.0, -0.0, 1.5, 0.1, 1e-300, 1.7976931348623157e308, 5e-324, -1e15, 123456789.123456789],
    "flag": [True, False],
    "day": [date(2025, 2, 28), date(2024, 2, 29), date(1986, 5, 4), date(1, 1, 1), date(9999, 12, 31), date(1900, 1, 1)],
    "moment": [
        datetime.fromisoformat(text) for text in (
            "2025-01-01", "1986-05-04T00:30", "2025-12-31T23:59:59.999999", "1000-01-01", "1970-01-01",
            "1969-12-31T23:59:59.000001", "9999-12-31T23:59:59.999999",
        )
    ],
    "words": TEXTS,
    "code": TEXTS,
    "long": [*TEXTS, "长" * 70_000, "x" * 1_000_000],
    "raw": [b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"'\\\n\t\"", b"x" * 100_000],
}  # fmt: skip
MUST_FIT = {"a", "'", "\\", "a\tb", "a\nb", "发票", "%s", "", "\\N", "NULL"}


def hostile() -> sa.Table:
    """One column of each kind that every database has."""
    return sa.Table(
        "hostile",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("whole", sa.BigInteger),
        sa.Column("small", sa.SmallInteger),
        sa.Column("amount", types.money()),
        sa.Column("number", sa.Double),
        sa.Column("flag", sa.Boolean),
        sa.Column("day", sa.Date),
        sa.Column("moment", types.moment()),
        sa.Column("words", sa.String(20)),
        sa.Column("code", codes(20)),
        sa.Column("long", types.document()),
        sa.Column("raw", sa.LargeBinary().with_variant(mysql.LONGBLOB(), *types.MARIADB)),
    )


def one(shape: TableShape, **values: Any) -> pa.Table:
    """One row, in the Arrow types of its columns."""
    return pa.table({name: pa.array([value], shape.column(name).type.arrow) for name, value in values.items()})


def accepted(session: TargetSession, shape: TableShape, number: int, column: str, value: Any) -> bool:
    """Try to insert one value; false when it was refused, with the transaction going on."""
    session.savepoint("value")
    try:
        row = one(shape, id=number, **{column: value})
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False  # no value of this column's type at all
    try:
        session.insert(shape, row)
    except ConstraintViolation as violation:
        if violation.kind != "value":
            raise
        session.rollback_to("value")
        return False
    return True


def same(first: Any, second: Any) -> bool:
    """Equal, of one type, and a decimal with the same digits (of floating zeros, CRE/1 knows only one)."""
    return type(first) is type(second) and first == second and (isinstance(first, float) or str(first) == str(second))


def foreign(store: Store) -> set[str]:
    """Columns that only a database's own store knows for what they are: DECIMAL_TEXT of SQLite, BOOLEAN of MariaDB."""
    return {"generic-sqlite": {"amount"}, "generic-mariadb": {"flag"}}.get(store.name, set())


def scaled(shape: TableShape, column: str, value: Any) -> Any:
    """The value as the column's Arrow type gives it back."""
    return pa.array([value], shape.column(column).type.arrow)[0].as_py()


def test_hostile_values_come_back_or_are_refused(store: Store) -> None:
    """Every value that a store accepts is read back the same by `fetch` and by a source; what it refuses changes nothing."""
    store.create(hostile())
    target = store.target()
    shape = target.describe("hostile")
    assert shape is not None
    session = store.session(target)
    expected: dict[int, tuple[str, Any]] = {}
    session.begin()
    number = 0
    for column, values in VALUES.items():
        for value in values:
            number += 1
            if accepted(session, shape, number, column, value):
                expected[number] = (column, scaled(shape, column, value))
            elif isinstance(value, str):
                assert value not in MUST_FIT, (column, value)
    session.commit()
    assert {column for column, _ in expected.values()} == set(VALUES) - foreign(store)
    assert len(expected) > 0.7 * number

    session.begin()
    keys = pa.table({"id": pa.array(expected, pa.int64())})
    stored = session.fetch(shape, ("id",), keys, lock=False)
    session.rollback()
    source = store.source("hostile")
    reader = store.reader(source)
    everything = KeyRange(0, ("id",), None, None)
    batches = list(reader.read(everything, ("id",), 64_000))
    assert len(batches) > 1
    read = pa.Table.from_batches(batches)
    assert stored.column_names == [ORDINAL, *shape.names, ANOMALY]
    assert read.column_names == [*source.shape.names, ANOMALY]
    for rows in (stored, read):
        assert rows["id"].to_pylist() == list(expected)
        assert rows[ANOMALY].null_count == rows.num_rows
        for row, (column, value) in zip(rows.to_pylist(), expected.values(), strict=True):
            assert same(row[column], value), (column, value, row[column])


def test_bulk_rows_of_every_kind_come_back(store: Store) -> None:
    """Many rows with values in all columns at once, NULLs among them, are read back the same and in order."""
    store.create(hostile())
    target = store.target()
    shape = target.describe("hostile")
    assert shape is not None
    count = 3000
    picked = {
        "id": list(range(-count // 2, count // 2)),
        "whole": [n * 7_919_000_003 for n in range(count)],
        "amount": [None if n % 7 == 0 else Decimal(n * 37 - 5000).scaleb(-2) for n in range(count)],
        "number": [n / 3 if n % 5 else None for n in range(count)],
        "flag": [(None, True, False)[n % 3] for n in range(count)],
        "day": [date.fromordinal(700_000 + n * 11) for n in range(count)],
        "moment": [datetime.fromtimestamp(n * 86_399, UTC).replace(tzinfo=None, microsecond=n) for n in range(count)],
        "words": [None if n % 11 == 0 else f"公司{n}\t'\\" for n in range(count)],
        "raw": [bytes([n % 256, 0, 10]) for n in range(count)],
    }
    for name in foreign(store):
        del picked[name]
    rows = pa.table({name: pa.array(values, shape.column(name).type.arrow) for name, values in picked.items()})
    session = store.session(target)
    session.begin()
    session.insert(shape, rows)
    session.commit()
    reader = store.reader(store.source("hostile"))
    read = pa.Table.from_batches(list(reader.read(KeyRange(0, ("id",), None, None), ("id",), 1 << 16)))
    assert read.select(list(picked)).equals(rows.combine_chunks())
    assert read["long"].null_count == count


def test_columns_that_are_left_out_get_their_default(store: Store) -> None:
    """A row without a column gets the default that `describe` told, and a literal one in the form that it is read back in."""
    table = sa.Table(
        "defaults",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("empty", sa.Integer),
        sa.Column("word", sa.String(10), server_default="it's"),
        sa.Column("count", sa.Integer, server_default="7"),
    )
    store.create(table)
    target = store.target()
    shape = target.describe("defaults")
    assert shape is not None
    session = store.session(target)
    session.begin()
    session.insert(shape, pa.table({"id": pa.array([1], pa.int64())}))
    stored = session.fetch(shape, ("id",), pa.table({"id": pa.array([1], pa.int64())}), lock=False).to_pylist()[0]
    session.rollback()
    assert (stored["empty"], stored["word"], stored["count"]) == (None, "it's", 7)
    assert shape.column("empty").default_kind == "null"
    if store.own:
        assert [(shape.column(name).default_kind, shape.column(name).default) for name in ("word", "count")] == [
            ("literal", "it's"),
            ("literal", "7"),
        ]


def test_a_lookup_reads_the_columns_that_were_asked_for(store: Store) -> None:
    """`lookup` gives every row, the named columns in the given order, and the anomalies."""
    store.create(hostile())
    store.run("INSERT INTO hostile (id, words, whole) VALUES (1, 'a', 5), (2, 'b', NULL)")
    reader = store.reader(store.source("hostile"))
    found = reader.lookup(("whole", "words"))
    assert found.column_names == ["whole", "words", ANOMALY]
    rows = sorted(zip(found["words"].to_pylist(), found["whole"].to_pylist(), strict=True))
    assert rows == [("a", 5), ("b", None)]


def test_picked_rows_are_those_of_the_keys(store: Store) -> None:
    """`pick` finds rows of the keys that exist, once each, in order, also for hundreds of keys and for NULL."""
    store.create(hostile())
    values = ", ".join(
        f"({number}, {'NULL' if number % 3 == 0 else number % 10}, 'w{number}')" for number in range(600)
    )
    store.run(f"INSERT INTO hostile (id, whole, words) VALUES {values}")
    reader = store.reader(store.source("hostile"))
    keys: list[Key] = [(number,) for number in range(5, 1205, 2)]
    found = reader.pick(("id",), keys, ("id",))
    assert found["id"].to_pylist() == list(range(5, 600, 2))
    pairs: list[Key] = [(None, 9), (4, 4), (4, 5), (None, 9)]
    assert reader.pick(("whole", "id"), pairs, ("id",))["words"].to_pylist() == ["w4", "w9"]
    assert reader.pick(("id",), [], ("id",)).num_rows == 0


def test_the_clock_of_a_source_moves_on(store: Store) -> None:
    """`now` is ISO 8601 with microseconds and a zone, and never goes back."""
    store.create(hostile())
    reader = store.reader(store.source("hostile"))
    first, second = (datetime.fromisoformat(reader.now()) for _ in range(2))
    assert first <= second
    assert first.tzinfo is not None
    assert abs((datetime.now(UTC) - first).total_seconds()) < 86_400


def test_times_of_day_come_back(store: Store) -> None:
    """A time of day keeps its microseconds where the column does."""
    declared = sa.Time().with_variant(mysql.TIME(fsp=6), *types.MARIADB)
    number = sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)
    store.create(sa.Table("times", sa.MetaData(), number, sa.Column("at", declared)))
    target = store.target()
    shape = target.describe("times")
    assert shape is not None
    values = [time(0), time(23, 59, 59, 999999), time(12, 30), None]
    session = store.session(target)
    session.begin()
    session.insert(shape, pa.table({"id": pa.array(range(4), pa.int64()), "at": pa.array(values, pa.time64("us"))}))
    session.commit()
    reader = store.reader(store.source("times"))
    assert reader.lookup(("at",))["at"].to_pylist() == values
