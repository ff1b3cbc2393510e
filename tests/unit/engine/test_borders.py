"""Borders: a range is in the ledger before anyone works on it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from migrate.engine.borders import Ranges
from migrate.engine.retries import Retries
from migrate.engine.stop import StopToken
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import read_ranges
from migrate.stores.opening import open_source, open_target
from migrate.values import SourceSpec
from tests.rig.database import Database


def test_a_range_is_committed_before_it_is_handed_out(tmp_path: Path) -> None:
    """Whoever gets a range finds it in the ledger, so that a resume cuts at the same places; the walk of a second attempt gives the same."""
    source, target = (f"sqlite:///{tmp_path / name}.db" for name in ("source", "target"))
    Database(source).run("CREATE TABLE src (id integer PRIMARY KEY)")
    Database(source).insert("src", [{"id": number} for number in range(7)])
    retries = Retries("borders", StopToken(), lambda _: None)
    with (
        closing(open_target(target)) as store,
        closing(open_source(SourceSpec(url=source, table="src")).reader()) as reader,
    ):
        ledger = Ledger(store)
        ledger.create()
        walked = []
        for each in Ranges(ledger, "r", 1, ("id",), 3).walk(reader, retries):
            walked.append(each)
            assert read_ranges(ledger, "r", 1, ("id",)) == walked
        assert [each.number for each in walked] == [0, 1, 2]
        assert list(Ranges(ledger, "r", 1, ("id",), 5).walk(reader, retries)) == walked
