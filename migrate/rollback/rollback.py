"""Roll a run back: the lease first, then batch after batch, newest first, each in one transaction of its own.

    take the lease; the run is *rolling back* from here on
    for each batch that stands, by descending applied_seq
        fence, claim, lock its rows, hold them against its records, put them back, entry, commit
    seal; the run is *rolled back*

A rollback is a pass of its own. The batch that takes back the entry with `applied_seq` n has n as its range number, so that its claim says
what it takes back, and a second attempt is refused. Whatever stops it, the same command goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from migrate.engine.access import run_of
from migrate.engine.events import BatchDone, Listener, PhaseStarted
from migrate.engine.options import RunOptions
from migrate.engine.preflight import in_key_order
from migrate.engine.start import how_it_goes_back, take_lease
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary, summarise
from migrate.errors import Interrupted, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import HeldLedger, Holding, held_by_another, read_lease
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import Entry, Pass, Run, begin_pass, end_pass, read_entries, read_passes, read_run, set_state
from migrate.ledger.steering import lift_pause
from migrate.rollback.attempt import Attempt, attempting
from migrate.rollback.batch import BatchRollback, Changed, Standing, rows_that_stayed
from migrate.rollback.records import require_undo
from migrate.rollback.survey import Survey, require_still, rows_in_the_way
from migrate.values import TableShape
from migrate.write.transaction import AlreadyApplied, BatchId


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback came to: how the run stands, how many batches and rows of the source went back now, and the rows that stay.

    `staying` has those of earlier attempts at the same rollback too.
    """

    summary: RunSummary
    batches: int
    rows: int
    staying: tuple[Standing, ...]


def survey(path: Path, options: RunOptions, *, rows: bool) -> Survey:
    """What a rollback of the newest run would take back; `rows`: also which rows stand in its way. Writes nothing.

    Raises StateError when there is no run, another process holds it, or undo records cannot be used.
    """
    with run_of(path, options) as (ledger, run):
        _refuse_held(ledger, run, read_lease(ledger, run.mapping))
        seen = _survey(ledger, run)
        if not rows:
            return seen
        in_the_way = tuple(rows_in_the_way(ledger, run.run, seen.entries, seen.shapes))
        return Survey(seen.mapping, seen.run, seen.state, seen.entries, seen.shapes, in_the_way)


def rollback(path: Path, options: RunOptions, changed: Changed, *, stop: StopToken, listen: Listener) -> RolledBack:
    """Take back the newest run of a mapping; on a run that is rolled back already it does nothing.

    Raises:
        StateError: there is no run, another process holds it, or undo records cannot be used.
        RowsChanged: rows of a batch are not as the run left them; nothing of that batch was touched, newer ones went back.
        Interrupted: stopped between two batches.
        EnvironmentFault: the database is out of reach after retries.
    """
    with run_of(path, options) as (ledger, named):
        # As for `run`: looked at before the run is judged, so that whoever takes the lease meanwhile is seen.
        holding = read_lease(ledger, named.mapping)
        run = read_run(ledger, named.run) or named
        if run.state == "rolled_back":
            return RolledBack(summarise(ledger, run), 0, 0, ())
        _refuse_held(ledger, run, holding)
        seen = _survey(ledger, run)
        lease = take_lease(ledger, run.mapping, run.run, holding, listen)
        held = HeldLedger(ledger, lease)
        resumed = run.state == "rolling_back"
        add_event(held, run.mapping, run.run, "rollback", {"epoch": lease.epoch, "changed": changed})
        set_state(held, run.run, "rolling_back")
        attempt = Attempt(held, run, lease, _rollback_pass(held, run), stop, listen)
        with attempting(attempt, seen.counts.read, resumed=resumed):
            _take_back(attempt, seen, changed)
            _finish(attempt)
        done = summarise(ledger, read_run(ledger, run.run) or run)
        staying = rows_that_stayed(ledger, run.run, attempt.pass_no)
        return RolledBack(done, len(seen.entries), seen.counts.read, staying)


def standing_entries(ledger: Ledger, run: str) -> list[Entry]:
    """The batches of a run that neither a rollback nor a restored backup has taken back, newest first."""
    passes = read_passes(ledger, run)
    backwards = {each.number for each in passes if each.kind == "rollback"}
    restored = {each.number for each in passes if each.kind == "restore"}
    entries = read_entries(ledger, run)
    if any(each.pass_no in restored for each in entries):
        return []
    taken = {each.range_no for each in entries if each.pass_no in backwards}
    forwards = [each for each in entries if each.pass_no not in backwards and each.applied_seq not in taken]
    return forwards[::-1]


def _refuse_held(ledger: Ledger, run: Run, holding: Holding | None) -> None:
    if holding is None or holding.run != run.run:
        raise StateError(
            f"run {run.run} is not the newest of {run.mapping}: only that one can be rolled back",
            next_step="`migrate status` shows it",
        )
    if holding.live:
        raise held_by_another(run.mapping, holding)
    if run.state == "rolling_back" and how_it_goes_back(ledger, run) != "rollback":
        raise StateError(
            f"run {run.run} of {run.mapping} is being restored from a backup: its undo records do not fit any more",
            next_step="finish that: migrate backup restore",
        )


def _survey(ledger: Ledger, run: Run) -> Survey:
    entries = tuple(standing_entries(ledger, run.run))
    require_undo(ledger, run.run, entries)
    shapes = _shapes(ledger, entries)
    require_still(run.run, shapes)
    return Survey(run.mapping, run.run, run.state, entries, shapes)


def _shapes(ledger: Ledger, entries: Sequence[Entry]) -> dict[str, TableShape]:
    """The tables that these batches wrote, parents first; those that are gone are missing."""
    names = dict.fromkeys(name for entry in reversed(entries) for name in entry.counts.targets)
    found = {name: shape for name in names if (shape := ledger.store.describe(name)) is not None}
    return {name: found[name] for name in in_key_order(found)}


def _rollback_pass(ledger: Ledger, run: Run) -> Pass:
    """The rollback pass that was begun and not ended, or a new one."""
    last = read_passes(ledger, run.run)
    if last and last[-1].kind == "rollback" and last[-1].ended_ms is None:
        return last[-1]
    return begin_pass(ledger, run.run, "rollback", None)


def _take_back(attempt: Attempt, seen: Survey, changed: Changed) -> None:
    attempt.listen(PhaseStarted(seen.mapping, "rollback"))
    batches = BatchRollback(attempt.ledger, seen.run, seen.shapes, changed)
    grouped = frozenset(attempt.run.settings.get("grouped", ()))
    for entry in seen.entries:
        if attempt.stop.is_set:
            raise Interrupted(
                f"stopped between two batches: {attempt.stop.reason}", next_step="run the same command again to go on"
            )
        began = time.monotonic()
        _, attempts = attempt.persist(
            partial(_one, attempt, batches, entry, grouped), f"taking batch {entry.pass_no}/{entry.range_no} back"
        )
        attempt.done = attempt.done + entry.counts
        attempt.batches += 1
        attempt.listen(
            BatchDone(seen.mapping, seen.run, entry.applied_seq, entry.counts, time.monotonic() - began, attempts)
        )


def _one(attempt: Attempt, batches: BatchRollback, entry: Entry, grouped: frozenset[str]) -> None:
    """One batch taken back and committed; nothing where an earlier attempt has committed it."""
    session = attempt.session
    transaction = attempt.transaction(BatchId(attempt.run.run, attempt.pass_no, entry.applied_seq))
    try:
        transaction.begin("rollback")
        batches.take_back(transaction, session, entry)
        transaction.finish([name for name in entry.counts.targets if name not in grouped])
    except AlreadyApplied:
        return
    except BaseException:
        transaction.abandon()
        raise


def _finish(attempt: Attempt) -> None:
    run = attempt.run
    end_pass(attempt.ledger, run.run, attempt.pass_no)
    add_event(attempt.ledger, run.mapping, run.run, "rolled-back", {"pass": attempt.pass_no})
    lift_pause(attempt.ledger, run.mapping)
    seal(attempt.ledger, run.run)
    set_state(attempt.ledger, run.run, "rolled_back")
