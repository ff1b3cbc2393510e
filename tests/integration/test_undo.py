"""The undo records of a run give back exactly what was there before it, column by column, on each database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest

from migrate.values import KeyRange
from tests.rig.carry import carry
from tests.rig.database import Database
from tests.rig.schedule import Order, in_order

# Columns that the mapping does not write: a constant default, none, one that the database computes, one that it stamps.
COLUMNS = {
    "sqlite": "stamp timestamp DEFAULT CURRENT_TIMESTAMP, twice integer GENERATED ALWAYS AS (n * 2) STORED",
    "postgresql": "stamp timestamp DEFAULT now(), twice integer GENERATED ALWAYS AS (n * 2) STORED",
    "mariadb": (
        "stamp datetime(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),"
        " twice integer GENERATED ALWAYS AS (n * 2) STORED"
    ),
}
MAPPING = """
mapping: undo
source: {{table: src, key: [id]}}
targets:
  - table: doc
    key: [k]
    on_conflict: {mode}
    fields: {{k: k, n: n, c: c, money: money, day: day}}
  - table: part
    key: [id]
    on_conflict: update
    fields: {{id: id, k: k}}
"""
DAY = dt.date(2025, 11, 24)


def backwards(ranges: list[KeyRange]) -> Sequence[KeyRange]:
    """Last range first."""
    return ranges[::-1]


def prepare(source: Database, target: Database) -> None:
    """Rows in the source, rows that are there already in the target, with values of their own in the columns that are not written."""
    source.run(
        "CREATE TABLE src (id integer PRIMARY KEY, k varchar(20), n integer, c varchar(20), money varchar(20), day date)"
    )
    rows = [
        ("a", 1, "同"),
        ("b", 2, "new"),
        ("b", 9, "again"),
        ("c", 3, "new"),
        ("d", 4, None),
        ("d", 4, None),
        ("a", 7, "x"),
    ]
    source.insert(
        "src",
        [
            {"id": number, "k": k, "n": n, "c": c, "money": f"{n}.50", "day": DAY.isoformat()}
            for number, (k, n, c) in enumerate(rows)
        ],
    )
    money = "DECIMAL_TEXT(18,2)" if target.kind == "sqlite" else "decimal(18,2)"
    target.run(
        f"CREATE TABLE doc (k varchar(20) NOT NULL PRIMARY KEY, n integer UNIQUE, c varchar(20), money {money}, day date,"
        f" five integer DEFAULT 5, word varchar(9) DEFAULT 'it''s', spare varchar(9), {COLUMNS[target.kind]})",
        "CREATE TABLE part (id integer NOT NULL PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES doc (k))",
    )
    for k, n, c in (("a", 1, "同"), ("b", 2, "old"), ("z", 8, "other")):
        own = {"k": k, "n": n, "c": c, "money": f"{n}.50", "day": DAY.isoformat(), "five": n, "word": c, "spare": ""}
        target.insert("doc", [{**own, "stamp": "2001-02-03 04:05:06"}])
    target.insert("part", [{"id": 3, "k": "z"}])


@pytest.mark.parametrize("mode", ["fail", "keep", "update", "{newer: n}"])
@pytest.mark.parametrize(
    ("batch_rows", "order"),
    [pytest.param(1000, in_order, id="one batch"), pytest.param(1, backwards, id="a batch each, backwards")],
)
def test_a_run_can_be_taken_back(tmp_path: Path, database_url: str, mode: str, batch_rows: int, order: Order) -> None:
    """Inserted, updated, identical, kept and displaced rows; defaults, computed and stamped columns: all records fit, and undo all of it."""
    databases = (Database(f"sqlite:///{tmp_path / 'units.db'}"), Database(database_url))
    prepare(*databases)
    # Taking back and comparing is part of every carried run, see `tests.rig.carry`.
    carried = carry(tmp_path, MAPPING.format(mode=mode), databases, order=order, batch_rows=batch_rows)
    assert {key for (key,) in carried.rows["doc"]} == {"a", "b", "c", "d", "z"}
    assert carried.outcome["mapped"] > 0
