"""Progress as a live display on a terminal: per mapping a bar, the rate, the time left, the rejects, and why it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from migrate.engine.events import Event
from migrate.progress.meter import Meter, Progress
from migrate.units import count_text, duration_text

REFRESHES_PER_SECOND: Final = 8
NARROW: Final = 90
"""Below so many columns the number of expected rows is left out, so that the bar keeps some width."""

_COUNTED: Final = ("mapped", "filtered", "rejected", "pending", "warnings")
_STYLES: Final = {"rejected": "red", "pending": "yellow", "warnings": "yellow"}

Say = Callable[..., str]


class LiveDisplay:
    """A listener, and a context in which it draws on `console`; what is left on the screen at the end is nothing.

    Attributes:
        remark: a sentence below the bars; may be set from a signal handler.
    """

    def __init__(self, console: Console, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._say = say
        self._clock = clock
        self._meter = Meter()
        self._lock = threading.Lock()
        self.remark: str | None = None
        self._live = Live(
            console=console, get_renderable=self.render, refresh_per_second=REFRESHES_PER_SECOND, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take an event; drawing happens at its own pace."""
        with self._lock:
            self._meter.take(event, self._clock())

    def render(self) -> RenderableType:
        """The display as it should look now."""
        with self._lock:
            now = self._clock()
            parts: list[RenderableType] = []
            for progress in self._meter.mappings.values():
                parts += block(progress, now, self._say, self._console.width)
            if self.remark is not None:
                parts.append(Text(self.remark, style="bold yellow"))
        return Group(*parts)


def block(progress: Progress, now: float, say: Say, width: int) -> list[RenderableType]:
    """The lines of one mapping: bar and figures, counts, and the reason when it waits."""
    lines: list[RenderableType] = [_bar_line(progress, now, say, width), _counts_line(progress, say)]
    waiting = progress.waiting(now)
    if waiting is not None:
        lines.append(Text(f"  {say('waiting', reason=waiting)}", style="yellow"))
    if progress.reason:
        lines.append(Text(f"  {progress.reason}", style="yellow"))
    return lines


def _bar_line(progress: Progress, now: float, say: Say, width: int) -> RenderableType:
    share, rate, left = progress.share, progress.rate(now), progress.seconds_left(now)
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(no_wrap=True, max_width=max(12, width // 4))
    line.add_column(ratio=1, min_width=8)
    for _ in range(4):
        line.add_column(justify="right", no_wrap=True)
    if progress.state == "running":
        bar: RenderableType = ProgressBar(total=1.0, completed=share or 0.0, pulse=share is None, animation_time=now)
    else:
        bar = Text(say(progress.state), style="green" if progress.state == "complete" else "yellow")
    line.add_row(
        Text(progress.mapping, style="bold"),
        bar,
        Text("" if share is None else f"{share:.0%}"),
        Text(_rows(progress, say, narrow=width < NARROW)),
        Text("" if rate is None else say("rate", rate=count_text(round(rate)))),
        Text("" if left is None else say("eta", eta=duration_text(left))),
    )
    return line


def _rows(progress: Progress, say: Say, *, narrow: bool) -> str:
    read = count_text(progress.counts.read)
    if progress.expected is None or narrow or progress.state != "running":
        return f"{read} {say('rows')}"
    return f"{read} / ~{count_text(progress.expected)} {say('rows')}"


def _counts_line(progress: Progress, say: Say) -> Text:
    parts = []
    if progress.state == "running" and progress.phase != "batches":
        parts.append(Text(say(f"phase_{progress.phase}"), style="cyan"))
    if progress.before:
        parts.append(Text(say("resumed", rows=count_text(progress.before)), style="dim"))
    for name in _COUNTED:
        count = getattr(progress.counts, name)
        if count or name == "mapped":
            parts.append(Text(f"{say(name)} {count_text(count)}", style=_STYLES.get(name, "") if count else "dim"))
    return Text("  ") + Text(" · ", style="dim").join(parts)
