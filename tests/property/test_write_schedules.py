"""Units that want the same rows: the end is that of applying them one by one, in every schedule, and the undo takes all of it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from migrate.ledger.counts import TargetCounts
from migrate.values import KeyRange
from tests.rig.carry import Carried, carry
from tests.rig.claims import Case, Mode, Row, cases
from tests.rig.database import Database
from tests.rig.expected import decidable, expected
from tests.rig.places import folder, share_of_examples, shuffled, sqlite_pair
from tests.rig.schedule import Order, in_order

pytestmark = pytest.mark.campaign


def carry_out(
    case: Case,
    place: Path,
    databases: tuple[Database, Database],
    order: Order = in_order,
    batch_rows: int = 1000,
) -> Carried:
    """Run a case on fresh databases."""
    case.prepare(*databases)
    return carry(place, case.mapping, databases, order=order, batch_rows=batch_rows)


def backwards(ranges: list[KeyRange]) -> list[KeyRange]:
    """Last range first."""
    return ranges[::-1]


def head(k: int, u: int | None = None, v: int | None = None, c: str = "a", up: int | None = None) -> Row:
    """A row of `head`."""
    return {"k": k, "u": u, "v": v, "c": c, "up": up}


def case_of(mode: Mode, there: list[Row], units: list[Row], **tables: bool) -> Case:
    """A case with one unit a batch; `l` of each unit is its number unless it has one."""
    numbered = [{"id": number, "l": number, **unit} for number, unit in enumerate(units)]
    flags = {"unique": False, "linked": False, "child": False, **tables}
    return Case(
        mode=mode, heads=[{**row, "extra": 8} for row in there], lines=[], units=numbered, batch_rows=1, **flags
    )


KNOWN: dict[str, Case] = {
    "an older version is kept, whether it comes before or after the newer one": case_of(
        "newer", [], [head(1, v=1), head(1, v=3, c="b"), head(1, v=2)]
    ),
    "no version is older than any": case_of("newer", [head(2, v=1)], [head(1), head(1, v=3, c="b"), head(2, c="b")]),
    "no version is older than any that comes after it": case_of("newer", [], [head(1), head(1, v=1)]),
    "an equal version is a conflict unless a greater one comes": case_of(
        "newer", [head(1, v=5)], [head(1, v=5, c="b"), head(1, v=5), head(1, v=7)]
    ),
    "a row from before is kept, whether or not another unit finds it identical": case_of(
        "keep", [head(1)], [head(1), head(1, c="b")]
    ),
    "NULLs in a unique column do not meet": case_of("update", [], [head(1), head(2), head(2, c="b")], unique=True),
    "a unit that is taken back keeps its own content where it had kept a row": case_of(
        "keep", [head(1)], [{**head(2), "l": 7}, {**head(1, c="b"), "l": 7}], child=True
    ),
    "who lost to a unit that a waiting one displaces is written after all": case_of(
        "fail",
        [],
        [head(4, u=1, up=3), head(4, u=2), head(5, u=2), head(3, u=3), head(6, u=3)],
        unique=True,
        linked=True,
    ),
    "a unique value that a row gave up comes back to it when the update is taken back": case_of(
        "update",
        [head(2, u=3)],
        [head(9, u=9), head(2, u=1), head(1, u=3), head(8, u=8), head(2, u=2, c="b")],
        unique=True,
    ),
    "a row that is kept claims none of its unique values": case_of(
        "newer",
        [head(1, u=2, v=2)],
        [head(2, u=3, v=1), head(1, v=3), {**head(1, u=3), "l": 7}, {**head(1, u=2, c="b"), "l": 7}],
        unique=True,
        child=True,
    ),
    "who lost to a unit whose parent is displaced is written after all": case_of(
        "update",
        [],
        [head(3, u=4, up=1), head(3, c="b"), head(2, u=2, up=9), head(4, u=2, c="b"), head(3, u=2), head(1, u=2)],
        unique=True,
        linked=True,
    ),
    "parents come in one by one, against source order": case_of(
        "fail", [], [head(4, up=3), head(3, up=2), head(2, c="b"), head(2)], linked=True
    ),
}


def last_first(ranges: list[KeyRange]) -> list[KeyRange]:
    """The last range, those between the first and the last but one, the first, the last but one."""
    return [*ranges[-1:], *ranges[1:-2], *ranges[:1], *ranges[-2:-1]] if len(ranges) > 2 else ranges


@pytest.mark.parametrize("case", KNOWN.values(), ids=KNOWN.keys())
def test_known_cases_end_the_same_in_telling_orders(case: Case, tmp_path: Path) -> None:
    """Each of these once depended on the schedule, or lost a row."""
    ends = []
    for order, batch_rows in ((in_order, 1000), (in_order, 1), (backwards, 1), (last_first, 1)):
        place = tmp_path / f"{order.__name__}{batch_rows}"
        place.mkdir()
        carried = carry_out(case, place, sqlite_pair(place), order, batch_rows)
        ends.append((carried.rows, carried.outcome, carried.rejected))
    assert all(end == ends[0] for end in ends)


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=share_of_examples(0.3))
def test_every_schedule_ends_the_same(case: Case, seed: int) -> None:
    """One batch in source order, and small batches in any order by two workers, one of them done twice: same rows, counts, rejects."""
    with folder() as one, folder() as other:
        straight = carry_out(case, one, sqlite_pair(one))
        mixed = carry_out(case, other, sqlite_pair(other), shuffled(seed), case.batch_rows)
    assert mixed.rows == straight.rows
    assert mixed.outcome == straight.outcome
    assert mixed.rejected == straight.rejected


def assert_as_expected(case: Case, carried: Carried) -> None:
    """Rows, rejects and counts are those of applying unit by unit."""
    wanted = expected(case)
    assert {key: dict(row) for (key,), row in carried.rows["head"].items()} == {
        key: {"extra": 7, "free": None, **row} for key, row in wanted.head.items()
    }
    if case.child:
        assert {key: row for (key,), row in carried.rows["line"].items()} == wanted.line
    assert carried.rejected == {f'[["i","{number}"]]' for number in wanted.rejected}
    assert all(each.raw and each.reason for each in carried.finished.rejects)
    nothing: dict[str, Any] = {}
    for table, counts in carried.finished.summary.counts.targets.items():
        assert counts == TargetCounts(**wanted.counts.get(table, nothing))


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=share_of_examples(0.5))
@example(KNOWN["an equal version is a conflict unless a greater one comes"], 0)
def test_the_end_is_that_of_applying_unit_by_unit(case: Case, seed: int) -> None:
    """In any order of batches, an independent plain loop over the units gives the same rows, rejects and counts."""
    assume(decidable(case))
    with folder() as place:
        carried = carry_out(case, place, sqlite_pair(place), shuffled(seed), case.batch_rows)
    assert_as_expected(case, carried)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_servers_end_the_same_too(kind: str, servers: Any) -> None:
    """PostgreSQL and MariaDB, whose constraints look at other moments: as applying unit by unit, or the same in two schedules."""
    server = servers.get(kind)

    @given(cases(), st.integers(0, 2**32))
    @settings(max_examples=share_of_examples(0.1))
    def check(case: Case, seed: int) -> None:
        with folder() as place, server.fresh_database() as url:
            databases = (Database(f"sqlite:///{place / 'source.db'}"), Database(url))
            carried = carry_out(case, place, databases, shuffled(seed), case.batch_rows)
        if decidable(case):
            assert_as_expected(case, carried)
            return
        with folder() as place:
            straight = carry_out(case, place, sqlite_pair(place))
        assert (carried.rows, carried.outcome, carried.rejected) == (straight.rows, straight.outcome, straight.rejected)

    check()
