"""Progress as a live display on a terminal: per mapping a bar, the rate, the time left, the rejects, and why it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
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
            now, width = self._clock(), self._console.width
            rows = [(progress, figures(progress, now, self._say, width)) for progress in self._meter.mappings.values()]
            parts: list[RenderableType] = []
            for progress, figured in rows:
                parts.append(_bar_line(progress, figured, now, self._say, _widths(rows, width)))
                parts += [Padding(line, (0, 0, 0, 2)) for line in _lines_below(progress, now, self._say)]
            if self.remark is not None:
                parts.append(Text(self.remark, style="bold yellow"))
        return Group(*parts)


def figures(progress: Progress, now: float, say: Say, width: int) -> tuple[str, str, str, str]:
    """Share, rows, rate and time left as texts; blank where nobody knows."""
    share, rate, left = progress.share, progress.rate(now), progress.seconds_left(now)
    rows = count_text(progress.counts.read)
    if progress.expected is not None and width >= NARROW and progress.state == "running":
        rows = f"{rows} / ~{count_text(progress.expected)}"
    return (
        "" if share is None else f"{share:.0%}",
        f"{rows} {say('rows')}",
        "" if rate is None else say("rate", rate=count_text(round(rate))),
        "" if left is None else say("eta", eta=duration_text(left)),
    )


def _widths(rows: list[tuple[Progress, tuple[str, str, str, str]]], width: int) -> list[int]:
    """Columns of the name and of each figure, so that the bars of all mappings stand in line."""
    name = min(max(cell_len(progress.mapping) for progress, _ in rows), max(12, width // 4))
    return [name, *(max(cell_len(figured[position]) for _, figured in rows) for position in range(4))]


def _bar_line(
    progress: Progress, figured: tuple[str, str, str, str], now: float, say: Say, widths: list[int]
) -> RenderableType:
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(no_wrap=True, width=widths[0])
    line.add_column(ratio=1, min_width=8)
    for width in widths[1:]:
        line.add_column(justify="right", no_wrap=True, min_width=width)
    share = progress.share
    bar: RenderableType
    if progress.state == "running":
        bar = ProgressBar(
            total=1.0,
            completed=share or 0.0,
            pulse=share is None,
            animation_time=now,
            complete_style="cyan",
            pulse_style="cyan",
        )
    else:
        bar = Text(say(progress.state), style="green" if progress.state == "complete" else "yellow")
    line.add_row(Text(progress.mapping, style="bold"), bar, *map(Text, figured))
    return line


def _lines_below(progress: Progress, now: float, say: Say) -> list[Text]:
    """The counts, and the reason when it waits or stopped."""
    lines = [_counts(progress, say)]
    waiting = progress.waiting(now)
    if waiting is not None:
        lines.append(Text(say("waiting", reason=waiting), style="yellow"))
    if progress.reason:
        lines.append(Text(progress.reason, style="yellow"))
    return lines


def _counts(progress: Progress, say: Say) -> Text:
    parts = []
    if progress.state == "running" and progress.phase != "batches":
        parts.append(Text(say(f"phase_{progress.phase}"), style="cyan"))
    if progress.before:
        parts.append(Text(say("resumed", rows=count_text(progress.before)), style="dim"))
    for name in _COUNTED:
        count = getattr(progress.counts, name)
        # A rollback takes back the last phase first, whose entry says that units are pending no more: below 0 is no news.
        if count > 0 or name == "mapped":
            parts.append(Text(f"{say(name)} {count_text(count)}", style=_STYLES.get(name, "") if count else "dim"))
    return Text(" · ", style="dim").join(parts)
