"""What a sample says about the time that all rows take."""

from __future__ import annotations

import pytest

from migrate.rehearsal.estimate import FEWEST_ROWS, Pace


def paced(*parts: tuple[float, int], at_once: int = 1) -> Pace:
    """A step whose parts were done at these times."""
    pace = Pace(at_once)
    for now, rows in parts:
        pace.add(now, rows)
    return pace


def test_what_is_done_once_counts_once() -> None:
    """Ten seconds to begin with, and 10,000 rows a second: a hundred times the rows take not a hundred times the beginning."""
    pace = paced(*((10.0 + number, 10_000) for number in range(1, 9)))
    assert pace.rows == 60_000
    # Two seconds at the end, which are done once too.
    assert pace.at_size(20.0, 8_000_000) == pytest.approx(20.0 + 792)
    assert pace.at_size(20.0, 80_000) == 20.0


def test_the_beginning_is_no_pace() -> None:
    """However long the first parts take, in which nothing is warm: they are no measure for the others."""
    slow = paced((100.0, 5_000), (100.5, 5_000), (101.0, 5_000), (101.5, 5_000))
    assert slow.at_size(102.0, 120_000) == pytest.approx(102.0 + 10.0)


def test_parts_that_are_in_work_at_once_are_done_at_once() -> None:
    """Four at a time: the pace is that of all four, not of what lies between the first of them and the last."""
    pace = paced(*((float(number // 4), 10_000) for number in range(8)), at_once=4)
    assert pace.at_size(2.0, 160_000) == pytest.approx(2.0 + 2.0)


def test_what_is_settled_behind_the_parts_goes_by_the_rows() -> None:
    """Units that wait for others are settled at the end, and a larger source has more of them."""
    pace = paced(*((float(number), 10_000) for number in range(1, 5)))
    pace.settling = 3.0
    assert pace.at_size(8.0, 80_000) == pytest.approx(8.0 + 4.0 + 3.0)


@pytest.mark.parametrize("parts", [(), ((1.0, FEWEST_ROWS),), tuple((float(n), 100) for n in range(1, 9))])
def test_too_few_rows_tell_nothing(parts: tuple[tuple[float, int], ...]) -> None:
    """No part, one part, or a handful of rows in each: no estimate rather than an absurd one."""
    pace = paced(*parts)
    assert (pace.rows, pace.at_size(3.0, 1_000_000)) == (0, None)


def test_parts_that_all_end_together_tell_nothing() -> None:
    """As many workers as parts: what lies between their ends is chance, and no pace."""
    together = Pace(8)
    for number in range(8):
        together.add(1 + number / 1000, FEWEST_ROWS)
    assert (together.rows, together.at_size(2.0, 10**6)) == (0, None)


def test_looks_without_rows_are_no_parts() -> None:
    """Nothing is told by a part that had no row."""
    assert paced((1.0, 0), (2.0, 0), (3.0, FEWEST_ROWS)).rows == 0
