"""Key ranges: every row lies in exactly one, in the database's own order, whatever its key is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.invoice import types
from migrate.stores.port import SourceReader, SourceStore
from migrate.stores.predicates import (
    EXPANDED_NULLS_FIRST,
    ROW_VALUES_NULLS_FIRST,
    ROW_VALUES_NULLS_LAST,
    KeyColumn,
    Ordering,
)
from migrate.stores.typed_keys import dump_key, load_key
from migrate.values import Key, KeyRange
from tests.contract.conftest import Store
from tests.contract.family import codes, folded

KEY = ("whole", "word", "wide")
WHOLE = st.sampled_from([None, -(2**63), -7, -1, 0, 1, 2, 2**53 + 1, 2**63 - 1])
WORD = st.one_of(st.none(), st.text("aAbBzéÉ 发'\\", max_size=3))
WIDE = st.sampled_from([None, -(10**19), -1, 0, 1, 2**63 - 1, 2**63, 2**63 + 1, 10**19])
ROWS = st.lists(st.tuples(WHOLE, WORD, WIDE), min_size=1, max_size=25)


@dataclass
class Ranked:
    """A store with a table whose rows the test replaces again and again, and its source."""

    store: Store
    table: sa.Table
    source: SourceStore

    def fill(self, rows: list[tuple[Any, Any, Any]]) -> dict[int, int]:
        """Replace the rows; returns the rank that the database gives to each id in its own order of the key."""
        values = [
            {"id": number, "whole": whole, "word": word, "wide": None if wide is None else Decimal(wide)}
            for number, (whole, word, wide) in enumerate(rows)
        ]
        with self.store.engine.begin() as connection:
            connection.execute(sa.delete(self.table))
            connection.execute(sa.insert(self.table), values)
        ranks = self.store.rows("SELECT id, dense_rank() OVER (ORDER BY whole, word, wide) FROM ranked")
        return {int(number): int(rank) for number, rank in ranks}


@pytest.fixture
def ranked(store: Store) -> Ranked:
    """A table with a nullable composite key of mixed types, text under a collation that folds case."""
    table = sa.Table(
        "ranked",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("whole", sa.BigInteger),
        sa.Column("word", folded(20)),
        sa.Column("wide", types.decimal(20, 0)),
        sa.Index("ranked_key", *KEY),
    )
    store.create(table)
    return Ranked(store, table, store.source("ranked"))


def walk(reader: SourceReader, columns: tuple[str, ...], rows: int) -> Iterator[KeyRange]:
    """Ranges of about so many rows over the whole source, borders kept as the ledger keeps them."""
    after: Key | None = None
    number = 0
    while True:
        upto = reader.border(columns, after, rows)
        kept = None if upto is None else load_key(dump_key(upto))
        yield KeyRange(number, columns, after, kept)
        if kept is None:
            return
        after, number = kept, number + 1


def ids(reader: SourceReader, key_range: KeyRange, order: tuple[str, ...]) -> list[int]:
    """Ids of a range in the order in which they come."""
    batches = list(reader.read(key_range, order, 1 << 20, ("id",)))
    return [number for batch in batches for number in batch.column(0).to_pylist()]


@settings(max_examples=20)
@given(data=st.data())
def test_ranges_partition_the_table(ranked: Ranked, data: st.DataObject) -> None:
    """Each row is in one range; ranges and rows come in the database's order; rows with equal keys stay together."""
    ranks = ranked.fill(data.draw(ROWS))
    size = data.draw(st.integers(1, 6))
    reader = ranked.source.reader()
    try:
        parts = [ids(reader, key_range, KEY) for key_range in walk(reader, KEY, size)]
    finally:
        reader.close()
    seen = [ranks[number] for part in parts for number in part]
    assert sorted(number for part in parts for number in part) == sorted(ranks)
    assert seen == sorted(seen)
    for before, after in pairwise(parts):
        assert not {ranks[number] for number in before} & {ranks[number] for number in after}
    assert all(len(part) >= size for part in parts[:-1])


@settings(max_examples=10)
@given(rows=ROWS)
def test_picked_rows_are_those_that_the_database_holds_equal(ranked: Ranked, rows: list[tuple[Any, Any, Any]]) -> None:
    """Picking by the keys of all rows finds each row once, NULL being equal to NULL."""
    ranks = ranked.fill(rows)
    reader = ranked.source.reader()
    try:
        keys = [(whole, word, None if wide is None else Decimal(wide)) for whole, word, wide in rows]
        found = reader.pick(KEY, keys, (*KEY, "id"), ("id",))["id"].to_pylist()
    finally:
        reader.close()
    assert sorted(found) == sorted(ranks)
    assert [ranks[number] for number in found] == sorted(ranks[number] for number in found)


def test_borders_say_when_few_rows_are_left(store: Store) -> None:
    """`border` counts rows behind `after`: the last row itself is a border, one more is None."""
    store.create(sa.Table("few", sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)))
    store.run("INSERT INTO few VALUES (-5), (0), (3)")
    reader = store.reader(store.source("few"))
    assert reader.border(("id",), None, 1) == (-5,)
    assert reader.border(("id",), None, 3) == (3,)
    assert reader.border(("id",), None, 4) is None
    assert reader.border(("id",), (-5,), 1) == (0,)
    assert reader.border(("id",), (3,), 1) is None
    assert reader.border(("id",), (1,), 1) == (3,)


def test_rows_that_share_the_first_column_are_not_skipped(store: Store) -> None:
    """A range inside of one value of the first key column holds just its rows (composite keys, many rows per invoice code)."""
    table = sa.Table(
        "lines",
        sa.MetaData(),
        sa.Column("code", codes(12), primary_key=True),
        sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger),
    )
    store.create(table)
    with store.engine.begin() as connection:
        connection.execute(
            sa.insert(table), [{"code": "c" if n < 90 else "d", "line": n - 40, "id": n} for n in range(100)]
        )
    reader = store.reader(store.source("lines"))
    parts = [ids(reader, key_range, ("code", "line")) for key_range in walk(reader, ("code", "line"), 7)]
    assert [number for part in parts for number in part] == list(range(100))
    by_code = [ids(reader, key_range, ("code", "line")) for key_range in walk(reader, ("code",), 7)]
    assert by_code == [list(range(90)), list(range(90, 100)), []]


def test_a_table_without_key_is_read_by_position(store: Store) -> None:
    """Rows without a key, duplicates among them, are read once each by row number where the database has one."""
    if not store.own or store.kind == "mariadb":
        pytest.skip("no physical row number here")
    store.run("CREATE TABLE heap (word VARCHAR(20), amount INTEGER)")
    values = ", ".join(f"('w{number % 5}', {number // 2})" for number in range(1000))
    store.run(f"INSERT INTO heap VALUES {values}", "DELETE FROM heap WHERE amount BETWEEN 100 AND 130")
    source = store.source("heap")
    assert source.shape.positional
    assert source.shape.names == ("word", "amount", "_row")
    reader = store.reader(source)
    batches = [list(reader.read(key_range, ("_row",), 1 << 12)) for key_range in walk(reader, ("_row",), 37)]
    rows = pa.Table.from_batches([batch for part in batches for batch in part])
    assert len(batches) > 10
    assert rows["_row"].to_pylist() == sorted(set(rows["_row"].to_pylist()))
    stored = store.rows("SELECT word, amount FROM heap")
    assert sorted(zip(rows["word"].to_pylist(), rows["amount"].to_pylist(), strict=True)) == sorted(stored)
    some = rows["_row"].to_pylist()[10:20]
    assert reader.pick(("_row",), [(row,) for row in some], ("_row",), ("_row",))["_row"].to_pylist() == some


def test_a_query_is_a_source_with_its_declared_key(store: Store) -> None:
    """A query is read by ranges of the key that the mapping declares, percent signs and comments in it included."""
    if not store.own:
        pytest.skip("the generic store cannot tell the types of a query")
    store.run("CREATE TABLE base (id BIGINT PRIMARY KEY, word VARCHAR(20))")
    store.run("INSERT INTO base VALUES " + ", ".join(f"({number}, 'w{number}')" for number in range(-20, 20)))
    query = "SELECT id + 100 AS k, word FROM base WHERE word LIKE 'w%' -- all of them\n"
    source = store.source(query=query, key=("k",))
    reader = store.reader(source)
    parts = []
    for key_range in walk(reader, ("k",), 9):
        for batch in reader.read(key_range, ("k",), 1 << 20):
            parts += batch.column(0).to_pylist()
    assert [int(value) for value in parts] == list(range(80, 120))


PLANS: dict[str, Ordering] = {
    "postgresql": ROW_VALUES_NULLS_LAST,
    "mariadb": EXPANDED_NULLS_FIRST,
    "sqlite": ROW_VALUES_NULLS_FIRST,
}


@pytest.mark.parametrize("nullable", [False, True])
def test_the_index_answers_a_range(store: Store, *, nullable: bool) -> None:
    """The plan for a range is a search of the index on the key, also where its columns can be NULL, and not a scan of the table."""
    if not store.own:
        pytest.skip("one plan per database")
    table = sa.Table(
        "planned",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("a", sa.BigInteger, nullable=nullable),
        sa.Column("b", codes(20), nullable=nullable),
        sa.Column("filler", sa.String(100)),
        sa.Index("planned_key", "a", "b"),
    )
    store.create(table)
    target = store.target()
    shape = target.describe("planned")
    assert shape is not None
    numbers = range(20_000)
    session = store.session(target)
    session.begin()
    session.insert(
        shape,
        pa.table(
            {
                "id": pa.array(numbers, pa.int64()),
                "a": pa.array([n // 10 for n in numbers], pa.int64()),
                "b": [f"b{n % 10}" for n in numbers],
                "filler": ["x" * 90] * len(numbers),
            }
        ),
    )
    session.commit()
    store.run("ANALYZE TABLE planned" if store.kind == "mariadb" else "ANALYZE planned")
    keys = [KeyColumn(table.c.a, nullable), KeyColumn(table.c.b, nullable)]
    ordering = PLANS[store.kind]
    statement = (
        sa.select(table.c.id)
        .where(ordering.between(keys, (1000, "b4"), (1010, "b2")))
        .order_by(*ordering.order_by(keys))
    )
    sql = str(statement.compile(store.engine, compile_kwargs={"literal_binds": True}))
    assert len(store.rows(sql)) == 98
    explain = "EXPLAIN QUERY PLAN " if store.kind == "sqlite" else "EXPLAIN "
    plan = "\n".join(" ".join(str(part) for part in row) for row in store.rows(explain + sql))
    assert "planned_key" in plan, plan
    assert "Seq Scan" not in plan, plan
    if store.kind == "mariadb":
        assert " range planned_key" in plan.replace("planned_key ", "", 1), plan
        assert int(store.rows(explain + sql)[0][8]) < 500, plan
    if store.kind == "sqlite":
        assert "SEARCH planned" in plan, plan
