"""`migrate status`: how runs stand, from the ledger alone."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from migrate.cli.options import FILE, Command, Duration, of_run, with_screen
from migrate.cli.screen import Screen
from migrate.cli.signals import beside, stop_on_signals
from migrate.cli.summaries import overview, summary
from migrate.errors import InputError

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions
    from migrate.engine.summary import RunSummary


@click.command(cls=Command, example="migrate status mapping.yaml")
@click.argument("mapping", required=False, type=FILE)
@of_run
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C, which ends the watching and not the run.")
@click.option(
    "--interval", type=Duration(), default="2s", metavar="DURATION", help="Time between refreshes (default: 2s)."
)
@with_screen
def status(screen: Screen, mapping: Path | None, *, options: RunOptions, watch: bool, interval: int) -> int:
    """Show runs with their rows, rate, time left, and why they wait or paused: of a mapping, or of a whole target."""
    from migrate.engine.steer import status as read_status

    if watch and screen.settings.as_json:
        raise InputError("--watch is for people and writes no JSON", next_step="ask again and again for status --json")
    if watch:
        return _watch(screen, mapping, options, interval)
    runs = read_status(mapping, options)
    screen.result({"runs": [each.to_json() for each in runs]}, _picture(screen, mapping, runs))
    return 0


def _picture(screen: Screen, mapping: Path | None, runs: list[RunSummary]) -> RenderableType:
    if not runs:
        return Text(screen.say("no_runs"))
    return overview(runs, screen) if mapping is None else Group(*(summary(each, screen) for each in runs))


def _watch(screen: Screen, mapping: Path | None, options: RunOptions, interval: int) -> int:
    """Show runs again and again; in place on a terminal, else as they change."""
    from migrate.engine.steer import status as read_status
    from migrate.engine.stop import StopToken

    stop = StopToken()
    hint = Text(screen.say("watch_hint"), style="dim")
    live = Live(console=screen.out, auto_refresh=False) if screen.out.is_terminal else None
    with stop_on_signals(stop), live or nullcontext():
        while not stop.is_set:
            picture = _picture(screen, mapping, beside(lambda: read_status(mapping, options)))
            if live is not None:
                live.update(Group(picture, hint), refresh=True)
            else:
                screen.show(picture)
            stop.wait(interval)
    return 0
