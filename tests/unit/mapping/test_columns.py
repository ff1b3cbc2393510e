"""What a column can hold, and times with and without zones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from migrate.values import LogicalType
from tests.unit.mapping.harness import (
    INTEGER,
    OLD,
    TEXT,
    Rejected,
    column,
    convert,
    fields,
    mapping_of,
    run,
    table,
)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (LogicalType("text", charset="utf8mb3"), "发票𠮷", Rejected("CHARSET")),
        (LogicalType("text", charset="gbk"), "北京", "北京"),
        (LogicalType("text", charset="gbk"), "é😀", Rejected("CHARSET")),
        (LogicalType("text", max_bytes=5), "发票", Rejected("LENGTH")),
        (LogicalType("text", max_bytes=4, charset="gbk"), "发票", "发票"),
        (LogicalType("text", max_bytes=3, charset="gbk"), "发票", Rejected("LENGTH")),
        (LogicalType("text", keeps_spaces=False), "a ", Rejected("LENGTH")),
        (LogicalType("text", nul=False), "a\0b", Rejected("CHARSET")),
        (LogicalType("boolean"), "1", True),
        (LogicalType("boolean"), "false", False),
        (LogicalType("boolean"), "yes", Rejected("CAST")),
        (LogicalType("uuid"), "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000a"),
        (LogicalType("uuid"), "0000", Rejected("CAST")),
        (LogicalType("json"), '{"a": 1.10}', '{"a": 1.10}'),
        (LogicalType("json"), "{a}", Rejected("CAST")),
        (LogicalType("float"), "1.5e3", 1500.0),
        (LogicalType("float"), "1e400", Rejected("RANGE")),
        (LogicalType("float"), "nan", Rejected("CAST")),
        (LogicalType("float", bits=32), "0.5", 0.5),
        (LogicalType("float", bits=32), "0.1", Rejected("SCALE")),
        (LogicalType("time"), "10:11:12.5", dt.time(10, 11, 12, 500000)),
        (LogicalType("date", earliest="1970-01-01"), "1969-12-31", Rejected("RANGE")),
        (LogicalType("date", latest="2069-12-31"), "2070-01-01", Rejected("RANGE")),
        (LogicalType("decimal"), "00012.3400", "12.3400"),
        (LogicalType("decimal"), "1e3", Rejected("CAST")),
        (LogicalType("decimal", 50, 10), "1" * 40 + ".5", "1" * 40 + ".5"),
        (LogicalType("decimal", 50, 10), "1" * 41, Rejected("RANGE")),
        (LogicalType("decimal", 50, 10), "0." + "1" * 11, Rejected("SCALE")),
    ],
)
def test_what_a_column_can_hold(kind: LogicalType, value: str, wanted: Any) -> None:
    """A text that fits comes out as the column's value; another rejects its row, with the rule that names the reason."""
    assert convert([value, None], kind, "x") == [wanted, None]


def test_bytes_are_copied_whole_or_rejected() -> None:
    """The length of bytes counts bytes; any byte is fine."""
    values = [b"", b"\x00\xff", b"\x00\x01\x02", None]
    kind = LogicalType("bytes", length=2)
    assert convert(values, kind, "x", have=LogicalType("bytes")) == [b"", b"\x00\xff", Rejected("LENGTH"), None]


SHANGHAI = "table: old\n  key: [id]\n  timezone: Asia/Shanghai"


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2025-04-13 08:00:00", dt.datetime(2025, 4, 13, 0, 0, tzinfo=dt.UTC)),
        ("1986-07-01 09:00:00", dt.datetime(1986, 7, 1, 0, 0, tzinfo=dt.UTC)),
        ("1986-05-04 02:30:00", None),
        ("1986-09-14 01:30:00", None),
    ],
)
def test_a_local_time_becomes_an_instant_only_where_it_existed_once(local: str, utc: dt.datetime | None) -> None:
    """Shanghai had summer time from 1986 to 1991: an hour that was left out or came twice rejects the row."""
    new = table("new", column("id", INTEGER), column("a", "instant"), key=["id"])
    field = "{from: x, formats: ['%Y-%m-%d %H:%M:%S']}"
    mapping = mapping_of(
        f"  - table: new\n    key: [id]\n    fields:\n      id: id\n      a: {field}\n", source=SHANGHAI
    )
    outcome = run(mapping, OLD, [new], [{"id": 0, "x": local}])
    assert [row["a"] for row in outcome.rows()] == ([utc] if utc else [])


def test_timestamps_and_instants_meet_only_through_the_declared_zone() -> None:
    """Both ways, and back to the same value."""
    old = table("old", column("id", INTEGER), column("t", "timestamp"), column("i", "instant"), key=["id"])
    new = table("new", column("id", INTEGER), column("a", "instant"), column("b", "timestamp"), key=["id"])
    mapping = mapping_of("  - table: new\n    key: [id]\n    fields: {id: id, a: t, b: i}\n", source=SHANGHAI)
    moment = dt.datetime(2025, 4, 13, 0, 0, tzinfo=dt.UTC)
    outcome = run(mapping, old, [new], [{"id": 0, "t": dt.datetime.fromisoformat("2025-04-13T08:00"), "i": moment}])
    assert outcome.rows()[0]["a"] == moment
    assert outcome.rows()[0]["b"] == dt.datetime.fromisoformat("2025-04-13T08:00")


def test_a_copy_of_text_that_cannot_hold_nul_is_not_searched_for_it(tmp_path: Path) -> None:
    """The search is left out only where the source excludes U+0000; a lookup or chr() brings it back."""
    exact = LogicalType("text", nul=False)
    old = table("old", column("id", INTEGER), column("x", exact), column("y", TEXT), key=["id"])
    new = table("new", column("id", INTEGER), column("a", exact), column("b", exact), key=["id"])
    mapping = mapping_of(fields('{sql: "x || chr(0)"}', "y"), path=tmp_path / "m.yaml")
    outcome = run(mapping, old, [new], [{"id": 0, "x": "k", "y": "k"}])
    assert outcome.rejects == [(0, "a", "CHARSET")]
    mapping = mapping_of(fields("x", "y"), path=tmp_path / "m.yaml")
    outcome = run(mapping, old, [new], [{"id": 0, "x": "k", "y": "a\0"}])
    assert outcome.rejects == [(0, "b", "CHARSET")]
