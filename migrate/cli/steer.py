"""`migrate pause`, `resume`, `throttle`: steer a run from another terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from migrate.cli.options import FILE, Command, in_target, with_screen
from migrate.cli.screen import Screen
from migrate.units import count_text

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions


@click.command(cls=Command, example='migrate pause mapping.yaml --reason "month-end closing"')
@click.argument("mapping", type=FILE)
@in_target
@click.option(
    "--reason", required=True, metavar="TEXT", help="Why; shown by `status`, and by `run` until it is resumed."
)
@with_screen
def pause(screen: Screen, mapping: Path, *, options: RunOptions, reason: str) -> int:
    """Stop a run or a rollback at its next batch border; its process ends with exit 5."""
    from migrate.engine import steer

    run = steer.pause(mapping, reason, options)
    sentence = screen.say("pause_asked", mapping=run.mapping)
    screen.lines({"mapping": run.mapping, "run": run.run, "paused": reason}, Text(sentence))
    return 0


@click.command(cls=Command, example="migrate resume mapping.yaml")
@click.argument("mapping", type=FILE)
@in_target
@with_screen
def resume(screen: Screen, mapping: Path, *, options: RunOptions) -> int:
    """Clear the pause of a run or a rollback; it starts nothing, `migrate run` or `migrate rollback` goes on."""
    from migrate.engine import steer

    run, reason = steer.resume(mapping, options)
    key = "not_paused" if reason is None else "resume_done"
    command = f"migrate {'rollback' if run.state == 'rolling_back' else 'run'} {mapping}"
    sentence = screen.say(key, mapping=run.mapping, reason=reason, command=screen.complete(command))
    screen.lines({"mapping": run.mapping, "run": run.run, "was_paused": reason}, Text(sentence))
    return 0


@click.command(cls=Command, example="migrate throttle mapping.yaml --rows-per-second 5000")
@click.argument("mapping", type=FILE)
@in_target
@click.option(
    "--rows-per-second",
    "rows",
    required=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Most source rows; 0: no limit.",
)
@with_screen
def throttle(screen: Screen, mapping: Path, *, options: RunOptions, rows: int) -> int:
    """Limit how many source rows per second a run reads, from its next batch on."""
    from migrate.engine import steer

    run = steer.throttle(mapping, rows, options)
    sentence = screen.say("throttle_set" if rows else "throttle_off", mapping=run.mapping, rate=count_text(rows))
    screen.lines({"mapping": run.mapping, "run": run.run, "rows_per_second": rows or None}, Text(sentence))
    return 0
