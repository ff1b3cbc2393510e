"""Grouped units: a flat table of lines becomes headers and lines, whole groups at a time, whatever the batches cut."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rig.carry import carry
from tests.rig.database import Database
from tests.rig.places import folder, share_of_examples, shuffled, sqlite_pair
from tests.rig.undo import Row

pytestmark = pytest.mark.campaign

MAPPING = """
mapping: groups
source: {table: flat, key: [id]}
targets:
  - table: head
    key: [inv]
    one_row_per: [inv]
    fields: {inv: inv, buyer: buyer, items: {sql: "count(*)"}, total: {sql: "sum(n)"}}
  - table: line
    key: [id]
    fields: {id: id, inv: inv, n: n}
"""

lines = st.lists(
    st.tuples(
        st.sampled_from(["a", "A", "b", "B ", "é", "e", None]),
        st.sampled_from(["x", "x", "x", "y"]),
        st.integers(-5, 5),
    ),
    max_size=12,
)


def create(source: Database, target: Database, rows: list[Row]) -> None:
    """Tables on both sides; the target tells all texts apart."""
    exact = {"mariadb": " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"}.get(target.kind, "")
    source.run(
        "CREATE TABLE flat (id integer PRIMARY KEY, inv varchar(10) COLLATE NOCASE, buyer varchar(10), n integer)"
    )
    source.insert("flat", rows)
    target.run(
        f"CREATE TABLE head (inv varchar(10){exact} NOT NULL PRIMARY KEY, buyer varchar(10), items integer, total integer)",
        f"CREATE TABLE line (id integer NOT NULL PRIMARY KEY, inv varchar(10){exact} NOT NULL, n integer, FOREIGN KEY (inv) REFERENCES head (inv))",
    )


def check(rows: list[Row], databases: tuple[Database, Database], place: Any, seed: int, batch_rows: int) -> None:
    """Run, and compare with groups made in plain Python."""
    create(*databases, rows)
    carried = carry(place, MAPPING, databases, order=shuffled(seed), batch_rows=batch_rows)
    groups: dict[str | None, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["inv"]].append(row)
    good = {
        inv: group for inv, group in groups.items() if inv is not None and len({row["buyer"] for row in group}) == 1
    }
    assert {key: tuple(row.values()) for (key,), row in carried.rows["head"].items()} == {
        inv: (inv, group[0]["buyer"], len(group), sum(row["n"] for row in group)) for inv, group in good.items()
    }
    assert {key: tuple(row.values()) for (key,), row in carried.rows["line"].items()} == {
        row["id"]: (row["id"], inv, row["n"]) for inv, group in good.items() for row in group
    }
    counts = carried.finished.summary.counts
    assert counts.read == len(rows)
    assert counts.mapped == sum(map(len, good.values()))
    assert counts.targets.get("head") is None or counts.targets["head"].groups == len(good)
    assert len(carried.rejected) == len(groups) - len(good)


def numbered(found: list[tuple[Any, ...]]) -> list[Row]:
    """Rows of the source."""
    return [dict(zip(("id", "inv", "buyer", "n"), (number, *line), strict=True)) for number, line in enumerate(found)]


@given(lines, st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=share_of_examples(0.3))
def test_groups_arrive_whole(found: list[tuple[Any, ...]], seed: int, batch_rows: int) -> None:
    """One header per group with its sums, all its lines, or a reject for all of them; a source that folds case reads groups mixed."""
    with folder() as place:
        check(numbered(found), sqlite_pair(place), place, seed, batch_rows)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_groups_arrive_whole_on_servers(kind: str, servers: Any) -> None:
    """The same into PostgreSQL and MariaDB."""
    server = servers.get(kind)

    @given(lines, st.integers(0, 2**32), st.integers(1, 4))
    @settings(max_examples=share_of_examples(0.1))
    def examples(found: list[tuple[Any, ...]], seed: int, batch_rows: int) -> None:
        with folder() as place, server.fresh_database() as url:
            check(numbered(found), (sqlite_pair(place)[0], Database(url)), place, seed, batch_rows)

    examples()
