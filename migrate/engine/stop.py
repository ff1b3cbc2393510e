"""How a run is asked to stop at the next safe point, from a signal handler or another thread."""

from __future__ import annotations

import threading


class StopToken:
    """Set once, seen by everybody; waiting on it is how the run sleeps."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason: str | None = None

    def set(self, reason: str = "interrupted") -> None:
        """Ask to stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason
        self._event.set()

    @property
    def is_set(self) -> bool:
        """True once somebody asked to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake up at once when asked to stop; true when asked."""
        return self._event.wait(seconds)
