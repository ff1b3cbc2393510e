"""Spread work over a few threads without holding more than a few pieces of it in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS: Final = 2
"""Threads that digest, compress or write rows while another one reads them."""


def spread(items: Iterable[T], work: Callable[[T], R], workers: int = WORKERS) -> Generator[R]:
    """What `work` makes of each item, in order; an error of one ends it. At most `workers` + 1 items are taken in advance."""
    with ThreadPoolExecutor(workers, "backup") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
