"""Ctrl-C and SIGTERM: once asks to stop at the next safe point, twice ends the process at once.

Stopping at once is safe too: what is not committed is rolled back by the database, and the ledger knows what is.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from migrate.engine.stop import StopToken

INTERRUPTED_EXIT: Final = 130
_AWAKE_SECONDS: Final = 0.2
T = TypeVar("T")


def end_on_signals() -> None:
    """Until a command listens for signals by itself, SIGTERM ends it as Ctrl-C does: exit 130, with a word about it, and not a killed process.

    Raises KeyboardInterrupt for a signal that was held back while the command was loaded (`migrate.__main__`).
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


@contextmanager
def stop_on_signals(stop: StopToken, announce: Callable[[], None] = lambda: None) -> Iterator[None]:
    """While the block runs, the first SIGINT or SIGTERM sets `stop` and calls `announce`; the second ends the process (130).

    `announce` runs inside the signal handler and must not wait for a lock.
    """
    # Setting an event inside a handler can wait for a lock that the interrupted code holds; a SimpleQueue cannot, and a
    # thread that waits for it does the setting.
    signals: SimpleQueue[int | None] = SimpleQueue()
    waiter = threading.Thread(target=_set_on, args=(signals, stop), name="signals", daemon=True)
    caught: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        if len(caught) > 1:
            _leave_now()
        signals.put(number)
        announce()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    waiter.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signals.put(None)
        waiter.join()


def beside(work: Callable[[], T]) -> T:
    """What `work` returns or raises, done by a thread of its own while this one waits for it and answers signals.

    ADBC puts a SIGINT handler of its own in the place of ours while the main thread is inside of one of its calls: the stop would not be
    heard, and the call would fail instead.
    """
    outcome: Future[T] = Future()

    def do() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the waiting thread raises it
            outcome.set_exception(error)

    threading.Thread(target=do, name="work", daemon=True).start()
    while not outcome.done():
        # The system may hand a second signal to another thread while the first one is on its way to this one, which then does not wake up.
        wait([outcome], timeout=_AWAKE_SECONDS)
    return outcome.result()


def _set_on(signals: SimpleQueue[int | None], stop: StopToken) -> None:
    if signals.get() is not None:
        stop.set()


def _leave_now() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, RuntimeError):
            # The stream is gone, or the interrupted code is just writing to it; either way there is nothing to save.
            continue
    os._exit(INTERRUPTED_EXIT)
