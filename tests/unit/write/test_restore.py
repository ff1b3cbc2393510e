"""Rows put back in whatever order the database takes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pyarrow as pa

from migrate.stores.opening import open_target
from migrate.write.restore import Step, put_back, replaced
from tests.rig.database import Database


def test_what_is_stuck_comes_in_the_order_given(tmp_path: Path) -> None:
    """Children before their parents, also when a chain beside them was done in an order of its own: only so can they be taken away and brought back."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.run(
        "CREATE TABLE p (id integer NOT NULL PRIMARY KEY, u text NOT NULL UNIQUE)",
        "CREATE TABLE c (id integer NOT NULL PRIMARY KEY, p integer NOT NULL REFERENCES p (id), u text NOT NULL UNIQUE)",
        "INSERT INTO p VALUES (1, 'b'), (2, 'a'), (3, 'z'), (4, 'y')",
        "INSERT INTO c VALUES (1, 1, 'b'), (2, 2, 'a')",
    )
    store = open_target(database.url, None)
    parents, children = store.describe("p"), store.describe("c")
    assert parents is not None
    assert children is not None
    with closing(store), closing(store.session()) as session:
        session.begin()
        steps = [
            Step("update", children, ("id",), pa.table({"id": [1, 2], "p": [1, 2], "u": ["a", "b"]})),
            Step("update", parents, ("id",), pa.table({"id": [1, 2, 3, 4], "u": ["a", "b", "y", "x"]})),
        ]
        stuck = put_back(session, steps)
        assert stuck is not None
        assert [(step.shape.name, step.rows["id"][0].as_py()) for step, _ in stuck.steps] == [
            ("c", 1),
            ("c", 2),
            ("p", 1),
            ("p", 2),
        ]
        assert replaced(session, stuck)
        session.commit()
    assert [row["u"] for row in database.rows("SELECT u FROM p ORDER BY id")] == ["a", "b", "y", "x"]
    assert [row["u"] for row in database.rows("SELECT u FROM c ORDER BY id")] == ["a", "b"]
