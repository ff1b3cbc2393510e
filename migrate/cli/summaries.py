"""Shows runs as the ledger knows them: one in full, or several in a line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from migrate.cli.recorded import recorded_reason
from migrate.cli.screen import STATE_STYLES, Screen
from migrate.units import count_text, duration_text

if TYPE_CHECKING:
    from migrate.engine.summary import RunSummary

_ROWS: Final = ("read", "mapped", "filtered", "rejected", "pending", "warnings")
_ALWAYS_SHOWN: Final = ("read", "mapped", "rejected")
_TARGETS: Final = ("written", "updated", "identical", "kept", "deleted", "groups")
_ALARMING: Final = {"rejected": "red", "pending": "yellow", "warnings": "yellow"}


def summary(run: RunSummary, screen: Screen) -> RenderableType:
    """One run in full: state and reason, rows by what became of them, targets, batches and time."""
    parts: list[RenderableType] = [_title(run, screen)]
    if run.reason and run.state != "complete":
        parts.append(Text(recorded_reason(run.reason, screen.say), style="yellow"))
    bar = _bar(run)
    if bar is not None:
        parts.append(bar)
    parts += [_rows(run, screen), Text(), _targets(run, screen), Text(), _pace(run, screen)]
    steering = _steering(run, screen)
    if steering:
        parts.append(Text(steering, style="dim"))
    first, *rest = parts
    return Group(first, *(Padding(part, (0, 0, 0, 2)) for part in rest), Text())


def overview(runs: Sequence[RunSummary], screen: Screen) -> RenderableType:
    """Several runs, one line each; on a page that is too narrow for the lines, one below the other: a number is never broken."""
    table = _overview(runs, screen)
    return table if screen.natural_width(table) <= screen.out.width else Group(*(summary(run, screen) for run in runs))


def _overview(runs: Sequence[RunSummary], screen: Screen) -> Table:
    table = screen.table(
        "mapping", "run", "state", "read", "rejected", "pending", "rate_column", "eta_column", numbers=range(3, 8)
    )
    for run in runs:
        left = seconds_left(run)
        table.add_row(
            Text(run.mapping, style="bold"),
            Text(run.run),
            _state(run, screen),
            *(_count(name, getattr(run.counts, name)) for name in ("read", "rejected", "pending")),
            Text(count_text(round(current_rate(run)))),
            Text("" if left is None else duration_text(left)),
        )
    return table


def current_rate(run: RunSummary) -> float:
    """Rows per second: of the last batches while it runs, else over its whole time."""
    if run.state == "running" and run.recent_rows_per_second is not None:
        return run.recent_rows_per_second
    return run.rows_per_second


def seconds_left(run: RunSummary) -> float | None:
    """Time to the end at the rate of the last batches; None when nobody knows."""
    if run.state != "running" or not run.recent_rows_per_second or run.rows_expected is None:
        return None
    rows = run.rows_expected - run.counts.read
    return rows / run.recent_rows_per_second if rows > 0 else None


def _title(run: RunSummary, screen: Screen) -> Text:
    return Text("  ").join([Text(run.mapping, style="bold"), _state(run, screen), Text(run.run, style="dim")])


def _state(run: RunSummary, screen: Screen) -> Text:
    return Text(screen.say(run.state), style=STATE_STYLES.get(run.state, ""))


def _bar(run: RunSummary) -> RenderableType | None:
    # Of a run that goes back, what is still there is no measure of how far it is.
    if (
        run.state in {"complete", "rolled_back", "rolling_back"}
        or not run.rows_expected
        or run.counts.read > run.rows_expected
    ):
        return None
    line = Table.grid(padding=(0, 2, 0, 0))
    share = run.counts.read / run.rows_expected
    line.add_row(ProgressBar(total=1.0, completed=share, width=40, complete_style="cyan"), Text(f"{share:.0%}"))
    return line


def _rows(run: RunSummary, screen: Screen) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    for name in _ROWS:
        count = getattr(run.counts, name)
        if count or name in _ALWAYS_SHOWN:
            table.add_row(Text(screen.say(name)), _count(name, count))
    return table


def _targets(run: RunSummary, screen: Screen) -> Table:
    targets = sorted(run.counts.targets.items())
    shown = [name for name in _TARGETS if name == "written" or any(getattr(counts, name) for _, counts in targets)]
    table = screen.table("target", *shown, numbers=range(1, len(shown) + 1))
    for target, counts in targets:
        # Groups are counted for targets that have them.
        numbers = [
            "" if name == "groups" and target not in run.grouped else count_text(getattr(counts, name))
            for name in shown
        ]
        table.add_row(Text(target), *map(Text, numbers))
    return table


def _pace(run: RunSummary, screen: Screen) -> Text:
    say, done, left = screen.say, count_text(run.done), seconds_left(run)
    batches = (
        say("batches_of", done=done, planned=count_text(run.planned))
        if run.all_known
        else say("batches_done", done=done)
    )
    parts = [batches, duration_text(run.seconds), say("rate", rate=count_text(round(current_rate(run))))]
    if left is not None:
        parts.append(say("eta", eta=duration_text(left)))
    return Text(" · ".join(parts))


def _steering(run: RunSummary, screen: Screen) -> str:
    parts = []
    if run.holder is not None:
        parts.append(screen.say("held_by", holder=run.holder))
    if run.throttle_rows is not None and run.state not in {"complete", "rolled_back"}:
        parts.append(screen.say("throttled", rate=count_text(run.throttle_rows)))
    return " · ".join(parts)


def _count(name: str, count: int) -> Text:
    return Text(count_text(count), style=_ALARMING.get(name, "") if count else "dim")
