"""`migrate backup`: what a mapping answers for in the target, kept as files, restore-tested, and put back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import RenderableType
from rich.text import Text

from migrate.cli.asking import ask
from migrate.cli.driving import driven
from migrate.cli.options import FILE, Group, in_target, with_screen
from migrate.cli.screen import Screen, add_rows
from migrate.cli.signals import beside, stop_on_signals
from migrate.cli.summaries import summary
from migrate.cli.watching import Watcher
from migrate.units import count_text

if TYPE_CHECKING:
    from migrate.backup.manifest import Manifest
    from migrate.backup.opened import Wanted
    from migrate.engine.options import RunOptions

T = TypeVar("T")

_DIR = click.option(
    "--dir",
    "holder",
    type=FILE,
    default=Path("backups"),
    metavar="DIR",
    help="Folder that holds backups, each in a folder of its own (default: backups).",
)
_BACKUP = click.option("--backup", metavar="ID", help="This backup, instead of the mapping's newest.")
_TRUST = click.option(
    "--trust", type=FILE, metavar="PUBKEY", help="Refuse a backup that the owner of this public key did not sign."
)


def of_backup(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which backup is meant; the command gets them as `Wanted` in `wanted`."""

    @functools.wraps(function)
    def wrapped(*given: Any, holder: Path, backup: str | None, trust: Path | None, **named: Any) -> Any:
        from migrate.backup.opened import Wanted

        return function(*given, wanted=Wanted(holder, backup, trust), **named)

    command: Callable[..., Any] = wrapped
    for option in (_TRUST, _BACKUP, _DIR):
        command = option(command)
    return command


@click.group(cls=Group)
def backup() -> None:
    """Keep what a mapping answers for in the target as files, restore-test them, and put it back."""


@backup.command(example="migrate backup create mapping.yaml --dir backups")
@click.argument("mapping", type=FILE)
@_DIR
@click.option("--signing-key", type=FILE, metavar="KEY", help="Sign it with this private key (certificate keygen).")
@in_target
@with_screen
def create(screen: Screen, mapping: Path, *, options: RunOptions, holder: Path, signing_key: Path | None) -> int:
    """Write all rows within the mapping's scope, with all columns, into a new folder."""
    from migrate.backup.create import create as create_backup
    from migrate.backup.opened import in_holder
    from migrate.engine.databases import as_typed

    made = _watched(
        screen,
        "backing_up",
        "there is no backup",
        lambda watch: create_backup(mapping, holder, options, signing_key, watch),
    )
    screen.result(
        {**made.manifest.to_json(), "folder": str(made.folder)},
        *_picture(made.manifest, screen),
        Text(screen.say("backup_made", folder=made.folder)),
    )
    screen.note(screen.say("backup_check_next", mapping=f"{as_typed(mapping, options)}{in_holder(holder)}"))
    return 0


@backup.command(example="migrate backup check mapping.yaml --dir backups")
@click.argument("mapping", type=FILE)
@of_backup
@in_target
@with_screen
def check(screen: Screen, mapping: Path, *, options: RunOptions, wanted: Wanted) -> int:
    """Restore a backup into scratch tables of the target, and compare them with what was backed up."""
    from migrate.backup.check import check as check_backup

    checked = _watched(
        screen,
        "checking_backup",
        "the backup is not checked",
        lambda watch: check_backup(mapping, wanted, options, watch),
    )
    screen.result(
        {
            **checked.manifest.to_json(),
            "folder": str(checked.folder),
            "current": checked.current,
            "tidied": list(checked.tidied),
        },
        *_picture(checked.manifest, screen),
        *([Text(screen.say("scratch_tidied", tables=", ".join(checked.tidied)))] if checked.tidied else []),
        Text(screen.say("backup_holds"), style="bold green"),
        *([] if checked.current else [Text(screen.say("backup_old"), style="yellow")]),
    )
    return 0


@backup.command(example="migrate backup restore mapping.yaml --dir backups --yes")
@click.argument("mapping", type=FILE)
@of_backup
@click.option("--yes", is_flag=True, help="Do not ask.")
@in_target
@with_screen
def restore(screen: Screen, mapping: Path, *, options: RunOptions, wanted: Wanted, yes: bool) -> int:
    """Put the rows within the mapping's scope back to what a backup has, and take the newest run back with them."""
    from migrate.backup.restore import restore as restore_backup
    from migrate.backup.restore import survey

    manifest = survey(mapping, wanted, options)
    if not yes:
        ask(screen, "restore_asked", **_asked(manifest))
    # What was agreed to is what is restored, though another backup was made meanwhile.
    named = replace(wanted, backup=manifest.backup)
    done = driven(screen, lambda stop, listen: restore_backup(mapping, named, options, stop=stop, listen=listen))
    tables = {name: table.to_json() for name, table in done.tables.items()}
    numbers = ("rows", "identical", "overwritten", "inserted", "deleted")
    shown = screen.table("target", *numbers, numbers=range(1, 6))
    add_rows(shown, ((name, *(count_text(table[each]) for each in numbers)) for name, table in tables.items()))
    screen.result(
        {**done.summary.to_json(), "restore": {"backup": manifest.backup, "targets": tables}},
        summary(done.summary, screen),
        shown,
        Text(),
        Text(screen.say("restored", backup=manifest.backup, made_at=manifest.made_at), style="bold green"),
    )
    return 0


def _watched(screen: Screen, saying: str, left: str, work: Callable[[Callable[[int], None]], T]) -> T:
    """What `work` returns, with its rows on the terminal meanwhile; a signal ends it at the next rows that it reports."""
    from migrate.engine.stop import StopToken

    stop = StopToken()
    with Watcher(screen, stop, saying, left) as watch, stop_on_signals(stop):
        return beside(lambda: work(partial(watch, "target")))


def _asked(manifest: Manifest) -> dict[str, str]:
    return {
        "mapping": manifest.mapping,
        "backup": manifest.backup,
        "made_at": manifest.made_at,
        "rows": count_text(manifest.rows),
        "targets": ", ".join(manifest.tables),
    }


def _picture(manifest: Manifest, screen: Screen) -> list[RenderableType]:
    tables = ((name, count_text(table.rows), table.scope, str(table.digest)) for name, table in manifest.tables.items())
    return [
        Text.assemble((manifest.mapping, "bold"), "  ", (manifest.backup, "dim"), "  ", (manifest.made_at, "dim")),
        Text(),
        add_rows(screen.table("target", "rows", "scope", "digest", numbers=[1]), tables),
        Text(),
    ]
