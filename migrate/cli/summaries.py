"""Shows runs, from the documents that `run --json` and `status --json` write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrate.cli.screen import STATE_STYLES, Screen
from migrate.units import count_text, duration_text

Document = Mapping[str, Any]

_ROWS: Final = ("read", "mapped", "filtered", "rejected", "pending")
_TARGETS: Final = ("written", "updated", "identical", "kept", "deleted", "groups")
_ALARMING: Final = {"rejected": "red", "pending": "yellow", "warnings": "yellow"}

EXIT_CODES: Final = {"complete": 0, "paused": 5, "interrupted": 130, "failed": 3}
"""The exit code of `run` for the state that its run is left in."""


def exit_code(documents: Sequence[Document]) -> int:
    """That of the first run that is not complete; 0 when all are."""
    return next((EXIT_CODES.get(each["state"], 4) for each in documents if each["state"] != "complete"), 0)


def summary(document: Document, screen: Screen) -> RenderableType:
    """One run in full: state, rows by what became of them, targets, batches and time."""
    parts: list[RenderableType] = [_title(document, screen)]
    if document.get("reason"):
        parts.append(Padding(Text(str(document["reason"]), style="yellow"), (0, 0, 0, 2)))
    body: list[RenderableType] = [
        _rows(document, screen),
        Text(""),
        _targets(document, screen),
        Text(""),
        _pace(document, screen),
    ]
    return Group(*parts, *(Padding(part, (0, 0, 0, 2)) for part in body))


def overview(documents: Sequence[Document], screen: Screen) -> RenderableType:
    """Several runs, one line each."""
    table = screen.table(
        "mapping", "run", "state", "read", "mapped", "rejected", "pending", "rate_column", numbers=range(3, 8)
    )
    for each in documents:
        rows = each["rows"]
        table.add_row(
            Text(each["mapping"], style="bold"),
            Text(each["run"]),
            _state(each, screen),
            *(_count(name, rows[name]) for name in ("read", "mapped", "rejected", "pending")),
            Text(count_text(round(each["rows_per_second"]))),
        )
    return table


def _title(document: Document, screen: Screen) -> Text:
    parts = [Text(document["mapping"], style="bold"), _state(document, screen), Text(document["run"], style="dim")]
    return Text("  ").join(parts)


def _state(document: Document, screen: Screen) -> Text:
    state = document["state"]
    return Text(screen.say(state), style=STATE_STYLES.get(state, ""))


def _rows(document: Document, screen: Screen) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    counts = {**document["rows"], "warnings": document["warnings"]}
    for name in (*_ROWS, "warnings"):
        if counts[name] or name in ("read", "mapped", "rejected"):
            table.add_row(Text(screen.say(name)), _count(name, counts[name]))
    return table


def _targets(document: Document, screen: Screen) -> Table:
    targets = document["targets"]
    shown = [
        name
        for name in _TARGETS
        if name in ("written", "identical") or any(each.get(name) for each in targets.values())
    ]
    table = screen.table("target", *shown, numbers=range(1, len(shown) + 1))
    for target, counts in targets.items():
        table.add_row(Text(target), *(Text("" if name not in counts else count_text(counts[name])) for name in shown))
    return table


def _pace(document: Document, screen: Screen) -> Text:
    say, batches = screen.say, document["batches"]
    key = "batches_done" if batches.get("planned") is None else "batches_of"
    parts = [
        say(key, **{name: count_text(number) for name, number in batches.items() if number is not None}),
        duration_text(document["seconds"]),
        say("rate", rate=count_text(round(document["rows_per_second"]))),
    ]
    return Text(" · ").join(Text(part) for part in parts)


def _count(name: str, count: int) -> Text:
    return Text(count_text(count), style=_ALARMING.get(name, "") if count else "dim")
