"""Work that is spread over threads comes back in order, stops at an error, and never runs far ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrate.verify.spread import spread


def test_results_come_in_order() -> None:
    """As many as items, each the result of its own."""
    assert list(spread(range(50), lambda number: number * 2, 3)) == [number * 2 for number in range(50)]


def test_no_more_is_taken_than_was_asked_for() -> None:
    """Items are read only as results are taken: what is in memory is bounded, however long the source is."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = spread(items(), lambda number: number, 2)
    for expected in range(10):
        assert next(results) == expected
        assert len(taken) <= expected + 3
    results.close()
    assert len(taken) <= 12


def test_an_error_ends_it() -> None:
    """The first error is raised, behind the results before it."""

    def work(number: int) -> int:
        if number == 3:
            raise ZeroDivisionError(number)
        return number

    found: list[int] = []
    with pytest.raises(ZeroDivisionError):
        found.extend(spread(range(100), work, 2))
    results = spread(range(100), work, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)
