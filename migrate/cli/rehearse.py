"""`migrate rehearse`: run, verify, take back and look again, on a copy of the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrate.cli.driving import driven
from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen, add_rows
from migrate.units import count_text, duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migrate.rehearsal.rehearse import Rehearsed

_STEPS = ("run", "verify", "rollback", "verify_again")
_HEADINGS = ("mapping", "read", "rejected", "verdict", "as_before", *(f"step_{step}" for step in _STEPS))


@click.command(cls=Command, example="migrate rehearse mapping.yaml")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@source_and_target
@click.option(
    "--batch-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="Source rows of a batch (default: 30000; into SQLite 15000).",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Batches worked on at the same time (default: 2)."
)
@click.option("--on", metavar="URL", help="Rehearse on this copy, which you made, instead of one that is made here.")
@click.option(
    "--sample",
    metavar="ROWS|SHARE",
    help="Only so many rows of each source, or such a share (5%), spread over its keys (default: all).",
)
@with_screen
def rehearse(screen: Screen, mappings: tuple[Path, ...], *, on: str | None, sample: str | None, **chosen: Any) -> int:
    """Run the mappings on a copy of their target, verify, take all back, and keep the evidence in the target's log."""
    from migrate.engine.options import RunOptions
    from migrate.rehearsal.rehearse import Asked
    from migrate.rehearsal.rehearse import rehearse as rehearse_all
    from migrate.rehearsal.sample import parse_sample

    options = RunOptions(**chosen)
    asked = Asked(on, None if sample is None else parse_sample(sample))
    done = driven(screen, lambda stop, listen: rehearse_all(mappings, options, asked, stop=stop, listen=listen))
    screen.result({"rehearsals": [each.to_json() for each in done]}, *_picture(screen, done))
    codes = [each.exit_code for each in done]
    return 1 if 1 in codes else max(codes)


def _picture(screen: Screen, done: Sequence[Rehearsed]) -> Iterator[RenderableType]:
    from migrate.cli.verification import not_verified_lines

    table = _side_by_side(screen, done)
    # On a page that is too narrow for the line, each mapping has lines of its own: no word and no number is broken.
    narrow = screen.natural_width(table) > screen.out.width
    yield Group(*(_one_by_one(screen, each) for each in done)) if narrow else table
    for each in done:
        yield from not_verified_lines(each.verification.not_verified, screen)
        yield from _of_sample(screen, each)
    yield Text()
    well = all(each.exit_code == 0 for each in done)
    yield Text(screen.say("rehearsed" if well else "rehearsed_badly"), style="green" if well else "bold red")


def _of_sample(screen: Screen, rehearsed: Rehearsed) -> Iterator[RenderableType]:
    """What a sample is of, and what all of it would take; nothing where all of it was rehearsed."""
    from migrate.rehearsal.estimate import FEWEST_ROWS

    if rehearsed.sample is None:
        return
    seconds = rehearsed.full_seconds
    values = {
        "mapping": rehearsed.plan.name,
        "read": count_text(rehearsed.summary.counts.read),
        "rows": count_text(rehearsed.full_rows),
        "ranges": count_text(len(rehearsed.sample.ranges)),
        "from_rows": count_text(rehearsed.paced_rows),
        "fewest": count_text(FEWEST_ROWS),
        "again": screen.say("step_verify_again"),
    }
    yield Text()
    yield Text(screen.say("rehearsed_sample", **values))
    if seconds is None:
        yield Text(screen.say("rehearsed_too_few", **values))
    else:
        steps = ", ".join(f"{screen.say(f'step_{step}')} {duration_text(seconds[step])}" for step in _STEPS)
        yield Text(screen.say("rehearsed_full_size", steps=steps, **values))
    if not rehearsed.rest_untouched:
        yield Text(screen.say("rehearsed_rest_changed", **values), style="bold red")


def _side_by_side(screen: Screen, done: Sequence[Rehearsed]) -> Table:
    table = screen.table(*_HEADINGS, numbers=(1, 2, 5, 6, 7, 8))
    return add_rows(table, (_cells(screen, each) for each in done))


def _one_by_one(screen: Screen, rehearsed: Rehearsed) -> RenderableType:
    name, *cells = _cells(screen, rehearsed)
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(justify="right")
    for heading, text in zip(_HEADINGS[1:], cells, strict=True):
        grid.add_row(screen.say(heading), text)
    return Group(name, Padding(grid, (0, 0, 0, 2)))


def _cells(screen: Screen, rehearsed: Rehearsed) -> list[Text]:
    say, well = screen.say, rehearsed.verification.exit_code == 0
    return [
        Text(rehearsed.plan.name, style="bold"),
        Text(count_text(rehearsed.summary.counts.read)),
        Text(count_text(rehearsed.summary.counts.rejected)),
        Text(say(f"verdict_{rehearsed.verdict}"), style="green" if well else "red"),
        Text(say("yes"), style="green") if rehearsed.restored else Text(say("no"), style="bold red"),
        *(Text(duration_text(rehearsed.seconds[step])) for step in _STEPS),
    ]
