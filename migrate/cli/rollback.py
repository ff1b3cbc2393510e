"""`migrate rollback`: takes back what a run wrote, or a part of it, newest first."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrate.cli.asking import ask
from migrate.cli.characters import data_text, side_text
from migrate.cli.driving import driven, stopped_or
from migrate.cli.options import FILE, Command, in_target, with_screen
from migrate.cli.screen import Screen, cell
from migrate.cli.summaries import summary
from migrate.report.visible import pieces
from migrate.units import count_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migrate.engine.options import RunOptions
    from migrate.rollback.dependants import Dependant
    from migrate.rollback.request import Changed, Request
    from migrate.rollback.staying import Standing
    from migrate.rollback.survey import Survey

_REFUSED = 4
LISTED: Final = 20
"""Rows that are shown before the rest is left to `--json`."""


_PASS = click.option(
    "--pass",
    "pass_no",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only this pass of the run; it must be the newest.",
)
_BATCH = click.option(
    "--batch",
    "batches",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="N",
    help="Only this batch, by its range in `migrate ledger show`; may be given again. `migrate run` does it anew.",
)
_CHANGED = click.option(
    "--changed",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    help="Rows that somebody changed since: refuse their batch, or leave them and take back the rest (default: refuse).",
)


def _of_request(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is to be taken back; the command gets them as `Request` in `request`."""

    @functools.wraps(function)
    def wrapped(*given: Any, changed: Changed, pass_no: int | None, batches: tuple[int, ...], **named: Any) -> Any:
        from migrate.rollback.request import Request

        return function(*given, request=Request(changed, pass_no, tuple(sorted(set(batches)))), **named)

    command: Callable[..., Any] = wrapped
    for option in (_CHANGED, _BATCH, _PASS):
        command = option(command)
    return command


@click.command(cls=Command, example="migrate rollback mapping.yaml --dry-run")
@click.argument("mapping", type=FILE)
@in_target
@_of_request
@click.option("--dry-run", is_flag=True, help="Say what would go back and what stands in the way; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_screen
def rollback(
    screen: Screen,
    mapping: Path,
    *,
    options: RunOptions,
    request: Request,
    dry_run: bool,
    yes: bool,
) -> int:
    """Take back what the newest run wrote, or a part of it, newest batch first, to the exact content before it."""
    from migrate.rollback.dependants import dependants
    from migrate.rollback.rollback import survey

    if dry_run:
        seen = survey(mapping, options, request, rows=True)
        return _show_survey(screen, seen, dependants(mapping, options, seen.shapes), request.changed)
    if not yes and (seen := survey(mapping, options, request, rows=False)).any:
        for each in dependants(mapping, options, seen.shapes):
            screen.note(_pointing(screen, each))
        key = "take_back" if seen.entries else "try_again"
        ask(screen, key, **_figures(seen), count=count_text(len(seen.stayed.all_rows)))
        # What was agreed to is what is taken back, though another run was begun meanwhile.
        options = replace(options, run=seen.run)
    return stopped_or(screen, [mapping], options, lambda: _rollback(screen, mapping, options, request))


def _rollback(screen: Screen, mapping: Path, options: RunOptions, request: Request) -> int:
    from migrate.rollback.rollback import rollback as roll_back

    done = driven(screen, lambda stop, listen: roll_back(mapping, options, request, stop=stop, listen=listen))
    key = "took_back" if done.batches else "nothing_to_take_back"
    verdicts = [screen.say(key, batches=count_text(done.batches), rows=count_text(done.rows))]
    if done.again:
        # Where only such rows went, there was something to take back.
        verdicts = [*(verdicts if done.batches else ()), screen.say("took_back_again", count=count_text(done.again))]
    if done.staying:
        verdicts.append(screen.say("staying", count=count_text(len(done.staying))))
    document = {
        **done.summary.to_json(),
        "rollback": {
            "batches": done.batches,
            "rows": done.rows,
            "again": done.again,
            "staying": [each.to_json() for each in done.staying],
        },
    }
    screen.result(document, summary(done.summary, screen), *map(Text, verdicts), *_rows(screen, done.staying))
    return 0


def _show_survey(screen: Screen, seen: Survey, pointing: Sequence[Dependant], changed: Changed) -> int:
    document = {
        "mapping": seen.mapping,
        "run": seen.run,
        "state": seen.state,
        "batches": len(seen.entries),
        "rows": seen.counts.read,
        "ranges": [{"pass": each.pass_no, "range": each.range_no} for each in seen.entries],
        "targets": list(seen.shapes),
        "in_the_way": [each.to_json() for each in seen.in_the_way],
        "stayed": [each.to_json() for each in seen.stayed.all_rows],
        "again": [{"pass": each.pass_no, "range": each.range_no} for each in seen.again],
        "pointing": [asdict(each) for each in pointing],
    }
    screen.result(document, *_told(screen, seen, pointing), *_rows(screen, [*seen.in_the_way, *seen.stayed.all_rows]))
    return _REFUSED if seen.in_the_way and changed == "refuse" else 0


def _told(screen: Screen, seen: Survey, pointing: Sequence[Dependant]) -> Iterator[RenderableType]:
    if not seen.entries:
        yield Text("  ").join(
            [Text(seen.mapping, style="bold"), Text(screen.say(seen.state)), Text(seen.run, style="dim")]
        )
        if not seen.again:
            yield Text(screen.say("nothing_to_take_back"))
        yield from _told_of_stayed(screen, seen)
        return
    yield Text(screen.say("would_take_back", **_figures(seen)))
    if seen.in_the_way:
        yield Text(screen.say("in_the_way", count=count_text(len(seen.in_the_way))))
    for each in pointing:
        yield Text(_pointing(screen, each), style="yellow", no_wrap=True)
    if not (seen.in_the_way or pointing):
        yield Text(screen.say("nothing_in_the_way"))
    yield from _told_of_stayed(screen, seen)


def _told_of_stayed(screen: Screen, seen: Survey) -> Iterator[RenderableType]:
    if seen.again:
        yield Text(screen.say("would_try_again", count=count_text(len(seen.stayed.all_rows))))
    elif seen.stayed.entries:
        yield Text(screen.say("staying", count=count_text(len(seen.stayed.all_rows))))


def _pointing(screen: Screen, dependant: Dependant) -> str:
    return screen.say(
        "points_at", mapping=dependant.mapping, tables=", ".join(dependant.tables), command=dependant.command
    )


def _figures(seen: Survey) -> dict[str, str]:
    return {
        "run": seen.run,
        "mapping": seen.mapping,
        "batches": count_text(len(seen.entries)),
        "rows": count_text(seen.counts.read),
        "targets": ", ".join(seen.shapes),
    }


def _rows(screen: Screen, rows: Sequence[Standing]) -> Iterator[RenderableType]:
    """The first rows that stay, with what they were before the run and what they are now; nothing where there are none."""
    for each in rows[:LISTED]:
        yield Text()
        yield Text("  ").join(
            [
                data_text(each.target, "bold"),
                data_text(each.name),
                data_text(f"{screen.say(f'row_{each.kind}')}{each.detail}", "yellow"),
            ]
        )
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        grid.add_row(screen.say("before_run"), _content(each.before, screen))
        grid.add_row(screen.say("there_now"), _content(each.found, screen))
        yield Padding(grid, (0, 0, 0, 2))
    if len(rows) > LISTED:
        yield Text()
        yield Text(screen.say("more_rows", count=count_text(len(rows) - LISTED)), style="dim")


def _content(row: dict[str, object] | None, screen: Screen) -> Text:
    if row is None:
        return Text(screen.say("no_row"), style="dim italic")
    # Most columns of an invoice are empty: what is NULL is left out, `--json` has it.
    known = {name: value for name, value in row.items() if value is not None}
    return Text("  ").join(
        Text.assemble((f"{name} ", "dim"), side_text(pieces(_plain(value)), "NULL", screen))
        for name, value in known.items()
    )


def _plain(value: object) -> str:
    return value if isinstance(value, str) else cell(value).plain
