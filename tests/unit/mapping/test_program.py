"""A compiled mapping as a value: what it reads, what decides its rows, how it travels."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from migrate.errors import InputError
from migrate.mapping.compile import compile_mapping
from migrate.mapping.findings import MappingErrors
from migrate.mapping.transformer import Transformer
from migrate.values import LogicalType, TableShape, UniqueKey
from tests.unit.mapping.harness import (
    INTEGER,
    NEW,
    OLD,
    column,
    fields,
    mapping_of,
    run,
    table,
)


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
    ("name", "told"),
    [("X", "`x` and `X` differ in nothing but case"), ("_Unit", "uses the name of the column `_Unit`")],
)
def test_columns_that_cannot_be_told_apart_are_refused(name: str, told: str) -> None:
    """DuckDB would take the first of `x` and `X` for both: neither a source nor a target may have such columns, nor our own names."""
    old = table("old", column("id", INTEGER), column("x"), column("y"), column(name), key=["id"])
    new = table("new", column("id", INTEGER), column("a"), column("b"), column("x"), column(name), key=["id"])
    with pytest.raises(MappingErrors) as of_source:
        compile_mapping(mapping_of(fields("x", f'"{name}"')), old, {"new": NEW})
    assert [(each.path, told in each.message) for each in of_source.value.findings] == [("source", True)]
    with pytest.raises(MappingErrors) as of_target:
        compile_mapping(mapping_of(fields("x")), OLD, {"new": new})
    assert [(each.path, told in each.message) for each in of_target.value.findings] == [("targets[0].table", True)]


def test_columns_that_are_not_read_may_be_called_anything() -> None:
    """Only the names of what a mapping reads matter; but whoever reads `x` beside an unread `X` could get the other one's type."""
    old = table(
        "old", column("id", INTEGER), column("Z", INTEGER), column("z"), column("_unit"), *OLD.columns[1:], key=["id"]
    )
    row = {"id": 1, "Z": 2, "z": "three", "_unit": "u", "x": "x", "y": "y"}
    assert run(mapping_of(fields("x")), old, [NEW], [row]).rows() == [{"_unit": 0, "id": 1, "a": "x", "b": "y"}]
    with pytest.raises(MappingErrors, match="`Z` and `z` differ in nothing but case"):
        compile_mapping(mapping_of(fields("z")), old, {"new": NEW})
