"""Progress as lines of a log: for a file, a pipe, a service's journal. One line per interval and mapping, never one per batch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from migrate.engine.events import BatchDone, Event, Notice, PhaseStarted, RunEnded, RunStarted, Waiting
from migrate.progress.meter import Meter, Progress
from migrate.units import count_text, duration_text

INTERVAL_SECONDS: Final = 10.0
LOGGER: Final = logging.getLogger("migrate.run")


class LogLines:
    """A listener that writes what happens to the log `migrate.run`; quick and thread-safe.

    `extra` of each record: `mapping`, and for figures `rows` (counts by class), `rows_per_second`, `seconds_left`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._clock = clock
        self._interval = interval_seconds
        self._meter = Meter()
        self._last: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        with self._lock:
            now = self._clock()
            progress = self._meter.take(event, now)
            self._write(event, progress, now)

    def _write(self, event: Event, progress: Progress, now: float) -> None:
        match event:
            case RunStarted():
                self._last[event.mapping] = now
                self._log(logging.INFO, progress, _beginning(event))
            case BatchDone():
                self._log(
                    logging.DEBUG,
                    progress,
                    f"batch {event.number}: {_counts(event.counts)}, {duration_text(event.seconds)}",
                )
                if now - self._last.get(event.mapping, now) >= self._interval:
                    self._last[event.mapping] = now
                    self._log(logging.INFO, progress, _figures(progress, now), **_extra(progress, now))
            case Waiting():
                # A throttled run waits after each batch for the same reason: that is said once.
                level = logging.DEBUG if self._reasons.get(event.mapping) == event.reason else logging.INFO
                self._reasons[event.mapping] = event.reason
                self._log(level, progress, f"waiting: {event.reason}")
            case Notice():
                self._log(logging.WARNING if event.level == "warning" else logging.INFO, progress, event.message)
            case PhaseStarted():
                self._log(logging.INFO, progress, f"phase {event.phase}")
            case RunEnded():
                # A pause or an interruption is told by the command itself as well.
                level = logging.WARNING if event.state == "failed" else logging.INFO
                self._log(level, progress, _ending(event), **_extra(progress, now))

    def _log(self, level: int, progress: Progress, message: str, **extra: object) -> None:
        LOGGER.log(
            level, "%s: %s", progress.mapping, message, extra={"figures": {"mapping": progress.mapping, **extra}}
        )


def _beginning(event: RunStarted) -> str:
    total = "" if event.rows_expected is None else f", about {count_text(event.rows_expected)} rows"
    before = f", {count_text(event.done.read)} rows were done before" if event.resumed else ""
    return f"run {event.run} {'resumed' if event.resumed else 'started'}{total}{before}"


def _figures(progress: Progress, now: float) -> str:
    rate, left = progress.rate(now), progress.seconds_left(now)
    parts = [_counts(progress.counts)]
    if rate is not None:
        parts.append(f"{count_text(round(rate))} rows/s")
    if left is not None:
        parts.append(f"{duration_text(left)} left")
    return ", ".join(parts)


def _ending(event: RunEnded) -> str:
    # One event, one line: the rows that a refusal names stand in the error.
    reason = f" ({event.reason.splitlines()[0]})" if event.reason else ""
    return f"run {event.run} {event.state}{reason}: {_counts(event.counts)}, {duration_text(event.seconds)}"


def _counts(counts: object) -> str:
    names = ("read", "mapped", "filtered", "rejected", "pending", "warnings")
    return ", ".join(
        f"{count_text(value)} {name}" for name in names if (value := getattr(counts, name)) or name == "read"
    )


def _extra(progress: Progress, now: float) -> dict[str, object]:
    counts, rate, left = progress.counts, progress.rate(now), progress.seconds_left(now)
    names = ("read", "mapped", "filtered", "rejected", "pending")
    return {
        "run": progress.run,
        "rows": {name: getattr(counts, name) for name in names},
        "rows_per_second": None if rate is None else round(rate),
        "seconds_left": None if left is None else round(left),
    }
