"""The fingerprint: everything that decides the rows changes it, nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrate.engine.fingerprint import changed_parts
from tests.rig.database import Database
from tests.rig.schedule import plan_of

MAPPING = """
mapping: prints
version: 1
source: {table: src, key: [id], where: "n > 0"}
lookups: {codes: {file: codes.csv, key: old}}
targets:
  - table: dst
    key: [id]
    scope: "t <> 'x'"
    on_conflict: fail
    fields:
      id: id
      n: n
      t: {from: t, lookup: codes, take: new, default: none}
checks:
  - {id: C1, target: dst, assert: "n < 100", level: reject}
  - {id: W1, target: dst, assert: "n < 50", level: warn}
totals: [{target: dst, sum: [n]}]
limits: {rejects: "5"}
"""


class Bench:
    """Databases and a lookup file that a test changes one thing of."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.source, self.target = (Database(f"sqlite:///{place / name}.db") for name in ("source", "target"))
        self.source.run("CREATE TABLE src (id integer PRIMARY KEY, n integer, t text, spare text)")
        self.target.run("CREATE TABLE dst (id integer PRIMARY KEY, n integer, t text, spare text)")
        self.codes = place / "codes.csv"
        self.codes.write_text("old,new\na,1\nb,2\n", encoding="utf-8")

    def print(self, mapping: str = MAPPING, batch_rows: int = 10) -> str:
        """The fingerprint now."""
        return plan_of(self.place, mapping, self.source.url, self.target.url, batch_rows).fingerprint


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Fresh."""
    return Bench(tmp_path)


def test_the_same_plan_has_the_same_print(bench: Bench) -> None:
    """Planning twice gives one fingerprint of 64 hex digits, whatever the batch size."""
    assert bench.print() == bench.print(batch_rows=99)
    assert len(bytes.fromhex(bench.print())) == 32


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('where: "n > 0"', 'where: "n > 1"', id="where"),
        pytest.param("key: [id], where", "key: [n], where", id="order of reading"),
        pytest.param("n: n\n", 'n: {sql: "n + 1"}\n', id="field"),
        pytest.param("default: none", "default: other", id="default"),
        pytest.param("t <> 'x'", "t <> 'y'", id="scope"),
        pytest.param("on_conflict: fail", "on_conflict: keep", id="on_conflict"),
        pytest.param("n < 100", "n < 101", id="rejecting check"),
    ],
)
def test_what_decides_the_rows_changes_it(bench: Bench, old: str, new: str) -> None:
    """Each part of the mapping that decides a row."""
    assert old in MAPPING
    assert bench.print(MAPPING.replace(old, new)) != bench.print()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('limits: {rejects: "5"}', 'limits: {rejects: "6"}', id="limits"),
        pytest.param("sum: [n]", "sum: [id]", id="totals"),
        pytest.param("n < 50", "n < 51", id="warning check"),
        pytest.param("mapping: prints", "# a comment\nmapping: prints", id="comment"),
    ],
)
def test_what_decides_no_row_does_not(bench: Bench, old: str, new: str) -> None:
    """Limits, totals, warnings, layout."""
    assert old in MAPPING
    assert bench.print(MAPPING.replace(old, new)) == bench.print()


def test_a_lookup_file_counts_with_its_content(bench: Bench) -> None:
    """Another code changes the print; another order of its lines does not."""
    before = bench.print()
    bench.codes.write_text("old,new\nb,2\na,1\n", encoding="utf-8")
    assert bench.print() == before
    bench.codes.write_text("old,new\na,1\nb,3\n", encoding="utf-8")
    assert bench.print() != before


def test_columns_count_when_they_are_used(bench: Bench) -> None:
    """A new column that nothing uses, or an index that is not unique, is no change; another type of a used column is."""
    before = bench.print()
    bench.source.run("ALTER TABLE src ADD COLUMN later text")
    bench.target.run("ALTER TABLE dst ADD COLUMN later text", "CREATE INDEX some ON dst (n)")
    assert bench.print() == before
    bench.target.run("DROP TABLE dst", "CREATE TABLE dst (id integer PRIMARY KEY, n integer, t varchar(9), spare text)")
    assert bench.print() != before


def test_a_unique_index_counts(bench: Bench) -> None:
    """It decides which rows are conflicts."""
    before = bench.print()
    bench.target.run("CREATE UNIQUE INDEX u ON dst (n)")
    assert bench.print() != before


def test_addresses_do_not_count(bench: Bench, tmp_path: Path) -> None:
    """The same databases at another place are the same plan."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert Bench(other).print() == bench.print()


def test_what_changed_is_named(bench: Bench) -> None:
    """Two definitions are told apart by the parts that a person would name; equal ones have none."""

    def definition(mapping: str) -> dict[str, object]:
        return plan_of(bench.place, mapping, bench.source.url, bench.target.url, 10).program.definition()

    first = definition(MAPPING)
    assert changed_parts(first, definition(MAPPING)) == []
    edited = (
        MAPPING.replace("n > 0", "n > 1")
        .replace("default: none", "default: other")
        .replace("n < 100", "n < 101")
        .replace("on_conflict: fail", "on_conflict: keep")
    )
    assert changed_parts(first, definition(edited)) == [
        "checks.C1",
        "source.where",
        "targets.dst.fields.t",
        "targets.dst.on_conflict",
    ]
