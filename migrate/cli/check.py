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
    from migrate.mapping import Finding, Mapping


@click.command(cls=Command, example="migrate check mapping.yaml")
@click.argument("mappings", nargs=-1, required=True, type=FILE, metavar="MAPPING...")
@source_and_target
@click.option("--offline", is_flag=True, help="Look at no database: check only what needs no schema.")
@with_screen
def check(screen: Screen, mappings: tuple[Path, ...], *, offline: bool, **chosen: Any) -> int:
    """Validate mapping files, also against both databases, and report all mistakes at once (exit 2)."""
    from migrate.engine.options import RunOptions

    options = None if offline else RunOptions(**chosen)
    read, findings = _read(mappings)
    for mapping in read:
        findings += _check(mapping, options)
    wrong = {Path(each.file) for each in findings if each.level == "error"}
    sound = [mapping for mapping in read if mapping.path not in wrong]
    document = {"mappings": [mapping.name for mapping in sound], "findings": [asdict(each) for each in findings]}
    screen.lines(document, *_lines(screen, findings, sound, offline=offline))
    return 2 if any(each.level == "error" for each in findings) else 0


def _read(paths: Sequence[Path]) -> tuple[list[Mapping], list[Finding]]:
    from migrate.mapping import Finding, MappingErrors, read_mapping

    read: dict[str, Mapping] = {}
    findings: list[Finding] = []
    for path in paths:
        try:
            mapping = read_mapping(path)
        except MappingErrors as error:
            findings += error.findings
            continue
        if mapping.name in read:
            message = f"`{mapping.name}` is also the name of {read[mapping.name].path}, and a name is an identity in the ledger"
            findings.append(Finding(str(path), mapping.line_of("mapping"), "mapping", message))
        read.setdefault(mapping.name, mapping)
    return list(read.values()), findings


def _check(mapping: Mapping, options: RunOptions | None) -> list[Finding]:
    from migrate.mapping import check_mapping

    if options is None:
        return check_mapping(mapping, None, None)
    from migrate.engine.lookups import lookup_shapes
    from migrate.engine.plan import source_spec_of, target_url_of
    from migrate.stores.opening import open_source, open_target

    spec = source_spec_of(mapping, options)
    target = open_target(target_url_of(mapping, options), options.ledger_schema)
    try:
        shapes = {each.table: shape for each in mapping.targets if (shape := target.describe(each.table)) is not None}
        return check_mapping(mapping, open_source(spec).shape, shapes, lookup_shapes(mapping, spec.url, target))
    finally:
        target.close()


def _lines(screen: Screen, findings: Sequence[Finding], sound: Sequence[Mapping], *, offline: bool) -> Iterator[Text]:
    """One finding per line in the form that editors jump to, then the files that are in order."""
    for each in findings:
        style = "red" if each.level == "error" else "yellow"
        text = Text.assemble((f"{each.file}:{each.line}", "bold"), f" {each.path}: ", (each.message, style))
        if each.level != "error":
            text = Text.assemble((screen.say("warning"), "yellow"), " ", text)
        if each.suggestion:
            text += Text(f" ({each.suggestion})", style="cyan")
        yield text
    for mapping in sound:
        key = "check_ok_offline" if offline else "check_ok"
        yield Text(screen.say(key, file=mapping.path, mapping=mapping.name), style="green")
