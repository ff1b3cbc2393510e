"""`migrate rollback`: takes back what a run wrote, newest first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrate.cli.asking import ask
from migrate.cli.characters import data_text, side_text
from migrate.cli.driving import driven
from migrate.cli.options import FILE, Command, in_target, with_screen
from migrate.cli.screen import Screen, cell
from migrate.cli.summaries import summary
from migrate.report.visible import pieces
from migrate.units import count_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migrate.engine.options import RunOptions
    from migrate.rollback.batch import Standing
    from migrate.rollback.survey import Survey

_REFUSED = 4
LISTED: Final = 20
"""Rows that are shown before the rest is left to `--json`."""


@click.command(cls=Command, example="migrate rollback mapping.yaml --dry-run")
@click.argument("mapping", type=FILE)
@in_target
@click.option(
    "--changed",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    help="Rows that somebody changed since: refuse their batch, or leave them and take back the rest (default: refuse).",
)
@click.option("--dry-run", is_flag=True, help="Say what would go back and what stands in the way; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_screen
def rollback(
    screen: Screen,
    mapping: Path,
    *,
    options: RunOptions,
    changed: Literal["refuse", "skip"],
    dry_run: bool,
    yes: bool,
) -> int:
    """Take back what the newest run wrote, newest batch first, to the exact content before it."""
    from migrate.rollback.rollback import survey

    if dry_run:
        return _show_survey(screen, survey(mapping, options, rows=True), changed)
    if not yes:
        ask(screen, "take_back", **_figures(survey(mapping, options, rows=False)))
    return _rollback(screen, mapping, options, changed)


def _rollback(screen: Screen, mapping: Path, options: RunOptions, changed: Literal["refuse", "skip"]) -> int:
    from migrate.rollback.rollback import rollback as roll_back

    done = driven(screen, lambda stop, listen: roll_back(mapping, options, changed, stop=stop, listen=listen))
    verdict = screen.say("took_back", batches=count_text(done.batches), rows=count_text(done.rows))
    document = {
        **done.summary.to_json(),
        "rollback": {
            "batches": done.batches,
            "rows": done.rows,
            "staying": [each.to_json() for each in done.staying],
        },
    }
    screen.result(document, summary(done.summary, screen), Text(verdict), *_rows(screen, done.staying))
    return 0


def _show_survey(screen: Screen, seen: Survey, changed: Literal["refuse", "skip"]) -> int:
    document = {
        "mapping": seen.mapping,
        "run": seen.run,
        "state": seen.state,
        "batches": len(seen.entries),
        "rows": seen.counts.read,
        "targets": list(seen.shapes),
        "in_the_way": [each.to_json() for each in seen.in_the_way],
    }
    figures = _figures(seen)
    key = "in_the_way" if seen.in_the_way else "nothing_in_the_way"
    screen.result(
        document,
        Text(screen.say("would_take_back", **figures)),
        Text(screen.say(key, count=count_text(len(seen.in_the_way)))),
        *_rows(screen, seen.in_the_way),
    )
    return _REFUSED if seen.in_the_way and changed == "refuse" else 0


def _figures(seen: Survey) -> dict[str, str]:
    return {
        "run": seen.run,
        "mapping": seen.mapping,
        "batches": count_text(len(seen.entries)),
        "rows": count_text(seen.counts.read),
        "targets": ", ".join(seen.shapes),
    }


def _rows(screen: Screen, rows: Sequence[Standing]) -> Iterator[RenderableType]:
    """The first rows that stay, with what they were before the run and what they are now; nothing where there are none."""
    for each in rows[:LISTED]:
        yield Text()
        yield Text("  ").join([data_text(each.target, "bold"), data_text(each.name), data_text(each.why, "yellow")])
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        grid.add_row(screen.say("before_run"), _content(each.before, screen))
        grid.add_row(screen.say("there_now"), _content(each.found, screen))
        yield Padding(grid, (0, 0, 0, 2))
    if len(rows) > LISTED:
        yield Text()
        yield Text(screen.say("more_rows", count=count_text(len(rows) - LISTED)), style="dim")


def _content(row: dict[str, object] | None, screen: Screen) -> Text:
    if row is None:
        return Text(screen.say("no_row"), style="dim italic")
    # Most columns of an invoice are empty: what is NULL is left out, `--json` has it.
    known = {name: value for name, value in row.items() if value is not None}
    return Text("  ").join(
        Text.assemble((f"{name} ", "dim"), side_text(pieces(_plain(value)), "NULL", screen))
        for name, value in known.items()
    )


def _plain(value: object) -> str:
    return value if isinstance(value, str) else cell(value).plain
