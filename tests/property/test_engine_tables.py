"""Any source table arrives: target = map(source), computed beside the toolkit in plain Python, however it is cut, ordered and shared out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from migrate.ledger.counts import TargetCounts
from tests.rig.carry import carry
from tests.rig.database import Database
from tests.rig.places import folder, share_of_examples, shuffled, sqlite_pair
from tests.rig.schedule import in_small_chunks
from tests.rig.undo import Row

pytestmark = pytest.mark.campaign

AMOUNTS: dict[str | None, Decimal | None] = {
    None: None,
    "1.5": Decimal("1.50"),
    "-0.01": Decimal("-0.01"),
    "007": Decimal("7.00"),
    "9999999999999999.99": Decimal("9999999999999999.99"),
}
"""Texts that are decimal(18,2), and what they are."""

NO_AMOUNTS = ("1.005", "abc", "", "1_000", "NaN", "10000000000000000.00")
"""Texts that are none."""

hostile = st.text(
    st.one_of(
        st.sampled_from("aAbB\t\n\r\\'\",;|% \u00e9\u4e2d\u3000\ufeff\u200b\U0001f9fe\ue000"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    ),
    max_size=12,
)


@dataclass(frozen=True)
class Kind:
    """A type of key columns: its name in the database and its values."""

    declared: str
    values: st.SearchStrategy[Any]


LETTERS = st.sampled_from(
    ["a", "A", "b", "B", "a ", "", " ", "\u00e9", "e", "z", "Z", "aa", "\u4e2d", "0", "00", "\x01"]
)
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2)
WIDE = st.integers(-(10**30), 10**30) | st.integers(2**63, 2**64) | st.integers(-2, 2)
KEYS: dict[str, dict[str, Kind]] = {
    "sqlite": {
        "integer": Kind("INTEGER", INTEGERS),
        "text": Kind("TEXT", LETTERS | hostile),
        "nocase": Kind("TEXT COLLATE NOCASE", LETTERS),
        "rtrim": Kind("TEXT COLLATE RTRIM", LETTERS),
        "float": Kind("REAL", st.floats(allow_nan=False, allow_infinity=False)),
        "bytes": Kind("BLOB", st.binary(max_size=4)),
    },
    "postgresql": {
        "integer": Kind("bigint", INTEGERS),
        "wide": Kind("numeric(31,0)", WIDE),
        "text": Kind("text", LETTERS | hostile),
        "locale": Kind('text COLLATE "C.utf8"', LETTERS | hostile),
    },
    "mariadb": {
        "integer": Kind("bigint", INTEGERS),
        "wide": Kind("decimal(31,0)", WIDE),
        "unsigned": Kind("bigint unsigned", st.integers(0, 2**64 - 1)),
        "folded": Kind("varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", LETTERS | hostile),
        "text": Kind("varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", LETTERS | hostile),
    },
}


@dataclass(frozen=True)
class Table:
    """A source table of columns `n` (every row has its own), the key columns `k0`, `k1`, a text `t`, an amount `a`, a flag `f`."""

    kinds: tuple[Kind, ...]
    key: str
    rows: list[Row]
    batch_rows: int
    chunk_bytes: int

    @property
    def names(self) -> list[str]:
        """The key columns."""
        return [f"k{place}" for place in range(len(self.kinds))]

    def create(self, source: Database, target: Database) -> None:
        """Create and fill the source; create the target, which is always SQLite."""
        columns = ", ".join(f"{name} {kind.declared}" for name, kind in zip(self.names, self.kinds, strict=True))
        plain = {"mariadb": "varchar(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"}.get(source.kind, "text")
        source.run(f"CREATE TABLE src ({columns}, t {plain}, a {plain}, f {plain}, n integer NOT NULL)")
        if self.key == "unique":
            source.run(f"CREATE UNIQUE INDEX src_key ON src ({', '.join(self.names)})")
        source.insert("src", self.rows)
        target.run("CREATE TABLE t (n INTEGER PRIMARY KEY, t TEXT, a DECIMAL_TEXT(18,2), fixed TEXT)")

    @property
    def mapping(self) -> str:
        """The mapping; without `key` the table is read by the rows' physical places."""
        key = "" if self.key == "none" else f", key: [{', '.join(self.names)}]"
        return f"""
mapping: tables
source: {{table: src{key}, where: "f is null or f <> 'x'"}}
targets:
  - table: t
    key: [n]
    fields:
      n: n
      t: t
      a: {{from: a, type: "decimal(18,2)"}}
      fixed: {{sql: "case when f = 'y' then 'yes' end"}}
"""


def tables(kind: str) -> st.SearchStrategy[Table]:
    """Any table on a kind of database."""
    return _tables(kind)


@st.composite
def _tables(draw: st.DrawFn, kind: str) -> Table:
    kinds = tuple(draw(st.lists(st.sampled_from(list(KEYS[kind].values())), min_size=1, max_size=2)))
    key = draw(st.sampled_from(["given", "unique", "none"] if kind != "mariadb" else ["given", "unique"]))
    values = st.tuples(*(st.none() | each.values for each in kinds))
    rows: list[Row] = []
    for number, row_key in enumerate(draw(st.lists(values, max_size=14))):
        rows.append(
            {f"k{place}": value for place, value in enumerate(row_key)}
            | {
                "t": draw(st.none() | hostile),
                "a": draw(st.sampled_from([*AMOUNTS, *NO_AMOUNTS])),
                "f": draw(st.sampled_from([None, "x", "y", "n"])),
                "n": number,
            }
        )
    return Table(kinds, key, rows, draw(st.integers(1, 5)), draw(st.sampled_from([1, 300, 2**20])))


def mapped(rows: list[Row]) -> tuple[dict[int, Row], set[int], int]:
    """Target rows by key, numbers of rejected rows, how many were filtered: the mapping once more, in plain Python."""
    kept = [row for row in rows if row["f"] != "x"]
    good = {
        row["n"]: {
            "n": row["n"],
            "t": row["t"],
            "a": AMOUNTS[row["a"]],
            "fixed": "yes" if row["f"] == "y" else None,
        }
        for row in kept
        if row["a"] in AMOUNTS
    }
    return good, {row["n"] for row in kept} - set(good), len(rows) - len(kept)


def assert_arrives(table: Table, source: Database, place: Any, seed: int) -> None:
    """Carry the table over in the schedule of this seed, and compare."""
    target = sqlite_pair(place)[1]
    table.create(source, target)
    carried = carry(
        place,
        table.mapping,
        (source, target),
        order=shuffled(seed),
        batch_rows=table.batch_rows,
        job=in_small_chunks(table.chunk_bytes),
    )
    good, rejected, filtered = mapped(table.rows)
    assert {key: row for (key,), row in carried.rows["t"].items()} == good
    counts = carried.finished.summary.counts
    assert (counts.read, counts.mapped, counts.filtered, counts.rejected) == (
        len(table.rows),
        len(good),
        filtered,
        len(rejected),
    )
    assert counts.targets.get("t", TargetCounts()) == TargetCounts(written=len(good))
    for each in rejected:
        assert any(f'"n":"{each}"' in (found.raw or "") for found in carried.finished.rejects)


@given(tables("sqlite"), st.integers(0, 2**32))
@settings(max_examples=share_of_examples(0.6))
def test_any_table_of_sqlite_arrives(table: Table, seed: int) -> None:
    """Keys of any type, NULL or doubled, under any collation, or none at all; batches of a few rows, in any order, chunks of a few bytes."""
    with folder() as place:
        source = sqlite_pair(place)[0]
        assume(_fits(table, source))
        assert_arrives(table, source, place, seed)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_any_table_of_a_server_arrives(kind: str, servers: Any) -> None:
    """The same from PostgreSQL and MariaDB, with integers beyond 64 bits and collations that fold case and accents."""
    server = servers.get(kind)

    @given(tables(kind), st.integers(0, 2**32))
    @settings(max_examples=share_of_examples(0.2))
    def check(table: Table, seed: int) -> None:
        with folder() as place, server.fresh_database() as url:
            source = Database(url)
            assume(_fits(table, source))
            assert_arrives(table, source, place, seed)

    check()


@cache
def _violations() -> tuple[type[Exception], ...]:
    import sqlite3

    import psycopg
    import pymysql

    return (sqlite3.IntegrityError, psycopg.errors.UniqueViolation, pymysql.err.IntegrityError)


def _fits(table: Table, source: Database) -> bool:
    """Does the database take these rows under a unique index, if the table has one? Only it knows its collations."""
    if table.key != "unique":
        return True
    try:
        table.create(source, Database("sqlite://"))
    except _violations():
        return False
    finally:
        source.run("DROP TABLE IF EXISTS src")
    return True
