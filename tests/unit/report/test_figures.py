"""Figures are exact, and a bar shows every outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrate.report.chart import SMALLEST, WIDTH, is_widened, widths
from migrate.report.figures import found, gap, outcomes
from migrate.verify.verdict import Cell
from tests.unit.report.samples import DIFFERENT, EQUAL_INVOICES, NOT_VERIFIED


@pytest.mark.parametrize(
    ("expected", "actual", "difference"),
    [
        ("10.00", "9.00", "-1.00"),
        ("1.5", "1.50", "+0.00"),
        ("99999999999999999999999999999999999999.01", "0.000001", "-99999999999999999999999999999999999999.009999"),
        (None, "1", None),
        ("1", None, None),
        ("NaN", "1", None),
        ("1e3", "1", None),
    ],
)
def test_sums_are_subtracted_exactly(expected: str | None, actual: str | None, difference: str | None) -> None:
    """No digit is rounded away, and nothing is made up where one side is no plain number."""
    assert gap(Cell(expected, actual)) == difference


def test_rows_without_a_difference_are_what_is_left() -> None:
    """Expected rows are the same, missing, changed, of another multiplicity, or superseded; extra rows are none of them."""
    rows = outcomes(DIFFERENT.targets["invoice"])
    assert rows == {"same": 1_283_307, "missing": 2, "extra": 2, "changed": 1208, "multiplicity": 1, "superseded": 12}
    assert sum(rows.values()) - rows["extra"] == 1_284_530
    assert found(DIFFERENT, "changed") == 1208


def test_nothing_is_the_same_where_it_is_not_known() -> None:
    """A target that could not be verified has rows without a found difference, not equal ones."""
    assert "same" not in outcomes(NOT_VERIFIED.targets["invoice"])
    assert outcomes(replace(EQUAL_INVOICES, verdict="NOT_VERIFIED"))["unproven"] == 1_284_530


@pytest.mark.parametrize(
    "counts",
    [{"same": 10**9, "missing": 1, "changed": 1}, {"same": 1, "missing": 1}, {"changed": 3}, {"a": 10**6, "b": 10**4}],
)
def test_every_outcome_is_seen_in_the_bar(counts: dict[str, int]) -> None:
    """One row in a thousand million has a width that can be seen, and all parts fill the bar."""
    parts = widths(counts)
    assert sum(parts.values()) == pytest.approx(WIDTH)
    assert min(parts.values()) >= min(SMALLEST, WIDTH)
    assert is_widened(counts) == (counts.get("same") == 10**9)


def test_no_rows_have_no_bar() -> None:
    """Nothing at all is drawn as nothing."""
    assert widths({"same": 0}) == {}
    assert not is_widened({"same": 0})
