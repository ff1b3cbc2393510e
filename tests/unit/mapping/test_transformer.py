"""What a transformer makes of chunks: field forms and their order, lookups, checks, groups, rejects with their reasons."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from migrate.errors import InputError
from migrate.mapping.compile import compile_mapping
from migrate.mapping.transformer import Transformer
from tests.unit.mapping.harness import (
    INTEGER,
    MONEY,
    NEW,
    OLD,
    Outcome,
    assert_complete,
    column,
    fields,
    mapping_of,
    run,
    table,
)


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


def test_without_findings_all_but_the_findings_is_the_same() -> None:
    """Warnings are no rows: what asks for none gets equal rows, units, rejects and raw values, by statements without any condition of a warning."""
    checks = (
        "checks:\n"
        "  - {id: R, target: new, assert: \"a <> 'bad'\"}\n"
        '  - {id: W, target: new, assert: "cast(b as int) < 4711", level: warn}\n'
        "  - {id: I, target: new, assert: \"b <> 'remarkable'\", level: info}\n"
    )
    program = compile_mapping(mapping_of(fields("x"), rest=checks), OLD, {"new": NEW})
    (level,) = program.levels
    schema = program.source_schema.append(pa.field("_anomaly", pa.string()))
    values = [("ok", "1"), ("bad", "9999"), ("ok", "many"), ("ok", "remarkable")]
    rows = [{"id": number, "x": x, "y": y} for number, (x, y) in enumerate(values)]
    chunk = pa.Table.from_pylist(rows, schema=schema)
    assert [word in level.main for word in ("'bad'", "4711", "remarkable", "_:warn")] == [True, True, True, True]
    assert [word in level.deciding for word in ("'bad'", "4711", "remarkable", "_:warn")] == [True, False, False, False]
    with Transformer(program, {}) as asking, Transformer(program, {}, findings=False) as deciding:
        full, lean = asking.apply(chunk), deciding.apply(chunk)
    assert [full.findings["rule"].to_pylist(), lean.findings.num_rows] == [["W", "W", "I"], 0]
    assert lean.rejects.num_rows == 1
    assert replace(lean, findings=full.findings) == full


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


def test_an_empty_chunk_gives_empty_tables() -> None:
    """Nothing read, nothing made, with the right schemas."""
    outcome = one("x", [])
    assert outcome.mapped.rows_read == 0
    assert outcome.rows() == []


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
