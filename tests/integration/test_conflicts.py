"""What is already there, what comes twice, and what the target refuses: counted or named, never merged, never altered; on each database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from migrate.errors import StateError
from migrate.ledger.counts import TargetCounts
from migrate.values import KeyRange
from tests.rig.carry import Carried, carry
from tests.rig.database import Database
from tests.rig.schedule import Order, in_order

TABLE = "CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, c varchar(20), n integer)"


def backwards(ranges: list[KeyRange]) -> Sequence[KeyRange]:
    """Last range first."""
    return ranges[::-1]


ONE_BATCH = pytest.param(1000, in_order, id="same batch")
MANY_BATCHES = pytest.param(1, backwards, id="a batch each, backwards")


class Try:
    """A source with units (id, k, c, n), a target with a table `t`, and a run between them."""

    def __init__(self, place: Path, target: Database) -> None:
        self.place = place
        self.source = Database(f"sqlite:///{place / 'units.db'}")
        self.target = target
        self.kind = target.kind

    def units(self, *units: tuple[str | None, str | None, int | None]) -> None:
        """The source's rows, numbered from 0."""
        self.source.run("CREATE TABLE src (id integer PRIMARY KEY, k varchar(40), c varchar(60), n bigint)")
        rows = [{"id": number, "k": k, "c": c, "n": n} for number, (k, c, n) in enumerate(units)]
        self.source.insert("src", rows)

    def existing(self, *rows: tuple[str, str | None, int | None]) -> None:
        """Rows of `t` before the run."""
        self.target.insert("t", [{"k": k, "c": c, "n": n} for k, c, n in rows])

    def run(
        self, on_conflict: str = "fail", *, scope: str = "", batch_rows: int = 1000, order: Order = in_order
    ) -> Carried:
        """Map each unit to `t`."""
        mapping = f"""
mapping: conflicts
source: {{table: src, key: [id]}}
targets:
  - table: t
    key: [k]
    on_conflict: {on_conflict}
    {scope and f'scope: "{scope}"'}
    fields: {{k: k, c: c, n: n}}
"""
        return carry(self.place, mapping, (self.source, self.target), order=order, batch_rows=batch_rows)


@pytest.fixture
def attempt(tmp_path: Path, database_url: str) -> Try:
    """On each database."""
    return Try(tmp_path, Database(database_url))


def stored(carried: Carried) -> dict[Any, tuple[Any, ...]]:
    """Rows of `t` by key: (c, n)."""
    return {key[0]: (row["c"], row["n"]) for key, row in carried.rows["t"].items()}


@pytest.mark.parametrize(
    ("mode", "counts", "end", "reasons"),
    [
        pytest.param(
            "fail",
            TargetCounts(written=1, identical=1),
            {"same": ("x", 1), "other": ("y", 5), "new": ("z", 1)},
            {1: "belongs to a row that is there already, with c: 'y' there, 'mine' here; n: 5 there, 6 here"},
            id="fail",
        ),
        pytest.param(
            "keep",
            TargetCounts(written=1, identical=1, kept=1),
            {"same": ("x", 1), "other": ("y", 5), "new": ("z", 1)},
            {},
            id="keep",
        ),
        pytest.param(
            "update",
            TargetCounts(written=1, identical=1, updated=1),
            {"same": ("x", 1), "other": ("mine", 6), "new": ("z", 1)},
            {},
            id="update",
        ),
    ],
)
def test_existing_rows(
    attempt: Try, mode: str, counts: TargetCounts, end: dict[str, Any], reasons: dict[int, str]
) -> None:
    """An identical row is counted as such under each mode; another one is rejected, left or replaced, as the mapping says."""
    attempt.target.run(TABLE)
    attempt.existing(("same", "x", 1), ("other", "y", 5))
    attempt.units(("same", "x", 1), ("other", "mine", 6), ("new", "z", 1))
    carried = attempt.run(mode)
    assert carried.finished.summary.counts.targets["t"] == counts
    assert stored(carried) == end
    assert len(carried.rejected) == len(reasons)
    for unit, reason in reasons.items():
        assert reason in carried.reason(unit)


def test_newer_replaces_older_rows_only(attempt: Try) -> None:
    """A greater version replaces, a smaller one leaves and is counted as kept, an equal one with other content is a conflict."""
    attempt.target.run(TABLE)
    attempt.existing(("old", "there", 1), ("young", "there", 9), ("equal", "there", 5), ("none", "there", None))
    attempt.units(("old", "mine", 2), ("young", "mine", 8), ("equal", "mine", 5), ("none", "mine", 0))
    carried = attempt.run("{newer: n}")
    assert carried.finished.summary.counts.targets["t"] == TargetCounts(updated=2, kept=1)
    assert stored(carried) == {
        "old": ("mine", 2),
        "young": ("there", 9),
        "equal": ("there", 5),
        "none": ("mine", 0),
    }
    assert carried.reason(2) == (
        "CONFLICT: the target key 'equal' belongs to a row with the same n 5, with c: 'there' there, 'mine' here"
    )


def test_rows_outside_of_the_scope_are_nobody_elses(attempt: Try) -> None:
    """A row that the mapping does not answer for is a conflict even under `update`; a unit that maps outside is rejected."""
    attempt.target.run(TABLE)
    attempt.existing(("theirs", "other", 1), ("ours", "mine", 1))
    attempt.units(("theirs", "mine", 1), ("ours", "mine", 2), ("out", "elsewhere", 1))
    carried = attempt.run("update", scope="c = 'mine'")
    assert stored(carried) == {"theirs": ("other", 1), "ours": ("mine", 2)}
    assert "belongs to a row outside of the mapping's scope" in carried.reason(0)
    assert carried.reason(2).startswith("SCOPE: ")


@pytest.mark.parametrize(("batch_rows", "order"), [ONE_BATCH, MANY_BATCHES])
def test_the_first_of_two_units_has_the_key(attempt: Try, batch_rows: int, order: Order) -> None:
    """Of units with one target key the first in source order is written, equal ones are identical, others are rejected and told whose it is."""
    attempt.target.run(TABLE)
    attempt.units(("b", "first", 1), ("b", "second", 1), ("b", "first", 1))
    carried = attempt.run(batch_rows=batch_rows, order=order)
    assert stored(carried) == {"b": ("first", 1)}
    assert carried.finished.summary.counts.targets["t"] == TargetCounts(written=1, identical=1)
    assert carried.reason(1) == "CONFLICT: the source unit 0, which goes first, has k = 'b' with other content"


@pytest.mark.parametrize(("batch_rows", "order"), [ONE_BATCH, MANY_BATCHES])
def test_a_collation_never_merges_keys(attempt: Try, batch_rows: int, order: Order) -> None:
    """Keys that the target holds equal by case, accent or padding are conflicts in source order; keys that it tells apart are both written."""
    collation = {"mariadb": "COLLATE utf8mb4_general_ci", "sqlite": "COLLATE NOCASE"}.get(attempt.kind, "")
    attempt.target.run(TABLE.replace("NOT NULL", f"{collation} NOT NULL"))
    attempt.existing(("old", "there", 1))
    attempt.units(
        ("b", "x", 1), ("B", "x", 1), ("OLD", "there", 1), ("é", "x", 1), ("e", "x", 1), ("p", "x", 1), ("p ", "x", 1)
    )
    carried = attempt.run("update", batch_rows=batch_rows, order=order)
    keys = {"postgresql": set(), "sqlite": {"B", "OLD"}, "mariadb": {"B", "OLD", "e", "p "}}[attempt.kind]
    assert set(stored(carried)) == {"old", "b", "B", "OLD", "é", "e", "p", "p "} - keys
    assert stored(carried)["old"] == ("there", 1)
    assert len(carried.rejected) == len(keys)
    if keys:
        assert carried.reason(1) == (
            "CONFLICT: the source unit 0, which goes first, has k = 'B' (under the target's collation: it wrote 'b') with other content"
        )
        assert (
            carried.reason(2)
            == "CONFLICT: the target key 'OLD' is, under the target's collation, that of the row 'old'"
        )


@pytest.mark.parametrize(("batch_rows", "order"), [ONE_BATCH, MANY_BATCHES])
def test_another_unique_key(attempt: Try, batch_rows: int, order: Order) -> None:
    """A value that must be unique and belongs to another row, there before or written by an earlier unit, rejects the unit and is named."""
    attempt.target.run(TABLE.replace("n integer", "n integer UNIQUE"))
    attempt.existing(("z", "there", 9))
    attempt.units(("b", "x", 1), ("a", "x", 1), ("c", "x", 9), ("d", "x", None), ("e", "x", None))
    carried = attempt.run(batch_rows=batch_rows, order=order)
    assert set(stored(carried)) == {"z", "b", "d", "e"}
    assert carried.reason(1) == "CONFLICT: the source unit 0, which goes first, has n = 1 with other content"
    assert carried.reason(2) == "CONFLICT: n = 9 belongs to the row 'z' already, and must be unique"


def test_what_the_columns_refuse(attempt: Try) -> None:
    """A text too long, a NULL where none may be, a value that a CHECK refuses: rejected with the reason, the rows beside them written."""
    attempt.target.run(
        TABLE.replace("c varchar(20)", "c varchar(20) NOT NULL").replace("n integer", "n integer CHECK (n > 0)")
    )
    attempt.units(("a", "x" * 21, 1), ("b" * 21, "x", 1), ("c", None, 1), ("d", "x", -1), ("e", "x" * 20, 1))
    carried = attempt.run()
    assert stored(carried) == {"e": ("x" * 20, 1)}
    assert carried.reason(0) == f"LENGTH: c: '{'x' * 21}' is longer than 20 characters"
    assert carried.reason(1) == f"LENGTH: k: '{'b' * 21}' is longer than 20 characters"
    assert carried.reason(2) == "NULL: c: is NULL, which the column does not allow"
    assert carried.reason(3).startswith("CONSTRAINT: the target refuses the row: ")


@pytest.mark.parametrize("there_before", [False, True], ids=["inserted", "updated"])
def test_a_later_unit_gives_way_with_the_rows_that_point_at_its_row(attempt: Try, there_before: bool) -> None:
    """A row of the same table that points at the row of a later unit does not keep the earlier unit from having the key: both wait again."""
    attempt.target.run(
        "CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, c varchar(20), n integer, FOREIGN KEY (c) REFERENCES t (k))"
    )
    if there_before:
        attempt.existing(("b", None, 9))
    attempt.units(("a", None, 1), ("a", None, 2), ("b", "a", 1))
    carried = attempt.run("update", batch_rows=1, order=lambda ranges: [ranges[1], ranges[2], ranges[0], *ranges[3:]])
    assert stored(carried) == {"a": (None, 1), "b": ("a", 1)}
    assert carried.rejected == {'[["i","1"]]'}


@pytest.mark.parametrize(("batch_rows", "order"), [ONE_BATCH, MANY_BATCHES])
def test_a_parent_that_is_not_there(attempt: Try, batch_rows: int, order: Order) -> None:
    """A unit waits for its parent to the end; then it is rejected, and the missing parent is named."""
    attempt.target.run(
        "CREATE TABLE t (k varchar(20) NOT NULL PRIMARY KEY, c varchar(20), n integer, FOREIGN KEY (c) REFERENCES t (k))"
    )
    attempt.units(("red", "blue", 1), ("blue", None, 1), ("orphan", "nobody", 1), ("self", "self", 1))
    carried = attempt.run(batch_rows=batch_rows, order=order)
    assert set(stored(carried)) == {"red", "blue", "self"}
    assert carried.reason(2).startswith("PARENT: no row in t for c = 'nobody' (")


def test_a_key_is_never_null(attempt: Try) -> None:
    """A unique key lets NULL in again and again; a unit whose target key would be NULL is rejected."""
    attempt.target.run("CREATE TABLE t (k varchar(20) UNIQUE, c varchar(20), n integer)")
    attempt.units((None, "x", 1), (None, "x", 1), ("a", "x", 1))
    carried = attempt.run()
    assert stored(carried) == {"a": ("x", 1)}
    assert carried.reason(0) == carried.reason(1) == "KEY: the target key is NULL in k: such a row could come twice"


TRIGGERS = {
    "sqlite": ["CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET n = 5; END"],
    "mariadb": ["CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 5"],
    "postgresql": [
        "CREATE FUNCTION five() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n = 5; RETURN NEW; END $$",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION five()",
    ],
}


@pytest.mark.parametrize("what", ["trigger", "cascade out", "cascade in"])
def test_what_changes_rows_by_itself_is_refused_at_plan_time(attempt: Try, what: str) -> None:
    """A trigger, a cascade in either direction: exit 4 before anything is written, with what to do."""
    more: dict[str, tuple[list[str], str]] = {
        "trigger": ([TABLE, *TRIGGERS[attempt.kind]], "trigger tr"),
        "cascade out": (
            [
                "CREATE TABLE p (id integer PRIMARY KEY)",
                TABLE.replace("n integer", "n integer, FOREIGN KEY (n) REFERENCES p (id) ON DELETE CASCADE"),
            ],
            "its foreign key to p",
        ),
        "cascade in": (
            [
                TABLE,
                "CREATE TABLE kid (id integer PRIMARY KEY, k varchar(20), FOREIGN KEY (k) REFERENCES t (k) ON UPDATE CASCADE)",
            ],
            "kid",
        ),
    }
    statements, named = more[what]
    attempt.target.run(*statements)
    attempt.units(("a", "x", 1))
    with pytest.raises(StateError, match="cannot be run as planned") as refused:
        attempt.run()
    assert named in str(refused.value)
    assert "next:" in str(refused.value)
    assert refused.value.exit_code == 4
    assert attempt.target.rows("SELECT * FROM t") == []


def test_a_reason_can_quote_what_the_ledger_cannot_hold(attempt: Try) -> None:
    """U+0000 in a value that does not fit is one reject, whose reason shows it, and not the end of the run."""
    attempt.target.run(TABLE)
    attempt.units(("a", "good", 1), ("b", f"not\0{'x' * 30}", 2), (f"c\0{'x' * 30}", "key", 3))
    carried = attempt.run()
    assert stored(carried) == {"a": ("good", 1)}
    assert "'not\\x00x" in carried.reason(1)
    assert carried.finished.summary.counts.rejected == 2
