"""`migrate doctor`: the daily inspection."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen
from migrate.errors import InputError


@click.command(cls=Command, example="migrate doctor mapping.yaml")
@click.argument("mappings", nargs=-1, type=FILE, metavar="[MAPPING...]")
@source_and_target
@with_screen
def doctor(screen: Screen, mappings: tuple[Path, ...], **chosen: str | None) -> int:
    """Inspect connections, versions, clocks, disk, the ledger's chain and stuck runs; exit 1 when something needs a person."""
    from migrate.engine.doctor import doctor as inspect
    from migrate.engine.options import RunOptions

    if not mappings and chosen["target"] is None:
        raise InputError("nothing to inspect", next_step="give mapping files, or --target URL")
    inspections = inspect(mappings, RunOptions(**chosen))  # type: ignore[arg-type]
    table = screen.table("level", "inspected", "found")
    for each in inspections:
        found = Text(each.detail)
        if each.next_step:
            found += Text(f"\n→ {screen.complete(each.next_step)}", style="cyan")
        mark = Text(screen.say(f"level_{each.level}"), style="green" if each.level == "ok" else "bold yellow")
        table.add_row(mark, Text(each.what), found)
    needed = sum(each.level == "finding" for each in inspections)
    verdict = screen.say("doctor_findings", count=needed) if needed else screen.say("doctor_fine")
    screen.result({"inspections": [asdict(each) for each in inspections]}, table, Text(), Text(verdict))
    return 1 if needed else 0
