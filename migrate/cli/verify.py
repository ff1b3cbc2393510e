"""`migrate verify`: is the target what the mapping makes of the source?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from migrate.cli.failures import report as show_error
from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen
from migrate.cli.signals import beside, stop_on_signals
from migrate.cli.watching import Watcher
from migrate.errors import EnvironmentFault, InputError, StateError

if TYPE_CHECKING:
    from migrate.verify.both import Watch
    from migrate.verify.verdict import Verification

    Compare = Callable[[Watch], Verification]

_OF_TABLES = ("table", "into", "key")
_PAGE = b"<!doctype html>"
"""How a report begins."""


@click.command(
    cls=Command, example="migrate verify mapping.yaml --report verification.html", beyond="words_beyond_verify_next"
)
@click.argument("mapping", required=False, type=FILE)
@source_and_target
@click.option("--table", metavar="T", help="Without a mapping: the source's table.")
@click.option("--into", metavar="U", help="Without a mapping: the target's table.")
@click.option(
    "--key",
    metavar="A,B",
    multiple=True,
    help="Without a mapping: columns that name a row (default: the target's primary key).",
)
@click.option(
    "--max-differences",
    type=click.IntRange(min=0),
    default=100,
    metavar="N",
    help="How many differences to list; all are counted (default: 100).",
)
@click.option("--allow-empty", is_flag=True, help="Nothing to compare is no reason to doubt.")
@click.option(
    "--scan",
    type=click.Choice(["auto", "stream", "sql"]),
    default="auto",
    help="Who sums up the rows of a database: stream reads them all, sql lets it do so, auto (default) takes what is faster there.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Both sides still change: what differs is read again, and only what stays different is reported.",
)
@click.option(
    "--state",
    type=FILE,
    metavar="FILE",
    help="Keep there what is read and summed up, table by table: killed, the same command goes on from it.",
)
@click.option("--report", type=FILE, metavar="FILE", help="Write one self-contained HTML page, Chinese and English.")
@with_screen
def verify(screen: Screen, mapping: Path | None, *, report: Path | None, **asked: Any) -> int:
    """Compare the mapped source with the target, or two tables of one shape, to the last row and column."""
    from migrate.cli.verification import verification_summary
    from migrate.engine.stop import StopToken

    compare = _two_tables(asked) if mapping is None else _mapped(mapping, asked, screen)
    if report is not None:
        # Told before hours of reading, not after them.
        _refuse_place(report)
    stop = StopToken()
    kept = (
        "" if asked["state"] is None else f"; tables that were read to their end, if any, are kept in {asked['state']}"
    )
    with Watcher(screen, stop, left=f"nothing is verified{kept}") as watch, stop_on_signals(stop):
        verification = beside(lambda: compare(watch))
    summary = verification_summary(verification, screen)
    try:
        shown = [] if report is None else [_write(screen, verification, report)]
    except EnvironmentFault as error:
        # Hours of reading are not lost for the sake of a page; the exit code is that of the fault.
        screen.result(verification.to_json(), summary)
        return show_error(error, screen, with_json=False)
    screen.result(verification.to_json(), summary, *shown)
    return verification.exit_code


def _mapped(mapping: Path, asked: dict[str, Any], screen: Screen) -> Compare:
    from migrate.verify.state import StateAt
    from migrate.verify.verify import VerifyOptions
    from migrate.verify.verify import verify as compare

    given = [f"--{name}" for name in _OF_TABLES if asked[name]]
    if given:
        raise InputError(
            f"{' and '.join(given)} {'belongs' if len(given) == 1 else 'belong'} to two tables without a mapping",
            next_step=f"leave out the mapping, or {'this' if len(given) == 1 else 'these'}",
        )
    options = VerifyOptions(
        asked["source"],
        asked["target"],
        asked["ledger_schema"],
        asked["max_differences"],
        asked["allow_empty"],
        asked["scan"],
        asked["live"],
        None
        if asked["state"] is None
        else StateAt(asked["state"], lambda what, piece: screen.note(screen.say(f"state_{what}", piece=piece))),
    )
    return lambda watch: compare(mapping, options, watch)


def _two_tables(asked: dict[str, Any]) -> Compare:
    from migrate.verify.tables import TwoTables, verify_tables

    missing = [f"--{name}" for name in ("source", "table", "target", "into") if asked[name] is None]
    if missing:
        raise InputError(
            f"without a mapping file {', '.join(missing)} must be given",
            next_step="migrate verify MAPPING, or both tables: --source URL --table T --target URL --into U",
        )
    if asked["ledger_schema"] is not None:
        raise InputError(
            "--ledger-schema belongs to a mapping: two tables have no ledger",
            next_step="leave it out, or name a mapping",
        )
    if asked["state"] is not None:
        raise InputError("--state belongs to a mapping", next_step="leave it out, or name a mapping")
    if asked["live"]:
        raise InputError(
            "--live belongs to a mapping", next_step="compare two tables while nobody writes to them, or name a mapping"
        )
    tables = TwoTables(
        asked["source"],
        asked["table"],
        asked["target"],
        asked["into"],
        _key(asked["key"]),
        asked["max_differences"],
        asked["allow_empty"],
        asked["scan"],
    )
    return lambda watch: verify_tables(tables, watch)


def _key(given: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of `--key`, which is given at most once."""
    if len(given) > 1:
        raise InputError(
            f"--key is given {len(given)} times", next_step=f"name all columns at once: --key {','.join(given)}"
        )
    names = [name.strip() for name in given[0].split(",")] if given else []
    if not all(names):
        raise InputError("--key has an empty name", next_step="name the columns that identify a row: --key A,B")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"--key names {', '.join(twice)} more than once", next_step="name each column once")
    return tuple(names)


def _refuse_place(report: Path) -> None:
    """Raise InputError where no file can be, StateError for a file that is no page: a slip of the hand must not cost a database."""
    if not report.parent.is_dir():
        raise InputError(
            f"there is no folder {report.parent} for the report", next_step="make it, or choose another file"
        )
    if report.is_dir():
        raise InputError(f"{report} is a folder", next_step="name a file for the report")
    if report.is_file() and not _is_page(report):
        raise StateError(
            f"{report} is there already, and is no report",
            next_step="choose another file: only a report is written over",
        )


def _is_page(file: Path) -> bool:
    """Whether a file may be written over: it is a page, or empty."""
    try:
        with file.open("rb") as content:
            start = content.read(len(_PAGE))
    except OSError as error:
        raise EnvironmentFault(
            f"{file} cannot be read: {error.strerror}", next_step="choose another file for the report"
        ) from error
    return start in (b"", _PAGE)


def _write(screen: Screen, verification: Verification, report: Path) -> Text:
    from migrate.report.verification import verification_html

    try:
        report.write_text(verification_html(verification, screen.settings.lang), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            f"the report cannot be written: {error.strerror}", where=str(report), next_step="choose another file"
        ) from error
    return Text(screen.say("report_written", file=report))
