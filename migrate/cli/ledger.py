"""`migrate ledger`: the log of what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.table import Table
from rich.text import Text

from migrate.cli.asking import ask
from migrate.cli.driving import driven
from migrate.cli.options import FILE, Group, in_target, of_run, with_screen
from migrate.cli.screen import Screen, add_rows
from migrate.errors import InputError
from migrate.units import count_text, duration_text, size_text

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions
    from migrate.engine.prune import UndoSpace
    from migrate.engine.steer import LedgerView
    from migrate.ledger.log import LogFinding
    from migrate.ledger.runs import Entry
    from migrate.signing.note import Checkpoint


_COUNTS: Final = ("read", "mapped", "filtered", "rejected", "pending")
_DIGESTS: Final = frozenset({"fingerprint", "manifest", "scope"})
"""Details that are digests: their beginning tells them apart."""
_DIGEST: Final = 16
_DAY: Final = len("2026-01-01 ")


@click.group(cls=Group)
def ledger() -> None:
    """Read and check the log of what was done."""


@ledger.command(example="migrate ledger show mapping.yaml")
@click.argument("mapping", type=FILE)
@of_run
@with_screen
def show(screen: Screen, mapping: Path, *, options: RunOptions) -> int:
    """Show the newest run of a mapping: its batches in the order in which they changed the target, and its events."""
    from migrate.engine.steer import ledger_show

    view = ledger_show(mapping, options)
    screen.result(_document(view), *_pictures(screen, view))
    return 0


@ledger.command(example="migrate ledger verify mapping.yaml")
@click.argument("mapping", required=False, type=FILE)
@in_target
@click.option(
    "--checkpoint", type=FILE, metavar="FILE", help="Also compare with this checkpoint: a certificate, or its lines."
)
@click.option(
    "--trust",
    type=FILE,
    metavar="PUBKEY",
    help="Public key that signed the checkpoint; not for lines copied from paper.",
)
@with_screen
def verify(
    screen: Screen, mapping: Path | None, *, checkpoint: Path | None, trust: Path | None, options: RunOptions
) -> int:
    """Check the hash chain of a ledger and everything that it seals; exit 1 when something does not hold."""
    from migrate.engine.steer import ledger_verify

    kept = _kept(checkpoint, trust)
    verdict = ledger_verify(mapping, options, kept)
    holds = Text(
        screen.say("chain_holds", seals=count_text(verdict.seals), entries=count_text(verdict.entries)), style="green"
    )
    lines = [Text(_told(finding, screen), style="red") for finding in verdict.findings] or [holds]
    if kept is not None and not verdict.findings:
        lines.append(Text(screen.say("log_extends", seals=count_text(kept.size)), style="green"))
    if verdict.unsealed:
        lines.append(Text(screen.say("unsealed", entries=count_text(verdict.unsealed)), style="dim"))
    screen.result(asdict(verdict), *lines)
    return 1 if verdict.findings else 0


@ledger.command(example="migrate ledger prune mapping.yaml --dry-run")
@click.argument("mapping", type=FILE)
@in_target
@click.option("--run", metavar="ID", help="This run, instead of the newest.")
@click.option("--dry-run", is_flag=True, help="Say how much space undo records hold; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_screen
def prune(screen: Screen, mapping: Path, *, options: RunOptions, run: str | None, dry_run: bool, yes: bool) -> int:
    """Drop the undo records of a run that was signed off: it cannot be taken back any more."""
    from migrate.engine.prune import prune as drop
    from migrate.engine.prune import undo_space

    where = replace(options, run=run)
    space = undo_space(mapping, where)
    if not dry_run and space.chunks:
        if not yes:
            ask(screen, "prune_ask", **_space(space))
        # What was agreed to is what is dropped, though another run was begun meanwhile.
        named = replace(options, run=space.run)
        space = driven(screen, lambda stop, listen: drop(mapping, named, stop=stop, listen=listen))
    said = "nothing_to_prune" if not space.chunks else "would_prune" if dry_run else "pruned"
    screen.result({**asdict(space), "dropped": not dry_run}, Text(screen.say(said, **_space(space))))
    return 0


def _space(space: UndoSpace) -> dict[str, str]:
    return {
        "run": space.run,
        "mapping": space.mapping,
        "size": size_text(space.held_bytes),
        "chunks": count_text(space.chunks),
        "rows": count_text(space.records),
    }


def _told(finding: LogFinding, screen: Screen) -> str:
    return f"{screen.say('seal')} {finding.seal_no}: {finding.what}" if finding.seal_no else finding.what


def _kept(checkpoint: Path | None, trust: Path | None) -> Checkpoint | None:
    from migrate.certificate.kept import read_kept_checkpoint

    if checkpoint is None:
        if trust is not None:
            raise InputError(
                "--trust belongs to --checkpoint", next_step="give --checkpoint FILE too, or leave out --trust"
            )
        return None
    return read_kept_checkpoint(checkpoint, trust)


def _pictures(screen: Screen, view: LedgerView) -> Iterator[Any]:
    run = view.run
    yield Text.assemble((run.mapping, "bold"), "  ", screen.say(run.state), "  ", (run.run, "dim"))
    yield Text()
    yield _batches(screen, view)
    yield Text()
    yield add_rows(
        screen.table("when", "event", "detail"),
        ((_moment(event["at_ms"]), event["kind"], _detail(event["detail"])) for event in view.events),
    )


def _batches(screen: Screen, view: LedgerView) -> Table:
    """All columns where the page has room for them; else without the pace, the day, and the counts that are 0 throughout."""
    whole = _batch_table(screen, view, _COUNTS, brief=False)
    if screen.natural_width(whole) <= screen.out.width:
        return whole
    counted = [name for name in _COUNTS if name == "read" or any(getattr(each.counts, name) for each in view.entries)]
    return _batch_table(screen, view, counted, brief=True)


def _batch_table(screen: Screen, view: LedgerView, counts: Sequence[str], *, brief: bool) -> Table:
    headings = ["seq", "pass", "range", *counts, *([] if brief else ["took"]), "when"]
    table = screen.table(*headings, numbers=range(len(headings) - 1))
    rows = (
        (
            entry.applied_seq,
            entry.pass_no,
            _range(entry, view),
            *(count_text(getattr(entry.counts, name)) for name in counts),
            *([] if brief else [duration_text(entry.took_ms / 1000)]),
            _moment(entry.applied_ms)[_DAY if brief else 0 :],
        )
        for entry in view.entries
    )
    return add_rows(table, rows)


def _range(entry: Entry, view: LedgerView) -> str:
    """The range of the source; of a rollback `pass/range` of what it took back."""
    if entry.applied_seq in view.undone:
        pass_no, range_no = view.undone[entry.applied_seq]
        return f"{pass_no}/{range_no}"
    # The last phase has entries of its own, which are no range of the source.
    return str(entry.range_no) if entry.range_no >= 0 else ""


def _document(view: LedgerView) -> dict[str, Any]:
    run = view.run
    return {
        "mapping": run.mapping,
        "run": run.run,
        "state": run.state,
        "fingerprint": run.fingerprint,
        "mapping_text": run.mapping_text,
        "batches": [{**asdict(entry), **_takes_back(entry, view)} for entry in view.entries],
        "events": list(view.events),
    }


def _takes_back(entry: Entry, view: LedgerView) -> dict[str, Any]:
    names = ("pass", "range")
    undone = view.undone.get(entry.applied_seq)
    return {} if undone is None else {"takes_back": dict(zip(names, undone, strict=True))}


def _detail(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {_short(name, value)}" for name, value in detail.items() if value is not None)


def _short(name: str, value: object) -> str:
    """What fits into a table; --json has all of it."""
    if name == "mapping":
        return f"{len(str(value).splitlines())} lines"
    if isinstance(value, dict):
        return f"({_detail(value)})"
    if isinstance(value, list):
        return " ".join(str(each) for each in value)
    return str(value)[:_DIGEST] if name in _DIGESTS else str(value)


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
