"""Who listens to a run: the log always, and on a terminal the live display too."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console

from migrate.engine.events import Event
from migrate.progress.lines import LogLines
from migrate.progress.terminal import LiveDisplay


class Audience:
    """The listener of a run, and the context in which its display is on the screen."""

    def __init__(self, console: Console, say: Callable[..., str]) -> None:
        self._lines = LogLines()
        self._display = LiveDisplay(console, say) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._display is not None:
            self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Pass an event on to everybody."""
        self._lines(event)
        if self._display is not None:
            self._display(event)

    def announce(self, sentence: str) -> None:
        """Tell the user something from within a signal handler, where no lock may be waited for."""
        if self._display is not None:
            self._display.remark = sentence
        else:
            os.write(sys.stderr.fileno(), f"{sentence}\n".encode())
