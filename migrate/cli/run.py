"""`migrate run`: runs mappings, or resumes them, to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen
from migrate.cli.signals import stop_on_signals
from migrate.cli.summaries import exit_code, summary
from migrate.progress.listening import Audience


@click.command(cls=Command, example="migrate run mapping.yaml --source sqlite:///legacy.db --target sqlite:///new.db")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@source_and_target
@click.option(
    "--batch-rows", type=click.IntRange(min=1), metavar="N", help="Rows of a batch (default: chosen by size of rows)."
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Batches at the same time (default: by processors)."
)
@with_screen
def run(screen: Screen, mappings: tuple[Path, ...], **chosen: Any) -> int:
    """Run the mappings to the end, or go on where an earlier run of them stopped."""
    from migrate.engine.options import RunOptions
    from migrate.engine.runs import run_mappings
    from migrate.engine.stop import StopToken

    options, stop, say = RunOptions(**chosen), StopToken(), screen.say
    with Audience(screen.err, say) as audience, stop_on_signals(stop, lambda: audience.announce(say("stopping"))):
        runs = run_mappings(mappings, options, stop=stop, listen=audience)
    documents = [each.to_json() for each in runs]
    screen.result(
        documents[0] if len(documents) == 1 else {"runs": documents}, *(summary(each, screen) for each in runs)
    )
    return exit_code(runs)
