"""Units that want the same rows: the end is that of applying them one by one, in every schedule, and the undo takes all of it back."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from migrate.ledger.counts import TargetCounts
from migrate.values import KeyRange
from tests.rig.claims import Case, Mode, Row, cases
from tests.rig.database import Database
from tests.rig.expected import decidable, expected
from tests.rig.schedule import Finished, in_order, plan_of, run_scheduled
from tests.rig.undo import Content, assert_findable, taken_back

NewDatabase = Callable[[str], str]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one example, in memory where the system has one."""
    memory = Path("/dev/shm")  # noqa: S108 - only a faster place for temporary folders
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


def sqlite_pair(place: Path) -> tuple[Database, Database]:
    """Source and target."""
    return Database(f"sqlite:///{place / 'source.db'}"), Database(f"sqlite:///{place / 'target.db'}")


def carry_out(
    case: Case,
    place: Path,
    databases: tuple[Database, Database],
    order: Callable[[list[KeyRange]], Sequence[KeyRange]] = in_order,
    batch_rows: int = 1000,
) -> tuple[Finished, Content]:
    """Run a case on fresh databases, check its undo, and give what the target holds after it."""
    source, target = databases
    case.prepare(source, target)
    plan = plan_of(place, case.mapping, source.url, target.url, batch_rows)
    before = Content.read(plan)
    finished = run_scheduled(plan, order, workers=2)
    after = Content.read(plan)
    counts = finished.summary.counts
    assert counts.read == counts.mapped + counts.filtered + counts.rejected == len(case.units)
    for each in counts.targets.values():
        assert each.written + each.updated + each.identical + each.kept == counts.mapped
    assert_findable(plan, finished.summary.run)
    assert taken_back(plan, finished.summary.run).rows == before.rows
    return finished, after


def shuffled(seed: int) -> Callable[[list[KeyRange]], list[KeyRange]]:
    """Some order of the ranges, one of which comes twice, as after an answer that was lost."""

    def order(ranges: list[KeyRange]) -> list[KeyRange]:
        mixed = [*ranges, ranges[seed % len(ranges)]]
        random.Random(seed).shuffle(mixed)
        return mixed

    return order


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
    for order in (in_order, backwards, last_first):
        place = tmp_path / order.__name__
        place.mkdir()
        finished, after = carry_out(case, place, sqlite_pair(place), order, batch_rows=1)
        ends.append((after.rows, finished.outcome, sorted(each.unit for each in finished.rejects)))
    assert ends[0] == ends[1] == ends[2]


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=settings.default.max_examples // 2 if settings.default else 25)
def test_every_schedule_ends_the_same(case: Case, seed: int) -> None:
    """One batch in source order, and small batches in any order by two workers, one of them done twice: same rows, counts, rejects."""
    with folder() as one, folder() as other:
        straight, straight_rows = carry_out(case, one, sqlite_pair(one))
        mixed, mixed_rows = carry_out(case, other, sqlite_pair(other), shuffled(seed), case.batch_rows)
    assert mixed_rows.rows == straight_rows.rows
    assert mixed.outcome == straight.outcome
    assert {each.unit for each in mixed.rejects} == {each.unit for each in straight.rejects}


def assert_as_expected(case: Case, finished: Finished, after: Content) -> None:
    """Rows, rejects and counts are those of applying unit by unit."""
    wanted = expected(case)
    assert {key: dict(row) for (key,), row in after.rows["head"].items()} == {
        key: {"extra": 7, "free": None, **row} for key, row in wanted.head.items()
    }
    if case.child:
        assert {key: row for (key,), row in after.rows["line"].items()} == wanted.line
    assert {each.unit for each in finished.rejects} == {f'[["i","{number}"]]' for number in wanted.rejected}
    assert all(each.raw and each.reason for each in finished.rejects)
    nothing: dict[str, Any] = {}
    for table, counts in finished.summary.counts.targets.items():
        assert counts == TargetCounts(**wanted.counts.get(table, nothing))


@given(cases(), st.integers(0, 2**32))
@settings(max_examples=settings.default.max_examples if settings.default else 50)
@example(KNOWN["an equal version is a conflict unless a greater one comes"], 0)
def test_the_end_is_that_of_applying_unit_by_unit(case: Case, seed: int) -> None:
    """In any order of batches, an independent plain loop over the units gives the same rows, rejects and counts."""
    assume(decidable(case))
    with folder() as place:
        assert_as_expected(case, *carry_out(case, place, sqlite_pair(place), shuffled(seed), case.batch_rows))
