"""How far a verification or a backup is, on the terminal while it works; nothing where nobody watches. A signal ends it at the next chunk."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.text import Text

from migrate.cli.screen import Screen
from migrate.errors import Interrupted
from migrate.units import count_text

if TYPE_CHECKING:
    from migrate.engine.stop import StopToken

_REFRESHES: Final = 8


class Watcher:
    """Called with a side and its rows, from any thread; raises Interrupted once `stop` is set.

    `saying`: the key of the sentence, which is given the rows of each side by its name, and the `rate`; `left`: what is not there when it
    was stopped.
    """

    def __init__(
        self, screen: Screen, stop: StopToken, saying: str = "verifying", left: str = "nothing is verified"
    ) -> None:
        self._screen = screen
        self._stop = stop
        self._saying = saying
        self._left = left
        self._lock = threading.Lock()
        self._rows = {"source": 0, "target": 0}
        self._began = time.monotonic()
        shown = screen.err.is_terminal
        self._live = (
            Live(console=screen.err, get_renderable=self._line, refresh_per_second=_REFRESHES, transient=True)
            if shown
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, side: str, rows: int) -> None:
        """Count the rows, or stop."""
        if self._stop.is_set:
            raise Interrupted(f"stopped before the end: {self._left}", next_step="run the same command again")
        with self._lock:
            self._rows[side] += rows

    def _line(self) -> Text:
        with self._lock:
            rows = dict(self._rows)
        rate = sum(rows.values()) / max(time.monotonic() - self._began, 0.001)
        figures = {side: count_text(count) for side, count in rows.items()}
        return Text(self._screen.say(self._saying, **figures, rate=count_text(round(rate))))
