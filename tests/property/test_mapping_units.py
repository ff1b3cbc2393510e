"""Units: nothing is swallowed, groups are whole, duplicates are told apart by content, and the order of reading decides nothing else."""

from __future__ import annotations

import atexit
from collections import Counter
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrate.mapping.compile import compile_mapping
from migrate.mapping.mapped import Mapped
from migrate.mapping.program import Program
from migrate.mapping.transformer import Transformer
from tests.unit.mapping.harness import INTEGER, MONEY, TEXT, assert_complete, column, mapping_of, table

LISTS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

GROUPED = """
  - table: header
    key: [no]
    one_row_per: [no]
    fields:
      no:     no
      buyer:  buyer
      total:  {sql: "sum(money(net))", type: "decimal(18,2)"}
      lines:  {sql: "count(*)"}
      goods:  {sql: "string_agg(name, '|' order by place)"}
      first:  {sql: "first(name order by place desc)"}
  - table: line
    key: [no, place]
    fields:
      no: no
      place: place
      net: {from: net, clean: money}
"""
HEADER = table(
    "header",
    column("no"),
    column("buyer"),
    column("total", MONEY),
    column("lines", INTEGER),
    column("goods"),
    column("first"),
    key=["no"],
)
LINE = table("line", column("no"), column("place", INTEGER), column("net", MONEY), key=["no", "place"])
LINES = table(
    "old",
    column("no"),
    column("place", INTEGER),
    column("buyer"),
    column("net"),
    column("name"),
    column("zt"),
    key=["no", "place"],
)

Row = dict[str, Any]

# Bad values are rare: a group with one is rejected whole, and shows nothing about the others.
amounts = st.sampled_from([*["1.00", "2.50", "-3", "￥4,000.10", "", None] * 5, "1O0.00", "0.005"])
rows = st.lists(
    st.fixed_dictionaries(
        {
            "no": st.sampled_from(["1", "2", "1 ", ""]),
            "place": st.integers(1, 3),
            "buyer": st.sampled_from([*["甲"] * 15, "乙", None]),
            "net": amounts,
            "name": st.sampled_from(["a", "b", "c", None]),
            "zt": st.sampled_from([*["0"] * 8, "9", None]),
            "_anomaly": st.sampled_from([*[None] * 25, "broken"]),
        }
    ),
    max_size=14,
)


def kept_open(program: Program) -> Transformer:
    """A transformer for all the examples of a run, closed at the end of it."""
    transformer = Transformer(program, {})
    atexit.register(transformer.close)
    return transformer


@cache
def grouped() -> tuple[Program, Transformer]:
    """The mapping of flat lines into headers and lines."""
    mapping = mapping_of(GROUPED, source="table: old\n  key: [no, place]\n  where: \"zt <> '9'\"")
    program = compile_mapping(mapping, LINES, {"header": HEADER, "line": LINE})
    return program, kept_open(program)


def apply(of: tuple[Program, Transformer], given_rows: list[Row]) -> Mapped:
    """Apply a mapping, and check that the numbers add up."""
    program, transformer = of
    schema = program.source_schema.append(pa.field("_anomaly", pa.string()))
    chunk = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in given_rows], schema=schema)
    mapped = transformer.apply(chunk)
    assert_complete(mapped, program)
    return mapped


MONEY_TEXTS = {"1.00": "1.00", "2.50": "2.50", "-3": "-3", "￥4,000.10": "4000.10", "": None, None: None}


def expected(group: list[Row]) -> Row | None:
    """The header of a group in plain Python, or None when its unit has to be rejected."""
    if (
        any(row["_anomaly"] or row["net"] not in MONEY_TEXTS for row in group)
        or len({row["buyer"] for row in group}) > 1
    ):
        return None
    values = [Decimal(text) for row in group if (text := MONEY_TEXTS[row["net"]]) is not None]
    named = sorted((row["place"], row["name"]) for row in group if row["name"] is not None)
    last = max(row["place"] for row in group)
    # first() skips nothing: of the rows with the highest place, the least name, NULL last.
    tops = sorted((row["name"] for row in group if row["place"] == last), key=lambda name: (name is None, name or ""))
    return {
        "no": group[0]["no"],
        "buyer": group[0]["buyer"],
        "total": sum(values, Decimal(0)) if values else None,
        "lines": len(group),
        "goods": "|".join(name for _, name in named) if named else None,
        "first": tops[0],
    }


@LISTS
@given(rows)
def test_groups_are_whole(given_rows: list[Row]) -> None:
    """A header is made of all rows of its group that `where` keeps; one bad row rejects all of its unit; a blank row counts as read."""
    given_rows.sort(key=lambda row: row["no"])
    mapped = apply(grouped(), given_rows)
    kept = [row for row in given_rows if row["_anomaly"] or (row["zt"] is not None and row["zt"] != "9")]
    groups: dict[str, list[Row]] = {}
    for row in kept:
        groups.setdefault(row["no"], []).append(row)
    assert mapped.filtered == len(given_rows) - len(kept)
    assert [(unit["no"], unit["_rows"]) for unit in mapped.units.to_pylist()] == [
        (no, len(group)) for no, group in groups.items()
    ]
    wanted = {no: header for no, group in groups.items() if (header := expected(group)) is not None}
    assert {
        row["no"]: {name: row[name] for name in HEADER.names} for row in mapped.rows["header"].to_pylist()
    } == wanted
    assert Counter(row["no"] for row in mapped.rows["line"].to_pylist()) == {no: len(groups[no]) for no in wanted}


@LISTS
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_in_a_group_decides_nothing(given_rows: list[Row], shuffler: Any) -> None:
    """However the rows of a group came, its header and the reasons against it are the same."""
    other = list(given_rows)
    shuffler.shuffle(other)
    results = []
    for each in (given_rows, other):
        mapped = apply(grouped(), each)
        names = dict(zip(mapped.units["_unit"].to_pylist(), mapped.units["no"].to_pylist(), strict=True))
        headers = sorted((row["no"], str(row)) for row in mapped.rows["header"].drop_columns(["_unit"]).to_pylist())
        rejects = Counter(
            (names[row["_unit"]], row["field"], row["rule"], row["reason"]) for row in mapped.rejects.to_pylist()
        )
        results.append((headers, rejects))
    assert results[0] == results[1]


PLAIN = """
  - table: new
    key: [id]
    fields:
      id: {sql: "a || '-' || coalesce(b, '')"}
      b: b
"""


@cache
def keyless() -> tuple[Program, Transformer]:
    """A source whose key is not unique."""
    source = table("old", column("a", TEXT), column("b", TEXT))
    new = table("new", column("id"), column("b"), key=["id"])
    program = compile_mapping(mapping_of(PLAIN, source="table: old\n  key: [a]"), source, {"new": new})
    return program, kept_open(program)


@LISTS
@given(
    st.lists(
        st.fixed_dictionaries({"a": st.sampled_from(["x", "y", "z"]), "b": st.sampled_from(["1", "2", None])}),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_rows_that_share_a_key_are_numbered_by_their_content(given_rows: list[Row], shuffler: Any) -> None:
    """Duplicates get 0, 1, 2 … per key; which content gets which number does not depend on the order of reading."""
    other = list(given_rows)
    shuffler.shuffle(other)
    found = []
    for each in (given_rows, other):
        mapped = apply(keyless(), each)
        ordinals = mapped.units["_ordinal"].to_pylist()
        found.append(Counter((row["a"], row["b"], ordinal) for row, ordinal in zip(each, ordinals, strict=True)))
        for key in ("x", "y", "z"):
            mine = sorted(ordinal for row, ordinal in zip(each, ordinals, strict=True) if row["a"] == key)
            assert mine == list(range(len(mine)))
    assert found[0] == found[1]
