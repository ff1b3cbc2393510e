"""`migrate run`: runs mappings, or resumes them, to the end."""

from __future__ import annotations

from pathlib import Path

import click

from migrate.cli.options import FILE, Command, with_screen
from migrate.cli.screen import Screen
from migrate.cli.signals import stop_on_signals
from migrate.cli.summaries import exit_code, summary
from migrate.progress.listening import Audience


@click.command(cls=Command, example="migrate run mapping.yaml --source sqlite:///legacy.db --target sqlite:///new.db")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@click.option("--source", metavar="URL", help="Source database, instead of the mapping's.")
@click.option("--target", metavar="URL", help="Target database, instead of the mapping's.")
@click.option(
    "--batch-rows", type=click.IntRange(min=1), metavar="N", help="Rows of a batch (default: chosen by size of rows)."
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Batches at the same time (default: by processors)."
)
@click.option("--ledger-schema", metavar="NAME", help="Schema of the ledger's tables in the target.")
@with_screen
def run(screen: Screen, mappings: tuple[Path, ...], **chosen: str | int | None) -> int:
    """Run the mappings to the end, or go on where an earlier run of them stopped."""
    from migrate.engine import RunOptions
    from migrate.engine import run as run_mappings

    options = RunOptions(**chosen)  # type: ignore[arg-type]
    say = screen.say
    with Audience(screen.err, say) as audience, stop_on_signals(lambda: audience.announce(say("stopping"))) as stop:
        summaries = run_mappings(mappings, options, stop=stop, listen=audience)
    documents = [each.to_json() for each in summaries]
    document = documents[0] if len(mappings) == 1 and len(documents) == 1 else {"runs": documents}
    screen.result(document, *(summary(each, screen) for each in documents))
    return exit_code(documents)
