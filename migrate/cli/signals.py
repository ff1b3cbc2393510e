"""Ctrl-C and SIGTERM: once asks to stop at the next safe point, twice ends the process at once.

Stopping at once is safe too: what is not committed is rolled back by the database, and the ledger knows what is.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SLICE_SECONDS: Final = 0.05
INTERRUPTED_EXIT: Final = 130


class StopSignal:
    """Set by the first signal, and polled by whoever has a safe point.

    Not a `threading.Event`: setting one inside a signal handler can wait for a lock that the interrupted code holds.
    """

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Ask to stop."""
        self._set = True

    def is_set(self) -> bool:
        """True once a stop was asked for."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds (None: for ever) for the stop; true when it was asked for."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._set:
            left = _SLICE_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(_SLICE_SECONDS, left))
        return self._set


@contextmanager
def stop_on_signals(announce: Callable[[], None]) -> Iterator[StopSignal]:
    """A stop signal that SIGINT and SIGTERM set while the block runs; `announce` is called at the first of them."""
    stop = StopSignal()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            _leave_now()
        stop.set()
        announce()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_now() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, RuntimeError):
            # The stream is gone, or the interrupted code is just writing to it; either way there is nothing to save.
            continue
    os._exit(INTERRUPTED_EXIT)
