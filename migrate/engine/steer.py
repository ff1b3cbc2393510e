"""What operators do from another terminal: status, pause, resume, throttle, and a look at the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrate.engine.access import chosen_run, ledger_of, run_of
from migrate.engine.options import RunOptions
from migrate.engine.summary import RunSummary, summarise
from migrate.errors import InputError
from migrate.ledger import steering
from migrate.ledger.connection import Ledger
from migrate.ledger.log import LogVerdict, read_events, verify_log
from migrate.ledger.runs import Entry, Run, all_runs, current_run, read_entries, read_passes

if TYPE_CHECKING:
    from migrate.signing.note import Checkpoint


def status(path: Path | None, options: RunOptions) -> list[RunSummary]:
    """The newest run of a mapping, or all runs of a target; those that `options` name."""
    with ledger_of(path, options) as (ledger, name):
        if name is None:
            runs = [each for each in all_runs(ledger) if options.run in {None, each.run}]
            if options.run is not None and not runs:
                raise InputError(f"this database has no run {options.run}", next_step="migrate status without --run")
        elif options.run is None and options.pass_no is None and current_run(ledger, name) is None:
            runs = []
        else:
            runs = [chosen_run(ledger, name, path, options)]
        return [summarise(ledger, run, options.pass_no) for run in runs]


def pause(path: Path, reason: str, options: RunOptions) -> Run:
    """Pause the run at its next batch border."""
    if not reason.strip():
        raise InputError("a pause needs a reason", next_step='--reason "why it must stop"')
    with run_of(path, options) as (ledger, run):
        steering.pause(ledger, run.mapping, reason)
        return run


def resume(path: Path, options: RunOptions) -> tuple[Run, str | None]:
    """Clear the pause and start nothing; the run, and the reason it was paused for."""
    with run_of(path, options) as (ledger, run):
        return run, steering.resume(ledger, run.mapping)


def throttle(path: Path, rows_per_second: int | None, options: RunOptions) -> Run:
    """Limit the run; None or 0 lifts the limit."""
    if rows_per_second is not None and rows_per_second < 0:
        raise InputError(
            f"{rows_per_second} rows per second is no speed", next_step="give a positive number, or 0 for no limit"
        )
    with run_of(path, options) as (ledger, run):
        steering.throttle(ledger, run.mapping, rows_per_second or None)
        return run


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What `ledger show` shows of one run: the run, its batches in the order in which they changed the target, its events.

    `undone`: for each batch of a rollback, by its `applied_seq`, the pass and range that it took back.
    """

    run: Run
    entries: tuple[Entry, ...]
    events: tuple[dict[str, Any], ...]
    undone: Mapping[int, tuple[int, int]]


def ledger_show(path: Path, options: RunOptions) -> LedgerView:
    """The newest run of a mapping, or what `options` name, as the ledger has it."""
    with run_of(path, options) as (ledger, run):
        entries = read_entries(ledger, run.run)
        shown = tuple(each for each in entries if options.pass_no in {None, each.pass_no})
        return LedgerView(run, shown, tuple(read_events(ledger, run.run)), _undone(ledger, run, entries))


def _undone(ledger: Ledger, run: Run, entries: Sequence[Entry]) -> dict[int, tuple[int, int]]:
    """A batch of a rollback has the number of the one that it took back in the place of a range."""
    passes = {each.number for each in read_passes(ledger, run.run) if each.kind == "rollback"}
    numbers = {each.applied_seq: (each.pass_no, each.range_no) for each in entries}
    return {
        each.applied_seq: numbers[each.range_no]
        for each in entries
        if each.pass_no in passes and each.range_no in numbers
    }


def ledger_verify(path: Path | None, options: RunOptions, kept: Checkpoint | None = None) -> LogVerdict:
    """Check the chain of a ledger, everything that it seals, and that it begins with what a kept checkpoint was made over.

    Without such a checkpoint, StateError where there is no ledger; with one, that is a finding: there was one.
    """
    # Its cryptography holds 10 MB (measured), which no run needs.
    from migrate.ledger.checkpoint import checkpoint_findings

    with ledger_of(path, options, required=kept is None) as (ledger, _):
        more = () if kept is None else tuple(checkpoint_findings(ledger, kept))
        if not ledger.exists():
            return LogVerdict(0, 0, 0, more)
        verdict = verify_log(ledger)
        return replace(verdict, findings=(*verdict.findings, *more))
