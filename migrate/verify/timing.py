"""How long each of two ways takes, measured so that neither a first time nor a busy moment decides which is faster. It reads nothing by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

MOST_TIMES: Final = 3
"""How often each way is measured."""
ENOUGH_SECONDS: Final = 1.0
"""After so long nothing is measured once more: what imports and plans cost is little beside it, and a view may be as slow as all of its rows."""


def least_seconds(
    one: Callable[[], None], other: Callable[[], None], clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """The least that each of two ways takes by the clock, in turns, after a first time of each that does not count: it pays for first uses.

    Where that first time alone is enough, it counts: what a first use costs is little beside it.
    """
    first = (_seconds(one, clock), _seconds(other, clock))
    spent = sum(first)
    if spent > ENOUGH_SECONDS:
        return first
    found: list[tuple[float, float]] = []
    while len(found) < MOST_TIMES and spent <= ENOUGH_SECONDS:
        found.append((_seconds(one, clock), _seconds(other, clock)))
        spent += sum(found[-1])
    ones, others = zip(*found, strict=True)
    return min(ones), min(others)


def _seconds(work: Callable[[], None], clock: Callable[[], float]) -> float:
    began = clock()
    work()
    return clock() - began
