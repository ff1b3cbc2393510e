"""What the events of a run add up to: rows, rate, time left, and the reason for every wait.

Pure: the clock's reading is passed in (seconds of a monotonic clock).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from migrate.engine.events import BatchDone, Event, Notice, PhaseStarted, RunEnded, RunStarted, Waiting
from migrate.ledger.counts import Counts

WINDOW_SECONDS: Final = 30.0
"""The rate is that of the batches committed in the last so many seconds, so that it follows what happens now."""

SETTLED_SECONDS: Final = 2.0
"""A rate of less than this time is not yet worth showing."""

_STEADY: Final = {"batches", "rollback"}
"""Phases that go on at one rate to a known end."""


@dataclass
class Progress:
    """One mapping's progress. `expected`: estimate of all source rows, or None; `state`: `running` until it ended."""

    mapping: str
    started: float
    run: str = ""
    expected: int | None = None
    counts: Counts = field(default_factory=Counts)
    before: int = 0
    phase: str = "batches"
    state: str = "running"
    reason: str | None = None
    seconds: float | None = None
    batches: int = 0
    retries: int = 0
    _waiting: str | None = None
    _waiting_until: float | None = None
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def add_batch(self, event: BatchDone, now: float) -> None:
        """Count a committed batch."""
        self.counts = self.counts + event.counts
        self.batches += 1
        self.retries += event.attempts - 1
        self._recent.append((now, event.counts.read))
        # A wait of known length is shown to its end, else a throttled run would flicker.
        if self._waiting_until is None:
            self._waiting = None

    def wait(self, event: Waiting, now: float) -> None:
        """Remember why it waits."""
        self._waiting = event.reason
        self._waiting_until = None if event.seconds is None else now + max(event.seconds, 1.0)

    def waiting(self, now: float) -> str | None:
        """Why it waits now, or None."""
        if self.state != "running" or (self._waiting_until is not None and now > self._waiting_until):
            return None
        return self._waiting

    def rate(self, now: float) -> float | None:
        """Rows read per second lately, or None when it is too early to tell; it falls while nothing is committed."""
        while self._recent and self._recent[0][0] < now - WINDOW_SECONDS:
            self._recent.popleft()
        span = min(now - self.started, WINDOW_SECONDS)
        if span < SETTLED_SECONDS or not self.batches:
            return None
        return sum(rows for _, rows in self._recent) / span

    def seconds_left(self, now: float) -> float | None:
        """Time to the end at the present rate, or None when nobody knows: no total, past the estimate, standing still."""
        rate = self.rate(now)
        if not rate or self.expected is None or self.counts.read >= self.expected or self.phase not in _STEADY:
            return None
        return (self.expected - self.counts.read) / rate

    @property
    def share(self) -> float | None:
        """Done share of the expected rows, 0 to 1; None without an estimate, or past it while still running."""
        if self.state in {"complete", "rolled_back"}:
            return 1.0
        if not self.expected or self.counts.read > self.expected:
            return None
        return self.counts.read / self.expected


class Meter:
    """The progress of all mappings of one command, in the order in which they began."""

    def __init__(self) -> None:
        self.mappings: dict[str, Progress] = {}

    def take(self, event: Event, now: float) -> Progress:
        """Add an event; the progress of its mapping."""
        progress = self.mappings.setdefault(event.mapping, Progress(event.mapping, now))
        match event:
            case RunStarted():
                progress.run, progress.expected, progress.started = event.run, event.rows_expected, now
                progress.counts, progress.before = event.done, event.done.read
            case BatchDone():
                progress.add_batch(event, now)
            case Waiting():
                progress.wait(event, now)
            case PhaseStarted():
                progress.phase = event.phase
                if event.phase == "restore":
                    # Only rows that differ are written, and how many these are shows at the end.
                    progress.expected = None
            case RunEnded():
                progress.state, progress.reason, progress.seconds = event.state, event.reason, event.seconds
                progress.counts = event.counts
            case Notice():
                pass
        return progress
