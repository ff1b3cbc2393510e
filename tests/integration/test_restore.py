"""Rows are put back in whatever order the database takes them, on each database."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from migrate.stores.opening import open_target
from migrate.stores.port import TargetSession
from migrate.values import TableShape
from migrate.write.restore import How, Step, Stuck, put_back, replaced
from tests.rig.database import Database

TABLE = "CREATE TABLE node (k integer NOT NULL PRIMARY KEY, u integer UNIQUE, up integer, FOREIGN KEY (up) REFERENCES node (k))"


def step(shape: TableShape, how: How, *rows: dict[str, Any]) -> Step:
    """These rows, to be put back."""
    return Step(
        how, shape, ("k",), pa.table({name: pa.array([row[name] for row in rows], pa.int64()) for name in rows[0]})
    )


def nodes(database: Database) -> list[tuple[int, int | None, int | None]]:
    """All rows, by key."""
    return [(row["k"], row["u"], row["up"]) for row in database.rows("SELECT k, u, up FROM node ORDER BY k")]


def within(database: Database, work: Callable[[TargetSession, TableShape], Stuck | None]) -> Stuck | None:
    """What `work` returns in a transaction that is committed after it."""
    store = open_target(database.url)
    try:
        shape = store.describe("node")
        assert shape is not None
        session = store.session()
        session.begin()
        found = work(session, shape)
        session.commit()
        session.close()
        return found
    finally:
        store.close()


def test_a_row_goes_before_the_one_that_it_points_at(database_url: str) -> None:
    """Whatever order the steps come in: a chain of rows goes, and an update frees the unique value that another one needs."""
    database = Database(database_url)
    database.run(TABLE)
    for k, u, up in ((1, 1, None), (2, 2, 1), (3, 3, 2), (4, 4, None)):
        database.insert("node", [{"k": k, "u": u, "up": up}])
    stuck = within(
        database,
        lambda session, shape: put_back(
            session,
            [
                step(shape, "update", {"k": 4, "u": 1, "up": None}),
                step(shape, "delete", {"k": 1}),
                step(shape, "delete", {"k": 2}),
                step(shape, "delete", {"k": 3}),
            ],
        ),
    )
    assert stuck is None
    assert nodes(database) == [(4, 1, None)]


def test_a_row_that_points_at_itself_goes(database_url: str) -> None:
    """Also where the database does not delete such a row by itself; one at which another row points stays as it is."""
    database = Database(database_url)
    database.run(TABLE)
    for k, up in ((1, 1), (2, 2), (3, 2), (4, None)):
        database.insert("node", [{"k": k, "u": k, "up": up}])
    stuck = within(
        database, lambda session, shape: put_back(session, [step(shape, "delete", {"k": 1}, {"k": 2}, {"k": 4})])
    )
    assert stuck is not None
    assert [each.rows["k"].to_pylist() for each, _ in stuck.steps] == [[2]]
    assert nodes(database) == [(2, 2, 2), (3, 3, 2)]


def test_what_no_order_helps_is_named_and_the_rest_is_done(database_url: str) -> None:
    """A row at which another one points stays, with the database's reason."""
    database = Database(database_url)
    database.run(TABLE)
    for k, up in ((1, None), (2, 1), (3, None)):
        database.insert("node", [{"k": k, "u": k, "up": up}])
    stuck = within(database, lambda session, shape: put_back(session, [step(shape, "delete", {"k": 1}, {"k": 3})]))
    assert stuck is not None
    assert [each.rows["k"].to_pylist() for each, _ in stuck.steps] == [[1]]
    assert stuck.why.kind == "foreign_key"
    assert nodes(database) == [(1, 1, None), (2, 2, 1)]


def test_rows_that_exchanged_unique_values_are_taken_away_and_brought_back(database_url: str) -> None:
    """One by one neither can have the other's value; together they can."""
    database = Database(database_url)
    database.run(TABLE)
    database.insert("node", [{"k": 1, "u": 2, "up": None}, {"k": 2, "u": 1, "up": None}])

    def exchange(session: TargetSession, shape: TableShape) -> Stuck | None:
        stuck = put_back(session, [step(shape, "update", {"k": 1, "u": 1, "up": None}, {"k": 2, "u": 2, "up": None})])
        return stuck if stuck is None or not replaced(session, stuck) else None

    assert within(database, exchange) is None
    assert nodes(database) == [(1, 1, None), (2, 2, None)]


def test_rows_at_which_others_point_exchange_unique_values(database_url: str) -> None:
    """They cannot be taken away; what may be NULL is let go for the moment."""
    database = Database(database_url)
    database.run(TABLE)
    for k, u, up in ((1, 2, None), (2, 1, None), (3, None, 1), (4, None, 2)):
        database.insert("node", [{"k": k, "u": u, "up": up}])

    def exchange(session: TargetSession, shape: TableShape) -> Stuck | None:
        stuck = put_back(session, [step(shape, "update", {"k": 1, "u": 1, "up": None}, {"k": 2, "u": 2, "up": None})])
        return stuck if stuck is None or not replaced(session, stuck) else None

    assert within(database, exchange) is None
    assert nodes(database) == [(1, 1, None), (2, 2, None), (3, None, 1), (4, None, 2)]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_long_chain_of_unique_values_takes_few_attempts(database_url: str, seed: int) -> None:
    """Each of sixty rows takes the value of the next one, in whatever order they are named: each is tried once, and not as often as there are rows."""
    database = Database(database_url)
    database.run(TABLE)
    database.insert("node", [{"k": k, "u": k + 1, "up": None} for k in range(60)])
    rows = [{"k": k, "u": k + 2} for k in range(60)]
    random.Random(seed).shuffle(rows)
    tried: list[str] = []

    def chain(session: TargetSession, shape: TableShape) -> Stuck | None:
        with counted(session, tried):
            return put_back(session, [step(shape, "update", *rows)])

    assert within(database, chain) is None
    assert [u for _, u, _ in nodes(database)] == [k + 2 for k in range(60)]
    # One for all of them together, which a database may take as it is.
    assert len(tried) <= 1 + 60


@contextlib.contextmanager
def counted(session: TargetSession, tried: list[str]) -> Iterator[None]:
    """Savepoints of the session, one an attempt, are noted."""
    original = session.savepoint

    def noted(name: str) -> None:
        tried.append(name)
        original(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "savepoint", noted)
        yield
