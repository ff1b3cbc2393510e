"""Spread work over a few threads without holding more than a few pieces of it in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS: Final = 2
"""Threads that digest, compress or write rows while another one reads them."""
_MOST_AT_ONCE: Final = 3
"""One thread that reads keeps about three busy that map and digest (measured); each holds some pieces."""


def at_once_here() -> int:
    """How many pieces of each of two sides may usefully be in work at once on this machine."""
    return max(1, min(_MOST_AT_ONCE, (os.cpu_count() or 1) // 2))


def spread(items: Iterable[T], work: Callable[[T], R], workers: int = WORKERS) -> Generator[R]:
    """What `work` makes of each item, in order; an error of one ends it. At most `workers` + 1 items are taken in advance."""
    with ThreadPoolExecutor(workers, "spread") as pool:
        yield from spread_over(pool, items, work, workers)


def spread_over(pool: Executor, items: Iterable[T], work: Callable[[T], R], at_once: int) -> Generator[R]:
    """As `spread`, by the threads of a pool that others use too: at most `at_once` items are in work while one more is taken.

    The items are taken by who asks for the results. Nothing of it runs any more once it is exhausted or closed.
    """
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
            # Each piece goes as soon as it can: what waits for the next one holds none.
            del item
        while waiting:
            yield waiting.popleft().result()
    finally:
        wait([future for future in waiting if not future.cancel()])
