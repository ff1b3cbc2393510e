"""A work beside a walk, in a thread of its own: what either raises ends both, and nothing of it runs on afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from migrate.verify.both import Watch


class _StoppedError(Exception):
    """The block has failed, so that nobody waits for the work any more."""


@contextmanager
def beside(work: Callable[[Watch], None], watch: Watch) -> Iterator[Watch]:
    """Let `work` run beside the block; both have to call what they are given in the place of `watch`, often enough to be stopped there.

    Raises what the block raises, which is what the work raised where that was first. The work is over when the block is left.
    """
    stopped = threading.Event()

    def heard_by_work(side: str, rows: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        watch(side, rows)

    with ThreadPoolExecutor(1, "verify-beside") as pool:
        future = pool.submit(work, heard_by_work)

        def heard(side: str, rows: int) -> None:
            if future.done():
                future.result()
            watch(side, rows)

        try:
            yield heard
        except BaseException:
            stopped.set()
            raise
        future.result()
