"""`migrate run`: runs mappings, or resumes them, to the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrate.cli.driving import driven, show_runs, stopped_or
from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions


@click.command(cls=Command, example="migrate run mapping.yaml")
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
@click.option(
    "--no-backup", is_flag=True, help="Begin a new run in a scope that holds rows without a checked backup of them."
)
@with_screen
def run(screen: Screen, mappings: tuple[Path, ...], **chosen: Any) -> int:
    """Run the mappings to the end, or go on where an earlier run of them stopped."""
    from migrate.engine.options import RunOptions

    options = RunOptions(**chosen)
    return stopped_or(screen, mappings, options, lambda: _run(screen, mappings, options))


def _run(screen: Screen, mappings: tuple[Path, ...], options: RunOptions) -> int:
    from migrate.engine.run import run as run_mappings

    runs = driven(screen, lambda stop, listen: run_mappings(mappings, options, stop=stop, listen=listen))
    show_runs(screen, runs)
    if any(each.counts.rejected for each in runs):
        hint = screen.say("rejects_hint", mapping=mappings[0] if len(mappings) == 1 else "MAPPING")
        screen.note(screen.complete(hint))
    return 0
