"""What a transformer makes of chunks: field forms and their order, lookups, checks, groups, rejects with their reasons."""

from __future__ import annotations

import datetime as dt
import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from migrate.errors import InputError
from migrate.mapping import Transformer, compile_mapping
from migrate.values import LogicalType, TableShape, UniqueKey
from tests.unit.mapping.harness import (
    INTEGER,
    MONEY,
    TEXT,
    Outcome,
    Rejected,
    assert_complete,
    column,
    convert,
    mapping_of,
    run,
    table,
)

OLD = table("old", column("id", INTEGER), column("x"), column("y"), column("zt"), key=["id"])
NEW = table("new", column("id", INTEGER), column("a"), column("b"), key=["id"])


def fields(a: str, b: str = "y", *, extra: str = "") -> str:
    """A target `new` with two fields."""
    return f"  - table: new\n    key: [id]\n{extra}    fields:\n      id: id\n      a: {a}\n      b: {b}\n"


def one(a: str, values: list[Any], **lookups: pa.Table) -> Outcome:
    """Field `a` over the column x."""
    rest = "".join(f"  {name}: {{source_table: {name}, key: old}}\n" for name in lookups)
    mapping = mapping_of(fields(a), rest=f"lookups:\n{rest}" if rest else "")
    shapes = {name: table(name, column("old"), column("new"), key=["old"]) for name in lookups}
    rows = [{"id": index, "x": value} for index, value in enumerate(values)]
    return run(mapping, OLD, [NEW], rows, dict(lookups), shapes)


CODES = pa.table({"old": ["s", "c", "n"], "new": ["01", "04", None]})


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("x", "s", "s"),
        ("{from: x}", "s", "s"),
        ("{value: s}", "anything", "s"),
        ("{sql: \"x || '!'\"}", "s", "s!"),
        ('{from: x, nulls: ["", " "]}', " ", None),
        ('{from: x, nulls: ["", " "]}', "  ", "  "),
        ('{from: x, nulls: [""], default: none}', "", "none"),
        ("{from: x, default: none}", None, "none"),
        ("{from: x, clean: trim}", "\u3000a ", "a"),
        ("{from: x, clean: trim}", "   ", None),
        ("{from: x, clean: [trim, halfwidth]}", " （Ａ） ", "(A)"),
        ("{from: x, clean: digits}", '="0110 0190"', "01100190"),
        ("{from: x, values: {s: S, c: C}}", "c", "C"),
        ("{from: x, values: {s: S}}", None, None),
        ("{from: x, values: {s: S}, default: Z}", "q", "Z"),
        ("{from: x, clean: trim, values: {s: S}}", " s ", "S"),
        ('{from: x, nulls: ["-"], values: {s: S}, default: Z}', "-", "Z"),
        ("{from: x, lookup: codes, take: new}", "c", "04"),
        ("{from: x, lookup: codes, take: new}", None, None),
        ("{from: x, lookup: codes, take: new}", "n", None),
        ("{from: x, lookup: codes, take: new, default: '99'}", "q", "99"),
        ("{from: x, lookup: codes, take: new, default: '99'}", "n", "99"),
        ("{from: x, type: date, formats: ['%Y%m%d']}", "20250413", "2025-04-13"),
        ('{from: x, type: "decimal(18,2)", clean: money}', "￥1,234.5", "1234.50"),
        ("{sql: \"nullif(x, 's')\", default: Z}", "s", "Z"),
    ],
)
def test_a_field_gives(field: str, value: str | None, wanted: str | None) -> None:
    """Each form of a field, and the order nulls, clean, values or lookup, type, default."""
    outcome = one(field, [value], codes=CODES)
    assert [row["a"] for row in outcome.rows()] == [wanted], outcome.reasons


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("{from: x, values: {s: S, c: C}}", "q", "a: 'q' is not listed in `values` (s, c)"),
        ("{from: x, lookup: codes, take: new}", "q", "a: 'q' is not in lookup `codes`"),
        ("{from: x, clean: digits}", "2.5112E+19", "a: '2.5112E+19' is not a number of digits only"),
        ("{from: x, clean: money}", "1O0", "a: '1O0' is not an amount of money"),
        ("{from: x, type: integer, default: '0'}", "zwölf", "a: 'zwölf' is not an integer"),
        ("{from: x, type: date, formats: ['%Y%m%d', '%Y-%m-%d']}", "2026/02/30", "a: '2026/02/30' is not a date in the format %Y%m%d or %Y-%m-%d"),
        ("{from: x, type: text(3)}", "abcd", "a: 'abcd' is longer than 3 characters"),
        ('{sql: "cast(x as decimal(5,2))"}', "1.005", "a: '1.005' has more than 2 fraction digits"),
        ('{sql: "cast(x as decimal(5,2))"}', "1234", "a: '1234' is out of range for decimal(5,2)"),
        ("{sql: \"cast(x as int) * 2 || ''\"}", "q", "a: 'q' cannot be computed by cast(x as int) * 2 || ''"),
        ("{from: x, clean: money}", "x" * 200, "a: '" + "x" * 100 + "…' is not an amount of money"),
    ],
)  # fmt: skip
def test_a_reject_says_what_is_wrong_with_which_value(field: str, value: str, reason: str) -> None:
    """The reason is a sentence with the field, the value (shortened) and what was expected; `default` never covers a failure."""
    outcome = one(field, [None, value], codes=CODES)
    assert outcome.reasons == [reason]
    assert [row["id"] for row in outcome.rows()] == [0]


def test_a_lookup_by_several_columns() -> None:
    """`from` lists as many columns as the lookup's key has; a row with a NULL among them is no miss."""
    target = fields("{from: [x, y], lookup: pairs, take: v}", "y")
    mapping = mapping_of(target, rest="lookups:\n  pairs: {source_table: pairs, key: [k1, k2]}\n")
    shape = table("pairs", column("k1"), column("k2"), column("v"), key=["k1", "k2"])
    pairs = pa.table({"k1": ["a", "a"], "k2": ["1", "2"], "v": ["A1", "A2"]})
    rows: list[dict[str, Any]] = [
        {"id": 0, "x": "a", "y": "2"},
        {"id": 1, "x": "a", "y": None},
        {"id": 2, "x": "b", "y": "1"},
    ]
    outcome = run(mapping, OLD, [NEW], rows, {"pairs": pairs}, {"pairs": shape})
    assert [row["a"] for row in outcome.rows()] == ["A2", None]
    assert outcome.rejects == [(2, "a", "LOOKUP")]


def test_rows_keep_their_order_through_lookups_of_any_size() -> None:
    """A lookup larger than the chunk changes neither the order nor the number of rows."""
    big = pa.table({"old": [str(number) for number in range(20000)], "new": [f"n{number}" for number in range(20000)]})
    outcome = one("{from: x, lookup: codes, take: new}", [str(number * 7 % 20000) for number in range(300)], codes=big)
    assert [row["a"] for row in outcome.rows()] == [f"n{number * 7 % 20000}" for number in range(300)]
    assert [row["id"] for row in outcome.rows()] == list(range(300))


def test_a_lookup_that_is_not_unique_is_refused_while_mapping() -> None:
    """A key that finds two rows would multiply units: the transformer refuses instead."""
    twice = pa.table({"old": ["s", "s"], "new": ["1", "2"]})
    with pytest.raises(InputError, match="several rows"):
        one("{from: x, lookup: codes, take: new}", ["s"], codes=twice)


def test_numbers_are_looked_up_by_their_value() -> None:
    """A decimal 7.00 finds the integer key 7; 7.50 is a miss and is not rounded to 8."""
    old = table("old", column("id", INTEGER), column("x", MONEY), key=["id"])
    mapping = mapping_of(
        "  - table: new\n    key: [id]\n    fields:\n      id: id\n      a: {from: x, lookup: codes, take: v}\n",
        rest="lookups:\n  codes: {source_table: codes, key: k}\n",
    )
    shape = table("codes", column("k", INTEGER), column("v"), key=["k"])
    codes = pa.table({"k": [7, 8], "v": ["seven", "eight"]})
    rows = [{"id": 0, "x": Decimal("7.00")}, {"id": 1, "x": Decimal("7.50")}]
    outcome = run(mapping, old, [NEW], rows, {"codes": codes}, {"codes": shape})
    assert [row["a"] for row in outcome.rows()] == ["seven"]
    assert outcome.rejects == [(1, "a", "LOOKUP")]


def test_filtered_rows_are_counted_and_are_no_units() -> None:
    """`where` that is false or NULL filters; one that cannot be computed rejects; a row that was not read well is never filtered."""
    mapping = mapping_of(fields("x"), source='table: old\n  key: [id]\n  where: "cast(zt as int) < 5"')
    rows: list[dict[str, Any]] = [
        {"id": 0, "zt": "1"},
        {"id": 1, "zt": "9"},
        {"id": 2, "zt": None},
        {"id": 3, "zt": "?"},
        {"id": 4, "zt": "9", "_anomaly": "bytes 0xff in column x"},
    ]
    outcome = run(mapping, OLD, [NEW], rows)
    assert outcome.mapped.filtered == 2
    assert outcome.mapped.units["id"].to_pylist() == [0, 3, 4]
    assert outcome.rejects == [(1, None, "CAST"), (2, None, "READ")]
    assert outcome.reasons[1] == "bytes 0xff in column x"


def test_one_bad_field_keeps_the_unit_out_of_every_target() -> None:
    """A unit goes to all targets or to none, and all its bad fields are named."""
    other = table("other", column("id", INTEGER), column("n", INTEGER), key=["id"])
    mapping = mapping_of(
        fields("x", "{from: y, values: {k: K}}")
        + "  - table: other\n    key: [id]\n    fields:\n      id: id\n      n: x\n"
    )
    rows = [{"id": 0, "x": "5", "y": "k"}, {"id": 1, "x": "six", "y": "z"}]
    outcome = run(mapping, OLD, [NEW, other], rows)
    assert [row["id"] for row in outcome.rows("new")] == [row["id"] for row in outcome.rows("other")] == [0]
    assert outcome.rejects == [(1, "b", "VALUE"), (1, "n", "CAST")]
    assert outcome.mapped.rejects["target"].to_pylist() == ["new", "other"]


def test_a_check_holds_only_when_it_is_true() -> None:
    """False, NULL and an error are all no; level warn maps the row, and rejected units have no findings."""
    checks = (
        "checks:\n"
        "  - {id: R, target: new, assert: \"a <> 'bad'\"}\n"
        '  - {id: W, target: new, assert: "cast(b as int) < 10", level: warn, message: is too much}\n'
        '  - {id: I, target: new, assert: "b is not null", level: info}\n'
    )
    rows: list[dict[str, Any]] = [
        {"id": 0, "x": "ok", "y": "1"},
        {"id": 1, "x": "bad", "y": "99"},
        {"id": 2, "x": None, "y": "1"},
        {"id": 3, "x": "ok", "y": "11"},
        {"id": 4, "x": "ok", "y": "many"},
        {"id": 5, "x": "ok", "y": None},
    ]
    outcome = run(mapping_of(fields("x"), rest=checks), OLD, [NEW], rows)
    assert outcome.rejects == [(1, None, "R"), (2, None, "R")]
    assert outcome.reasons[0] == "R: a = bad does not satisfy a <> 'bad'"
    found = [(row["_unit"], row["rule"], row["level"], row["reason"]) for row in outcome.mapped.findings.to_pylist()]
    assert found == [
        (3, "W", "warn", "W: b = 11: is too much"),
        (4, "W", "warn", "W: b = many: is too much"),
        (5, "W", "warn", "W: b = NULL: is too much"),
        (5, "I", "info", "I: b = NULL does not satisfy b is not null"),
    ]


def test_a_row_outside_of_the_scope_is_rejected() -> None:
    """The scope is a promise about every mapped row."""
    mapping = mapping_of(fields("x", extra="    scope: \"a = 'mine' or a in ('too', 'also')\"\n"))
    outcome = run(mapping, OLD, [NEW], [{"id": 0, "x": "mine"}, {"id": 1, "x": "other"}, {"id": 2, "x": None}])
    assert outcome.rejects == [(1, None, "SCOPE"), (2, None, "SCOPE")]
    assert outcome.program.targets[0].scope_sql == "\"a\" = 'mine' OR \"a\" IN ('too', 'also')"


def test_raw_has_the_exact_values_of_rejected_rows() -> None:
    """Numbers as text, bytes as hex, NULL as null; every source row of the unit."""
    old = table(
        "old",
        column("id", INTEGER),
        column("d", MONEY),
        column("t", "timestamp"),
        column("z", "bytes"),
        column("x"),
        key=["id"],
    )
    new = table(
        "new",
        column("id", INTEGER),
        column("a", INTEGER),
        column("b", MONEY),
        column("c", "timestamp"),
        column("e", "bytes"),
        key=["id"],
    )
    mapping = mapping_of("  - table: new\n    key: [id]\n    fields: {id: id, a: x, b: d, c: t, e: z}\n")
    row = {
        "id": 7,
        "d": Decimal("99999999999999.90"),
        "t": dt.datetime.fromisoformat("2025-01-02T03:04:05.600000"),
        "z": b"\x00\xff",
        "x": 'q"\n',
    }
    outcome = run(mapping, old, [new], [row, {**row, "x": None}])
    assert [json.loads(text) for text in outcome.mapped.raw["raw"].to_pylist()] == [
        {"id": "7", "d": "99999999999999.90", "t": "2025-01-02 03:04:05.6", "z": "00FF", "x": 'q"\n'}
    ]


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


def test_an_empty_chunk_gives_empty_tables() -> None:
    """Nothing read, nothing made, with the right schemas."""
    assert one("x", []).mapped.rows_read == 0
    assert grouped([]).rows("head") == []


def test_a_transformer_maps_chunk_after_chunk() -> None:
    """Statements are planned once; chunks of any size, clean or not, follow each other without leftovers."""
    program = compile_mapping(mapping_of(fields("{from: x, values: {s: S}}")), OLD, {"new": NEW})
    schema = program.source_schema.append(pa.field("_anomaly", pa.string()))
    with Transformer(program, {}) as transformer:
        for size in (0, 5, 3000, 1, 2049, 0, 7):
            rows = [{"id": index, "x": "s" if index % 3 else "q", "y": str(index)} for index in range(size)]
            mapped = transformer.apply(pa.Table.from_pylist(rows, schema=schema))
            assert_complete(mapped, program)
            assert mapped.rows["new"]["b"].to_pylist() == [str(index) for index in range(size) if index % 3]


def test_columns_may_come_in_any_order_and_encoding() -> None:
    """A chunk is read by name; dictionaries and large texts are the same values."""
    program = compile_mapping(mapping_of(fields("x")), OLD, {"new": NEW})
    chunk = pa.table(
        {
            "_anomaly": pa.nulls(2, pa.string()),
            "y": pa.array(["1", "2"], pa.large_string()),
            "x": pa.array(["a", "b"]).dictionary_encode(),
            "id": pa.array([1, 2], pa.int32()),
        }
    )
    with Transformer(program, {}) as transformer:
        mapped = transformer.apply(chunk)
    assert mapped.rows["new"].drop_columns(["_unit"]).to_pylist() == [
        {"id": 1, "a": "a", "b": "1"},
        {"id": 2, "a": "b", "b": "2"},
    ]


def test_a_program_travels_between_processes() -> None:
    """It is pickled for other workers, and works the same there."""
    program = compile_mapping(mapping_of(fields("{from: x, clean: trim}")), OLD, {"new": NEW})
    copy = pickle.loads(pickle.dumps(program))  # noqa: S301 - our own bytes
    assert copy == program
    assert copy.definition() == program.definition()


def test_missing_lookup_rows_are_refused() -> None:
    """A transformer without its lookup's rows would miss everything."""
    mapping = mapping_of(
        fields("{from: x, lookup: codes, take: new}"), rest="lookups:\n  codes: {source_table: c, key: old}\n"
    )
    program = compile_mapping(mapping, OLD, {"new": NEW}, {"codes": table("c", column("old"), column("new"))})
    with pytest.raises(InputError, match="codes"):
        Transformer(program, {})


def test_only_the_columns_that_are_used_are_read() -> None:
    """The key, the columns of fields and those of `where`, in the source's order."""
    mapping = mapping_of(fields("x", "{value: k}"), source="table: old\n  key: [id]\n  where: \"zt = '1'\"")
    program = compile_mapping(mapping, OLD, {"new": NEW})
    assert program.source_columns == ("id", "x", "zt")


def test_what_decides_the_rows_is_in_the_definition_and_nothing_else() -> None:
    """A changed field, where, key, reject check or column type is another definition; URLs, limits, totals, warnings and messages are not."""
    base = mapping_of(fields("x"))
    program = compile_mapping(base, OLD, {"new": NEW}).definition()

    def other(targets: str = fields("x"), shape: TableShape = NEW, **more: Any) -> dict[str, Any]:
        return compile_mapping(mapping_of(targets, **more), OLD, {"new": shape}).definition()

    harmless = 'limits: {rejects: "5"}\ntotals:\n  - {target: new, sum: [id]}\nchecks:\n  - {id: W, target: new, assert: "a is null", level: warn}\n'
    assert other(rest=harmless) == program
    assert other(source='url: "${U}"\n  table: old\n  key: [id]') == program
    assert other(fields("y")) != program
    assert other(source="table: old\n  key: [id]\n  where: \"x = '1'\"") != program
    assert other(rest='checks:\n  - {id: R, target: new, assert: "a is null"}\n') != program
    narrow = table("new", column("id", INTEGER), column("a", LogicalType("text", length=9)), column("b"), key=["id"])
    assert other(shape=narrow) != program
    json.dumps(program)


def test_the_key_of_a_source_without_one_is_the_number_of_the_row() -> None:
    """Positional sources are read by row number; rows with other unique columns need none."""
    numbered = TableShape(
        "files",
        (column("x"), column("_row", INTEGER, nullable=False, default_kind="generated")),
        (UniqueKey("_row", ("_row",)),),
        positional=True,
    )
    new = table("new", column("a"), key=["a"])
    program = compile_mapping(
        mapping_of("  - table: new\n    key: [a]\n    fields: {a: x}\n", source="files: x.csv"), numbered, {"new": new}
    )
    assert program.order == program.unit_columns == ("_row",)
    assert program.unit_is_unique


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
