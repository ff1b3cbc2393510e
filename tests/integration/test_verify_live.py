"""Verification while both sides still change: what a moment explains is no difference, what stays is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.engine.plan import Plan
from migrate.verify.live import LOOKS
from migrate.verify.verdict import Live, Verification
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

MAPPING = """
mapping: live
source: {table: src, key: [id]}
targets:
  - {table: dst, key: [id], fields: {id: id, v: v, amount: n}}
totals: [{target: dst, by: {v: v}, sum: [amount]}]
"""


class Hand:
    """Somebody who writes to the target between two looks. A look that finds a difference reads the target twice, in one snapshot."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = list(acts)
        self._lock = threading.Lock()
        self._reads = 0

    def __call__(self, side: str, _rows: int) -> None:
        """Act at each second reading of the target, whose snapshot does not show it."""
        with self._lock:
            self._reads += side == "target"
            if side == "target" and self._reads % 2 == 0 and self._acts:
                self._acts.pop(0)()


@pytest.fixture
def migrated(database_url: str, tmp_path: Path) -> tuple[Plan, Database]:
    """Forty rows that are migrated; readers and writers of the target do not wait for each other."""
    source, target = Database(f"sqlite:///{tmp_path / 'source.db'}"), Database(database_url)
    source.run("CREATE TABLE src (id integer PRIMARY KEY, v text, n integer)")
    source.insert("src", [{"id": number, "v": "ab"[number % 2], "n": number} for number in range(40)])
    target.run("CREATE TABLE dst (id bigint NOT NULL PRIMARY KEY, v varchar(20), amount bigint)")
    plan = plan_of(tmp_path, MAPPING, source.url, target.url)
    run_scheduled(plan)
    if database_url.startswith("sqlite"):
        target.run("PRAGMA journal_mode=WAL")
    return plan, target


def looked(plan: Plan, *acts: Callable[[], object]) -> Verification:
    """A live verification with somebody at work."""
    return verify_plan(plan, VerifyOptions(scan="stream", live=True), Hand(*acts))


def test_what_settles_is_no_difference(migrated: tuple[Plan, Database]) -> None:
    """A change that had not arrived at the first look and has at the second is counted as settled; totals agree."""
    plan, target = migrated
    target.run(
        "UPDATE dst SET v = 'late' WHERE id < 3", "DELETE FROM dst WHERE id = 4", "INSERT INTO dst VALUES (99, 'x', 1)"
    )
    found = looked(
        plan,
        lambda: target.run(
            "UPDATE dst SET v = CASE WHEN id = 1 THEN 'b' ELSE 'a' END WHERE id < 3",
            "INSERT INTO dst VALUES (4, 'a', 4)",
            "DELETE FROM dst WHERE id = 99",
        ),
    )
    assert (found.verdict, found.live) == ("EQUAL", Live(looks=2, settled=5)), found.to_json()
    assert (found.totals, found.exit_code) == ((), 0)


def test_what_stays_is_reported_and_what_is_new_is_not(migrated: tuple[Plan, Database]) -> None:
    """Of two rows that differ one stays so; rows that begin to differ after the first look are left out, of the totals too."""
    plan, target = migrated
    target.run("UPDATE dst SET amount = 1000 WHERE id = 7", "UPDATE dst SET amount = 1 WHERE id = 8")
    found = looked(
        plan,
        lambda: target.run(
            "UPDATE dst SET amount = 8 WHERE id = 8",
            "UPDATE dst SET amount = 5000 WHERE id = 20",
            "DELETE FROM dst WHERE id = 21",
            "INSERT INTO dst VALUES (77, 'b', 3)",
        ),
    )
    result = found.targets["dst"]
    assert (found.verdict, found.live) == ("DIFFERENT", Live(looks=3, settled=1)), found.to_json()
    assert [each.key for each in result.differences] == [{"id": "7"}]
    assert result.counts == {"missing": 0, "extra": 0, "changed": 1, "multiplicity": 0}
    assert [(each.by, each.sums["amount"].actual) for each in found.totals] == [
        ({"v": "b"}, str(sum(range(1, 40, 2)) - 7 + 1000 - 21 + 3))
    ]


def test_it_does_not_look_for_ever(migrated: tuple[Plan, Database]) -> None:
    """Where every look finds less than the one before, the last of them counts."""
    plan, target = migrated
    target.run("UPDATE dst SET v = 'late'")
    acts = [lambda number=number: target.run(f"UPDATE dst SET v = 'a' WHERE id = {2 * number}") for number in range(9)]
    found = looked(plan, *acts)
    assert (found.verdict, found.live) == ("DIFFERENT", Live(looks=LOOKS, settled=LOOKS - 1)), found.to_json()


def test_equal_sides_are_read_once(migrated: tuple[Plan, Database]) -> None:
    """Without a difference there is nothing to look at again."""
    plan, _ = migrated
    assert looked(plan).live == Live(looks=1, settled=0)
    assert verify_plan(plan, VerifyOptions()).live is None
