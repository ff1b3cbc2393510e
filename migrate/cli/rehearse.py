"""`migrate rehearse`: run, verify, take back and look again, on a copy of the target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import RenderableType
from rich.text import Text

from migrate.cli.driving import driven
from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen, add_rows
from migrate.units import count_text, duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migrate.rehearsal.rehearse import Rehearsed

_STEPS = ("run", "verify", "rollback", "verify_again")


@click.command(cls=Command, example="migrate rehearse mapping.yaml")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@source_and_target
@click.option("--batch-rows", type=click.IntRange(min=1), metavar="N", help="Source rows of a batch (default: 15000).")
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Batches worked on at the same time (default: 2)."
)
@click.option("--on", metavar="URL", help="Rehearse on this copy, which you made, instead of one that is made here.")
@with_screen
def rehearse(screen: Screen, mappings: tuple[Path, ...], *, on: str | None, **chosen: Any) -> int:
    """Run the mappings on a copy of their target, verify, take all back, and keep the evidence in the target's log."""
    from migrate.engine.options import RunOptions
    from migrate.rehearsal.rehearse import rehearse as rehearse_all

    options = RunOptions(**chosen)
    done = driven(screen, lambda stop, listen: rehearse_all(mappings, options, on, stop=stop, listen=listen))
    screen.result({"rehearsals": [each.to_json() for each in done]}, *_picture(screen, done))
    codes = [each.exit_code for each in done]
    return 1 if 1 in codes else max(codes)


def _picture(screen: Screen, done: Sequence[Rehearsed]) -> Iterator[RenderableType]:
    say = screen.say
    table = screen.table(
        "mapping",
        "read",
        "rejected",
        "verdict",
        "as_before",
        *(f"step_{step}" for step in _STEPS),
        numbers=(1, 2, 5, 6, 7, 8),
    )
    yield add_rows(
        table,
        (
            (
                each.plan.name,
                count_text(each.summary.counts.read),
                count_text(each.summary.counts.rejected),
                Text(say(f"verdict_{each.verdict}"), style="green" if each.verification.exit_code == 0 else "red"),
                Text(say("yes"), style="green") if each.restored else Text(say("no"), style="bold red"),
                *(duration_text(each.seconds[step]) for step in _STEPS),
            )
            for each in done
        ),
    )
    yield Text()
    well = all(each.exit_code == 0 for each in done)
    yield Text(say("rehearsed" if well else "rehearsed_badly"), style="green" if well else "bold red")
