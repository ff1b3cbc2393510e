"""`migrate verify`: is the target what the mapping makes of the source?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from migrate.cli.options import FILE, Command, source_and_target, with_screen
from migrate.cli.screen import Screen
from migrate.cli.signals import beside, stop_on_signals
from migrate.cli.verification import verification_summary
from migrate.cli.watching import Watcher
from migrate.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    from migrate.verify.scans import Watch
    from migrate.verify.verdict import Verification

    Compare = Callable[[Watch], Verification]

_OF_TABLES = ("table", "into", "key")


@click.command(cls=Command, example="migrate verify mapping.yaml --report verification.html")
@click.argument("mapping", required=False, type=FILE)
@source_and_target
@click.option("--table", metavar="T", help="Without a mapping: the source's table.")
@click.option("--into", metavar="U", help="Without a mapping: the target's table.")
@click.option(
    "--key", metavar="A,B", help="Without a mapping: columns that name a row (default: the target's primary key)."
)
@click.option(
    "--max-differences",
    type=click.IntRange(min=0),
    default=100,
    metavar="N",
    help="How many differences to list; all are counted (default: 100).",
)
@click.option("--allow-empty", is_flag=True, help="Nothing to compare is no reason to doubt.")
@click.option("--report", type=FILE, metavar="FILE", help="Write one self-contained HTML page, Chinese and English.")
@with_screen
def verify(screen: Screen, mapping: Path | None, *, report: Path | None, **asked: Any) -> int:
    """Compare the mapped source with the target, or two tables of one shape, to the last row and column."""
    from migrate.engine.stop import StopToken

    compare = _two_tables(asked) if mapping is None else _mapped(mapping, asked)
    if report is not None and not report.parent.is_dir():
        # Told before hours of reading, not after them.
        raise InputError(
            f"there is no folder {report.parent} for the report", next_step="make it, or choose another file"
        )
    stop = StopToken()
    with Watcher(screen, stop) as watch, stop_on_signals(stop):
        verification = beside(lambda: compare(watch))
    if report is not None:
        _write(screen, verification, report)
    shown = [] if report is None else [Text(screen.say("report_written", file=report))]
    screen.result(verification.to_json(), verification_summary(verification, screen), *shown)
    return verification.exit_code


def _mapped(mapping: Path, asked: dict[str, Any]) -> Compare:
    from migrate.verify.verify import VerifyOptions
    from migrate.verify.verify import verify as compare

    given = [f"--{name}" for name in _OF_TABLES if asked[name] is not None]
    if given:
        raise InputError(
            f"{' and '.join(given)} belong to two tables without a mapping", next_step="leave out the mapping, or these"
        )
    options = VerifyOptions(
        asked["source"], asked["target"], asked["ledger_schema"], asked["max_differences"], asked["allow_empty"]
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
    key = tuple(name.strip() for name in (asked["key"] or "").split(",") if name.strip())
    tables = TwoTables(
        asked["source"],
        asked["table"],
        asked["target"],
        asked["into"],
        key,
        asked["max_differences"],
        asked["allow_empty"],
    )
    return lambda watch: verify_tables(tables, watch)


def _write(screen: Screen, verification: Verification, report: Path) -> None:
    from migrate.report.verification import verification_html

    try:
        report.write_text(verification_html(verification, screen.settings.lang), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            f"the report cannot be written: {error.strerror}", where=str(report), next_step="choose another file"
        ) from error
