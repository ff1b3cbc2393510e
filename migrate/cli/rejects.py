"""`migrate rejects`: what was not written and why, and another try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrate.cli.driving import driven, stopped_or
from migrate.cli.options import FILE, Group, of_run, source_and_target, with_screen
from migrate.cli.screen import Screen, add_rows, cell
from migrate.cli.summaries import summary
from migrate.units import count_text

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions
    from migrate.engine.rejects import Reject, RejectGroup


@click.group(cls=Group)
def rejects() -> None:
    """See what was not written and why, and try it again."""


@rejects.command("list", example="migrate rejects list mapping.yaml")
@click.argument("mapping", type=FILE)
@of_run
@with_screen
def list_(screen: Screen, mapping: Path, *, options: RunOptions) -> int:
    """Count the rejects of the newest run that are still open, by rule and field, most frequent first."""
    from migrate.engine.rejects import rejects_list

    groups = rejects_list(mapping, options)
    table = screen.table("rule", "target", "column", "count", "example", numbers=[3])
    add_rows(
        table,
        (
            (
                each.rule,
                _or_blank(each.target),
                _or_blank(each.field),
                count_text(each.count),
                _reason(each, each.example),
            )
            for each in groups
        ),
    )
    screen.result({"rejects": [asdict(each) for each in groups]}, table if groups else Text(screen.say("no_rejects")))
    return 0


@rejects.command(example="migrate rejects show mapping.yaml --limit 3")
@click.argument("mapping", type=FILE)
@of_run
@click.option("--rule", metavar="ID", help="Only rejects of this rule.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, metavar="N", help="How many reasons to show (default: 20)."
)
@with_screen
def show(screen: Screen, mapping: Path, *, options: RunOptions, rule: str | None, limit: int) -> int:
    """Show open rejects of the newest run with their reasons and the raw values of their source rows."""
    from migrate.engine.rejects import rejects_show

    found = rejects_show(mapping, options, rule, limit)
    pictures = list(_pictures(screen, found)) or [Text(screen.say("no_rejects"))]
    screen.result({"rejects": [_document(each) for each in found]}, *pictures)
    return 0


@rejects.command(example="migrate rejects export mapping.yaml -o rejects.csv")
@click.argument("mapping", type=FILE)
@of_run
@click.option(
    "-o", "--out", required=True, type=FILE, metavar="FILE", help="File to write: .csv (for spreadsheets) or .jsonl."
)
@with_screen
def export(screen: Screen, mapping: Path, *, options: RunOptions, out: Path) -> int:
    """Write all open rejects of the newest run to a file."""
    from migrate.engine.rejects import rejects_export

    count = rejects_export(mapping, options, out)
    screen.lines({"rejects": count, "file": str(out)}, Text(screen.say("exported", count=count_text(count), file=out)))
    return 0


@rejects.command(example="migrate rejects replay mapping.yaml")
@click.argument("mapping", type=FILE)
@source_and_target
@with_screen
def replay(screen: Screen, mapping: Path, **chosen: Any) -> int:
    """Read the rejected units of the newest run from the source again, and write what the mapping accepts now."""
    from migrate.engine.options import RunOptions

    options = RunOptions(**chosen)
    return stopped_or(screen, [mapping], options, lambda: _replay(screen, mapping, options))


def _replay(screen: Screen, mapping: Path, options: RunOptions) -> int:
    from migrate.engine.replay import rejects_replay

    done = driven(screen, lambda stop, listen: rejects_replay(mapping, options, stop=stop, listen=listen))
    counted = {"units": done.units, "mapped": done.mapped, "rejected": done.rejected}
    verdict = screen.say("replayed", **{name: count_text(count) for name, count in counted.items()})
    screen.result({**done.summary.to_json(), "replay": counted}, summary(done.summary, screen), Text(verdict))
    return 0


def _document(reject: Reject) -> dict[str, Any]:
    return {**asdict(reject), "raw": None if reject.raw is None else json.loads(reject.raw)}


def _pictures(screen: Screen, found: list[Reject]) -> Iterator[console.RenderableType]:
    """One picture per unit: its key, every reason, and its source rows."""
    for reject in found:
        place = ".".join(part for part in (reject.target, reject.field) if part)
        reason = Text("  ").join(
            part
            for part in (
                Text(reject.rule, style="bold red"),
                Text(place, style="bold"),
                Text(_reason(reject, reject.reason)),
            )
            if part
        )
        lines: list[console.RenderableType] = [Padding(reason, (0, 0, 0, 2))]
        if reject.value is not None and reject.value not in reject.reason:
            lines.append(Padding(Text.assemble((screen.say("value"), "dim"), " ", cell(reject.value)), (0, 0, 0, 2)))
        if reject.raw is not None:
            lines = [_unit(reject.unit_key), *lines, *(_raw(row) for row in json.loads(reject.raw))]
        yield console.Group(*lines)


def _unit(unit_key: str) -> Text:
    """The key of a unit, in quotes where it is text, so that blanks can be seen."""
    from migrate.stores.typed_keys import load_key

    return Text(
        ", ".join(repr(value) if isinstance(value, str) else cell(value).plain for value in load_key(unit_key)),
        style="bold",
    )


def _reason(reject: Reject | RejectGroup, reason: str) -> str:
    # The rule and the field stand before it already.
    return reason.removeprefix(f"{reject.rule}: ").removeprefix(f"{reject.field}: ")


def _raw(row: dict[str, Any]) -> console.RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in row.items():
        table.add_row(Text(name), cell(value))
    return Padding(table, (0, 0, 1, 4))


def _or_blank(text: str | None) -> str:
    return text or ""
