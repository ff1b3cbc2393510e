"""Values of every type of PostgreSQL, written and read exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from migrate.errors import ConstraintViolation
from migrate.values import TableShape
from tests.unit.stores.postgres_database import Database, everything, shape_of

ZOO = """CREATE TABLE zoo (
    id bigint PRIMARY KEY, small smallint, whole integer, money numeric(10, 2) DEFAULT 1.005, free numeric, single real,
    double double precision DEFAULT 0.1, flag boolean DEFAULT true, day date DEFAULT '2020-01-01', at time(3), moment timestamp(3),
    instant timestamptz DEFAULT now(), short varchar(5) DEFAULT 'a''b', fixed char(5) DEFAULT 'x', words text COLLATE "C", raw bytea,
    number uuid, document json, binary_document jsonb, mood mood DEFAULT 'good', amount positive, list int[], span interval,
    counted integer GENERATED ALWAYS AS IDENTITY, doubled integer GENERATED ALWAYS AS (whole * 2) STORED, serial serial, label name)"""


@pytest.fixture
def zoo(database: Database) -> Database:
    """A table with a column of every type."""
    database.run(
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE DOMAIN positive AS numeric(8, 2) NOT NULL DEFAULT 1.5 CHECK (value > 0)",
        ZOO,
    )
    return database


def test_every_type_is_described(zoo: Database) -> None:
    """Each column has its logical type, and each default what a row that leaves it out gets, as the column stores it."""
    shape = shape_of(zoo.target(), "zoo")
    found = {
        column.name: (
            str(column.type),
            column.default_kind,
            column.default if column.default_kind == "literal" else None,
        )
        for column in shape.columns
    }
    assert found == {
        "id": ("integer", "null", None), "small": ("integer", "null", None), "whole": ("integer", "null", None),
        "money": ("decimal(10,2)", "literal", "1.01"), "free": ("decimal", "null", None), "single": ("float", "null", None),
        "double": ("float", "literal", "0.1"), "flag": ("boolean", "literal", "true"), "day": ("date", "literal", "2020-01-01"),
        "at": ("time", "null", None), "moment": ("timestamp", "null", None), "instant": ("instant", "expression", None),
        "short": ("text(5)", "literal", "a'b"), "fixed": ("text(5)", "literal", "x"), "words": ("text", "null", None),
        "raw": ("bytes", "null", None), "number": ("uuid", "null", None), "document": ("json", "null", None),
        "binary_document": ("json", "null", None), "mood": ("text", "literal", "good"), "amount": ("decimal(8,2)", "literal", "1.50"),
        "list": ("unsupported", "null", None), "span": ("unsupported", "null", None), "counted": ("integer", "identity", None),
        "doubled": ("integer", "generated", None), "serial": ("integer", "identity", None), "label": ("text", "null", None),
    }  # fmt: skip
    assert [column.name for column in shape.columns if not column.nullable] == ["id", "amount", "counted", "serial"]
    assert shape.column("words").collation == "C"
    assert not shape.column("fixed").type.keeps_spaces


ANIMALS: dict[str, list[Any]] = {
    "id": [1, 2],
    "small": [-32768, None],
    "whole": [2**31 - 1 >> 1, -5],
    "money": [Decimal("-99999999.99"), Decimal("0.00")],
    "free": ["12345678901234567890.1234567890123456789012345678901234567890", "1.50"],
    "single": [1.5, -0.25],
    "double": [0.1, 5e-324],
    "flag": [True, None],
    "day": [date(1, 1, 1), date(9999, 12, 31)],
    "at": [time(23, 59, 59, 999000), None],
    "moment": [datetime.fromisoformat("1986-05-04T00:30:00.123"), None],
    "instant": [datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), datetime(1, 1, 1, tzinfo=UTC)],
    "short": ["a\t\n\\", "€😀"],
    "fixed": ["ab", ""],
    "words": ["", "'x"],
    "raw": [b"\0\xff", b""],
    "number": ["00000000-0000-0000-0000-0000000000ff", None],
    "document": ['{"a": 1,  "a":2}', "1"],
    "binary_document": ['{"a": 12345678901234567.89}', '"x"'],
    "mood": ["good", "bad"],
    "amount": [Decimal("1.00"), Decimal("2.00")],
    "list": ["{1,2}", None],
    "span": ["1 day 02:00:00", None],
    "counted": [7, 8],
    "label": ["n1", None],
}


def animals(shape: TableShape, names: list[str]) -> pa.Table:
    """The rows of ANIMALS, only these columns."""
    return pa.table({name: pa.array(ANIMALS[name], shape.column(name).type.arrow) for name in names})


@pytest.mark.parametrize("left_out", [(), ("free", "list", "span")], ids=["through-text", "binary-copy"])
def test_every_type_is_written_and_read_exactly(zoo: Database, left_out: tuple[str, ...]) -> None:
    """Both ways in (binary COPY, and through text where a type has no binary form of ours) end in the same values."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    names = [name for name in ANIMALS if name not in left_out]
    rows = animals(shape, names)
    session = zoo.session(target)
    session.begin()
    session.insert(shape, rows)
    session.commit()
    read = everything(zoo.reader("zoo"), "id")
    stored = session.fetch(shape, ("id",), rows.select(["id"]), lock=False)
    for name in names:
        assert read[name].to_pylist() == ANIMALS[name], name
        assert stored[name].to_pylist() == ANIMALS[name], name
    assert stored["doubled"].to_pylist() == [2 * value for value in ANIMALS["whole"]]


def test_every_type_is_updated_and_is_a_key(zoo: Database) -> None:
    """`update` sets each type exactly, and `fetch` finds a row by each type that has an equality."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    session = zoo.session(target)
    rows = animals(shape, list(ANIMALS))
    session.begin()
    session.insert(shape, pa.table({"id": rows["id"], "amount": pa.array([Decimal("5.00")] * 2, pa.decimal128(8, 2))}))
    changeable = [name for name in ANIMALS if name != "counted"]
    session.update(shape, ("id",), rows.select(changeable))
    stored = session.fetch(shape, ("id",), rows.select(["id"]), lock=True)
    for name in changeable:
        assert stored[name].to_pylist() == ANIMALS[name], name
    for name in set(changeable) - {"document", "id"}:
        found = session.fetch(shape, (name, "id"), rows.select([name, "id"]), lock=False, columns=("id",))
        assert found["id"].to_pylist() == [1, 2], name
    session.rollback()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("small", 40000), ("single", 0.1), ("at", time(1, 2, 3, 456789)), ("moment", datetime.fromisoformat("2020-01-01T00:00:00.000001")),
        ("short", "abcdef"), ("short", "abc   "), ("fixed", "ab "), ("words", "a\0"), ("number", "xx"), ("document", "{"),
        ("binary_document", '"\\u0000"'), ("mood", "zz"), ("span", "24 hours"), ("list", "{1, 2}"), ("list", "{x}"),
        ("money", Decimal("100000000.00")), ("free", "1e3"), ("free", "NaN"), ("label", "x" * 64),
    ],
)  # fmt: skip
def test_what_the_server_would_change_is_refused(zoo: Database, column: str, value: object) -> None:
    """Rounding, cutting, normalising: each raises before or in the server, and the transaction goes on after `rollback_to`."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    session = zoo.session(target)
    arrow = pa.decimal128(38, 2) if column == "money" else shape.column(column).type.arrow
    row = pa.table({"id": pa.array([1], pa.int64()), column: pa.array([value], arrow)})
    session.begin()
    session.savepoint("rows")
    with pytest.raises(ConstraintViolation) as refused:
        session.insert(shape, row)
    assert refused.value.kind == "value"
    session.rollback_to("rows")
    assert list(session.execute(sa.text("SELECT count(*) FROM zoo"))) == [(0,)]


def test_a_domain_check_is_a_check(zoo: Database) -> None:
    """A value that a domain refuses is a violated check with the constraint's name."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    session = zoo.session(target)
    session.begin()
    with pytest.raises(ConstraintViolation) as refused:
        session.insert(shape, pa.table({"id": [1], "amount": pa.array([Decimal("-1.00")], pa.decimal128(8, 2))}))
    assert (refused.value.kind, refused.value.constraint) == ("check", "positive_check")
    session.rollback()


def test_floats_that_are_no_numbers_are_kept(zoo: Database) -> None:
    """NaN and the infinities go in and come out of both float types."""
    target = zoo.target()
    shape = shape_of(target, "zoo")
    odd = [float("nan"), float("inf"), float("-inf")]
    session = zoo.session(target)
    session.begin()
    amounts = pa.array([Decimal("1.00")] * 3, pa.decimal128(8, 2))
    session.insert(shape, pa.table({"id": [1, 2, 3], "single": odd, "double": odd, "amount": amounts}))
    stored = session.fetch(shape, ("id",), pa.table({"id": [1, 2, 3]}), lock=False)
    session.rollback()
    assert [repr(value) for value in stored["single"].to_pylist()] == ["nan", "inf", "-inf"]
    assert [repr(value) for value in stored["double"].to_pylist()] == ["nan", "inf", "-inf"]
