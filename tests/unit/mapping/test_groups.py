"""Targets with one row per group: aggregates, columns that must not differ, units of whole groups."""

from __future__ import annotations

from decimal import Decimal

from migrate.values import LogicalType
from tests.unit.mapping.harness import (
    INTEGER,
    MONEY,
    Outcome,
    column,
    mapping_of,
    run,
    table,
)

GROUPS = """
  - table: head
    key: [no]
    one_row_per: [no]
    fields:
      no: no
      seller: seller
      net: {sql: "sum(cast(net as decimal(18,2)))"}
      big: {sql: "count(*) filter (where cast(net as decimal(18,2)) > 10)"}
      kinds: {sql: "count(distinct kind)"}
      list: {sql: "string_agg(kind, ',' order by cast(net as decimal(18,2)) desc)"}
  - table: sums
    key: [no, kind]
    one_row_per: [no, kind]
    fields:
      no: no
      kind: kind
      net: {sql: "sum(cast(net as decimal(18,2)))"}
  - table: line
    key: [no, place]
    fields: {no: no, place: place, net: net}
"""
FLAT = table(
    "flat", column("no"), column("place", INTEGER), column("seller"), column("kind"), column("net"), key=["no", "place"]
)
HEAD = table(
    "head",
    column("no"),
    column("seller"),
    column("net", MONEY),
    column("big", INTEGER),
    column("kinds", INTEGER),
    column("list"),
    key=["no"],
)
SUMS = table("sums", column("no"), column("kind"), column("net", MONEY), key=["no", "kind"])
LINE = table("line", column("no"), column("place", INTEGER), column("net", MONEY), key=["no", "place"])


def grouped(rows: list[tuple[str, int, str | None, str, str]]) -> Outcome:
    """Flat lines into heads, sums per kind, and lines."""
    named = [dict(zip(FLAT.names, row, strict=True)) for row in rows]
    return run(mapping_of(GROUPS, source="table: flat"), FLAT, [HEAD, SUMS, LINE], named)


def test_groups_of_two_sizes_and_single_rows_make_one_unit() -> None:
    """The smallest `one_row_per` is the unit; larger ones give several rows of it, and targets without give one per source row."""
    outcome = grouped(
        [
            ("1", 1, "S", "b", "5.00"),
            ("1", 2, "S", "a", "20.00"),
            ("1", 3, "S", "b", "-1.00"),
            ("2", 1, None, "a", "1.00"),
        ]
    )
    assert outcome.program.unit_columns == ("no",)
    assert outcome.program.order == ("no", "place")
    assert outcome.mapped.units.to_pylist() == [
        {"_unit": 0, "_rows": 3, "no": "1", "_ordinal": 0},
        {"_unit": 1, "_rows": 1, "no": "2", "_ordinal": 0},
    ]
    assert outcome.rows("head") == [
        {"_unit": 0, "no": "1", "seller": "S", "net": Decimal("24.00"), "big": 1, "kinds": 2, "list": "a,b,b"},
        {"_unit": 1, "no": "2", "seller": None, "net": Decimal("1.00"), "big": 0, "kinds": 1, "list": "a"},
    ]
    assert [(row["_unit"], row["kind"], row["net"]) for row in outcome.rows("sums")] == [
        (0, "b", Decimal("4.00")),
        (0, "a", Decimal("20.00")),
        (1, "a", Decimal("1.00")),
    ]
    assert [(row["_unit"], row["place"]) for row in outcome.rows("line")] == [(0, 1), (0, 2), (0, 3), (1, 1)]


def test_an_empty_chunk_has_no_groups() -> None:
    """Nothing read, nothing made."""
    outcome = grouped([])
    assert outcome.mapped.units.num_rows == 0
    assert outcome.rows("head") == outcome.rows("line") == []


def test_a_column_that_differs_within_its_group_rejects_the_unit() -> None:
    """A bare column in a grouped target has to be the same in all rows, NULL included; the reason shows both values."""
    outcome = grouped(
        [
            ("1", 1, "S", "a", "5.00"),
            ("1", 2, "T", "a", "5.00"),
            ("2", 1, "S", "a", "1.00"),
            ("2", 2, None, "a", "1.00"),
        ]
    )
    assert {(unit, rule) for unit, _, rule in outcome.rejects} == {(0, "GROUP"), (1, "GROUP")}
    assert (
        outcome.reasons[0] == "'S', 'T' differ within the group in seller; use an aggregate, or add it to `one_row_per`"
    )
    assert outcome.rows("line") == []


def test_a_bad_line_rejects_the_whole_group() -> None:
    """The aggregate that needs the line and the line itself say why; all rows of the group are kept as raw rows."""
    outcome = grouped([("1", 1, "S", "a", "5.00"), ("1", 2, "S", "a", "5O.00"), ("2", 1, "S", "a", "1.00")])
    assert set(outcome.rejects) == {(0, "net", "CAST"), (0, "big", "CAST")}
    assert set(outcome.mapped.rejects["target"].to_pylist()) == {"head", "sums", "line"}
    assert "net: '5O.00' cannot be computed for a row of the group" in outcome.reasons
    assert outcome.mapped.raw.num_rows == 2
    assert [row["no"] for row in outcome.rows("head")] == ["2"]


def test_a_sum_that_could_overflow_rejects_its_unit_only() -> None:
    """A number too large to be added up safely is named, instead of failing the chunk."""
    wide = LogicalType("decimal", 38, 2)
    old = table("old", column("no"), column("place", INTEGER), column("v", wide), key=["no", "place"])
    new = table("new", column("no"), column("v", wide), key=["no"])
    mapping = mapping_of(
        "  - table: new\n    key: [no]\n    one_row_per: [no]\n    fields:\n      no: no\n      v: {sql: sum(v)}\n",
        source="table: old",
    )
    huge = Decimal("9" * 36)
    rows = [
        {"no": "1", "place": 1, "v": huge},
        {"no": "1", "place": 2, "v": huge},
        {"no": "2", "place": 1, "v": Decimal("1.00")},
    ]
    outcome = run(mapping, old, [new], rows)
    assert outcome.rejects == [(0, "v", "CAST")]
    assert outcome.rows() == [{"_unit": 1, "no": "2", "v": Decimal("1.00")}]
