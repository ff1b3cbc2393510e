"""Spaces batches so that no more source rows begin per second than an operator allows, over all workers."""

from __future__ import annotations

import time
from collections.abc import Callable

from migrate.engine.events import Listener, Waiting
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.stop import StopToken

_POLL_SECONDS = 0.5


class Throttle:
    """For one attempt at one run; the limit is what the heartbeat hears, and may change while somebody waits."""

    def __init__(self, mapping: str, heartbeat: Heartbeat, stop: StopToken, listen: Listener) -> None:
        self._mapping = mapping
        self._heartbeat = heartbeat
        self._stop = stop
        self._listen = listen
        self._free_at = time.monotonic()

    def wait(self, rows: int, obey: Callable[[], None]) -> None:
        """Return when a batch of so many rows may begin. `obey` is called while it waits, and raises when all has to stop."""
        rows_per_second = self._heartbeat.steering().throttle_rows
        now = time.monotonic()
        if rows_per_second is None:
            self._free_at = now
            return
        while (seconds := self._free_at - time.monotonic()) > 0:
            self._listen(Waiting(self._mapping, f"throttled to {rows_per_second:,} rows/s", seconds))
            self._stop.wait(min(seconds, _POLL_SECONDS))
            obey()
            if self._heartbeat.steering().throttle_rows != rows_per_second:
                self.wait(rows, obey)
                return
        self._free_at = max(self._free_at, now) + rows / rows_per_second
