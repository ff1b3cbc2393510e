"""`migrate check`: every mistake of the mapping files, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions
    from migrate.mapping.findings import Finding
    from migrate.mapping.model import Mapping


@click.command(cls=Command, example="migrate check mapping.yaml")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@source_and_target
@click.option("--offline", is_flag=True, help="Look at no database: check only what needs no schema.")
@with_screen
def check(screen: Screen, mappings: tuple[Path, ...], *, offline: bool, **chosen: Any) -> int:
    """Validate mapping files, also against both databases, and report all mistakes at once (exit 2)."""
    from migrate.engine.inspection import look_at_files
    from migrate.engine.options import RunOptions

    options = None if offline else RunOptions(**chosen)
    sound, findings = look_at_files(mappings, lambda mapping: (mapping, _check(mapping, options)))
    document = {"mappings": [mapping.name for mapping in sound], "findings": [asdict(each) for each in findings]}
    screen.lines(document, *_lines(screen, findings, sound, offline=offline))
    return 2 if any(each.level == "error" for each in findings) else 0


def _check(mapping: Mapping, options: RunOptions | None) -> list[Finding]:
    from migrate.engine.databases import databases_of
    from migrate.mapping.checking import check_mapping

    if options is None:
        return check_mapping(mapping, None, None)
    with databases_of(mapping, options) as databases:
        return check_mapping(mapping, databases.source.shape, databases.target_shapes, databases.lookup_shapes)


def _lines(screen: Screen, findings: Sequence[Finding], sound: Sequence[Mapping], *, offline: bool) -> Iterator[Text]:
    """One finding per line in the form that editors jump to, then the files that are in order."""
    for each in findings:
        style = "red" if each.level == "error" else "yellow"
        text = Text.assemble((f"{each.file}:{each.line}", "bold"), f" {each.path}: ", (each.message, style))
        if each.level != "error":
            text = Text.assemble((screen.say("warning"), "yellow"), " ", text)
        if each.suggestion:
            text += Text(f" ({screen.complete(each.suggestion)})", style="cyan")
        yield text
    for mapping in sound:
        key = "check_ok_offline" if offline else "check_ok"
        yield Text(screen.say(key, file=mapping.path, mapping=mapping.name), style="green")
