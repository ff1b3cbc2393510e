"""`migrate run`: runs mappings, or resumes them, to the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrate.cli import failures
from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen
from migrate.cli.signals import stop_on_signals
from migrate.cli.summaries import summary
from migrate.errors import Interrupted, Paused

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions
    from migrate.engine.summary import RunSummary


@click.command(cls=Command, example="migrate run mapping.yaml")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@source_and_target
@click.option("--batch-rows", type=click.IntRange(min=1), metavar="N", help="Source rows of a batch (default: 25000).")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Batches worked on at the same time (default: 2)."
)
@with_screen
def run(screen: Screen, mappings: tuple[Path, ...], **chosen: Any) -> int:
    """Run the mappings to the end, or go on where an earlier run of them stopped."""
    from migrate.engine.options import RunOptions
    from migrate.engine.run import run as run_mappings
    from migrate.engine.stop import StopToken
    from migrate.progress.listening import Audience

    options, stop, say = RunOptions(**chosen), StopToken(), screen.say
    try:
        with Audience(screen.err, say) as audience, stop_on_signals(stop, lambda: audience.announce(say("stopping"))):
            runs = run_mappings(mappings, options, stop=stop, listen=audience)
    except (Paused, Interrupted) as stopped:
        _show(screen, _stopped(mappings, options))
        return failures.report(stopped, screen, with_json=False)
    _show(screen, runs)
    if any(each.counts.rejected for each in runs):
        screen.note(say("rejects_hint", mapping=mappings[0] if len(mappings) == 1 else "MAPPING"))
    return 0


def _show(screen: Screen, runs: Sequence[RunSummary]) -> None:
    documents = [each.to_json() for each in runs]
    screen.result(
        documents[0] if len(documents) == 1 else {"runs": documents}, *(summary(each, screen) for each in runs)
    )


def _stopped(mappings: Sequence[Path], options: RunOptions) -> list[RunSummary]:
    """How the runs stand after a stop; mappings that had not begun have none."""
    from migrate.engine.steer import status

    return [each for path in mappings for each in status(path, options)]
