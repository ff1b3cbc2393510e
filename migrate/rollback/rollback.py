"""Roll a run back, or a part of it: the lease first, then batch after batch, newest first, each in one transaction of its own.

    find the batches that are meant, and refuse what cannot go without others
    take the lease; the run is *rolling back* from here on
    take them back by descending applied_seq (`sequence`)
    seal; the run is *rolled back*, or *interrupted* with ranges that `run` does again

A rollback is a pass of its own. The batch that takes back the entry with `applied_seq` n has n as its range number, so that its claim says
what it takes back, and a second attempt is refused. Whatever stops it, the same command goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from migrate.engine.access import run_of
from migrate.engine.events import Listener, PhaseStarted
from migrate.engine.options import RunOptions
from migrate.engine.preflight import in_key_order
from migrate.engine.start import how_it_goes_back, take_lease
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary, summarise
from migrate.errors import StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.lease import HeldLedger, Holding, held_by_another, read_lease
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import (
    Entry,
    Pass,
    Run,
    State,
    begin_pass,
    end_pass,
    read_entries,
    read_passes,
    read_run,
    set_state,
)
from migrate.ledger.standing import open_ranges, standing_entries
from migrate.ledger.steering import lift_pause
from migrate.rollback.again import Stayed, stayed
from migrate.rollback.attempt import Attempt, attempting, refuse_paused
from migrate.rollback.batch import BatchRollback
from migrate.rollback.dependants import dependants_of
from migrate.rollback.held import holders
from migrate.rollback.in_order import InOrder
from migrate.rollback.records import is_pruned, require_undo
from migrate.rollback.request import Request
from migrate.rollback.selection import selected
from migrate.rollback.staying import Standing, refusal
from migrate.rollback.survey import Survey, can_go_by_now, first_held, require_still, rows_in_the_way
from migrate.values import TableShape


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback came to: how the run stands, how many batches and rows of the source went back now, and the rows that stay.

    `staying` has those of earlier attempts too; `again` counts rows that had stayed before and are back now.
    """

    summary: RunSummary
    batches: int
    rows: int
    staying: tuple[Standing, ...]
    again: int = 0


def survey(path: Path, options: RunOptions, request: Request, *, rows: bool) -> Survey:
    """What a rollback would take back of the newest run; `rows`: also which rows stand in its way. Writes nothing.

    Raises StateError when there is no run, another process holds it, undo records cannot be used, or it cannot be taken back in that part.
    """
    with run_of(path, replace(options, pass_no=request.pass_no)) as (ledger, run):
        _refuse_held(ledger, run, read_lease(ledger, run.mapping))
        seen = _survey(ledger, run, request)
        if not (rows and seen.entries):
            return seen
        pointing = holders(ledger, seen.shapes, dependants_of(ledger, run, options, seen.shapes))
        return replace(seen, in_the_way=tuple(rows_in_the_way(ledger, seen, pointing)))


def rollback(path: Path, options: RunOptions, request: Request, *, stop: StopToken, listen: Listener) -> RolledBack:
    """Take back the newest run of a mapping, or what the request names of it; what is back already is left alone.

    Raises:
        InputError: the run has no such pass or batch.
        StateError: there is no run, another process holds it, undo records cannot be used, or it cannot be taken back in that part.
        RowsChanged: rows of a batch are not as the run left them; nothing of that batch was touched, newer ones went back. Or rows of other
            tables point at some of them; then nothing was touched.
        Paused, Interrupted: stopped between two batches.
        EnvironmentFault: the database is out of reach after retries.
    """
    with run_of(path, replace(options, pass_no=request.pass_no)) as (ledger, named):
        # As for `run`: looked at before the run is judged, so that whoever takes the lease meanwhile is seen.
        holding = read_lease(ledger, named.mapping)
        run = read_run(ledger, named.run) or named
        left = stayed(ledger, run.run)
        if run.state == "rolled_back" and not _may_try_again(left, holding, run, request):
            return RolledBack(summarise(ledger, run), 0, 0, left.all_rows)
        _refuse_held(ledger, run, holding)
        seen = _survey(ledger, run, request)
        if not (seen.any or _unfinished(run, request)):
            return RolledBack(summarise(ledger, run), 0, 0, left.all_rows)
        if seen.entries and not (request.whole and request.changed == "skip"):
            _refuse_pointed_at(ledger, run, options, seen, request)
        begun = _begun(ledger, run)
        if holding is not None and begun is not None:
            refuse_paused(run, holding.steering, begun.started_ms)
        lease = take_lease(ledger, run.mapping, run.run, holding, listen)
        held = HeldLedger(ledger, lease)
        add_event(held, run.mapping, run.run, "rollback", {"epoch": lease.epoch, **request.to_json()})
        set_state(held, run.run, "rolling_back")
        current = begun or begin_pass(held, run.run, "rollback", None)
        attempt = Attempt(held, run, lease, current, stop, listen)
        with attempting(attempt, seen.counts.read, resumed=run.state == "rolling_back"):
            _take_back(attempt, seen, request)
            _finish(attempt, request)
        done = summarise(ledger, read_run(ledger, run.run) or run)
        left = stayed(ledger, run.run)
        tried, still = (
            sum(len(each.rows.get(entry.applied_seq, ())) for entry in seen.again) for each in (seen.stayed, left)
        )
        return RolledBack(done, len(seen.entries), seen.counts.read, left.all_rows, tried - still)


def _may_try_again(left: Stayed, holding: Holding | None, run: Run, request: Request) -> bool:
    """Rows that stayed of the newest run may go by now; an older run is history."""
    return bool(left.entries) and request.whole and holding is not None and holding.run == run.run


def _unfinished(run: Run, request: Request) -> bool:
    """Is there something to end, though no batch is left?"""
    return run.state == "rolling_back" or (request.whole and run.state != "rolled_back")


def _refuse_pointed_at(ledger: Ledger, run: Run, options: RunOptions, seen: Survey, request: Request) -> None:
    """Raise RowsChanged where the database would not delete a row for the sake of other tables' rows."""
    pointing = dependants_of(ledger, run, options, seen.shapes)
    held = first_held(ledger, seen, holders(ledger, seen.shapes, pointing))
    if held:
        commands = "; ".join(each.command for each in pointing)
        leave = ", or leave these rows as they are: --changed skip" if request.whole else ""
        raise refusal(
            run.run,
            request.what if request.whole else f"{request.what} of the run",
            held,
            next_step=f"nothing was touched; first take back what points at them: {commands or 'those rows are of no mapping'}{leave}",
        )


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


def _survey(ledger: Ledger, run: Run, request: Request) -> Survey:
    entries = selected(ledger, run, request)
    require_undo(ledger, run.run, entries)
    left = stayed(ledger, run.run)
    again = _to_try_again(ledger, run, left) if request.whole else ()
    shapes = _shapes(ledger, [*entries, *again])
    require_still(run.run, shapes)
    return Survey(run.mapping, run.run, run.state, entries, shapes, stayed=left, again=again)


def _to_try_again(ledger: Ledger, run: Run, left: Stayed) -> tuple[Entry, ...]:
    """All batches with rows that stayed, if one of these can go by now: with it, those that an older batch has to put back may go too."""
    begun = _begun(ledger, run)
    mine = set() if begun is None else {each.range_no for each in read_entries(ledger, run.run, begun.number)}
    entries = tuple(each for each in left.entries if each.applied_seq not in mine)
    # Who dropped the undo records has signed for what stays.
    if not entries or is_pruned(ledger, run.run, entries):
        return ()
    shapes = _shapes(ledger, entries)
    holding = holders(ledger, shapes, ())
    return entries if can_go_by_now(ledger, run.run, left, entries, shapes, holding) else ()


def _shapes(ledger: Ledger, entries: Sequence[Entry]) -> dict[str, TableShape]:
    """The tables that these batches wrote, parents first; those that are gone are missing."""
    names = dict.fromkeys(name for entry in reversed(entries) for name in entry.counts.targets)
    found = {name: shape for name in names if (shape := ledger.store.describe(name)) is not None}
    return {name: found[name] for name in in_key_order(found)}


def _begun(ledger: Ledger, run: Run) -> Pass | None:
    """The rollback pass to go on with."""
    last = read_passes(ledger, run.run)[-1:] if run.state == "rolling_back" else []
    return last[0] if last and last[0].kind == "rollback" and last[0].ended_ms is None else None


def _take_back(attempt: Attempt, seen: Survey, request: Request) -> None:
    attempt.listen(PhaseStarted(seen.mapping, "rollback"))
    tried = {each.applied_seq: seen.stayed.rows[each.applied_seq] for each in seen.again}
    # They were counted when their batch went back.
    again = (
        replace(each, counts=Counts(read=len(tried[each.applied_seq]), targets=each.counts.targets))
        for each in seen.again
    )
    entries = sorted([*seen.entries, *again], key=lambda each: -each.applied_seq)
    batches = BatchRollback(attempt.ledger, seen.run, seen.shapes, request, tried)
    passes = read_passes(attempt.ledger, seen.run)
    InOrder(attempt, batches, passes, seen.shapes).take_back(entries)


def _finish(attempt: Attempt, request: Request) -> None:
    ledger, run = attempt.ledger, attempt.run
    end_pass(ledger, run.run, attempt.pass_no)
    state, reason = _outcome(ledger, run.run, request)
    detail: dict[str, object] = {"pass": attempt.pass_no}
    if not request.whole:
        detail["taken_back"] = request.what
    add_event(ledger, run.mapping, run.run, "rolled-back", detail)
    if state == "rolled_back":
        lift_pause(ledger, run.mapping)
    seal(ledger, run.run)
    set_state(ledger, run.run, state, reason)
    attempt.outcome = state


def _outcome(ledger: Ledger, run: str, request: Request) -> tuple[State, str | None]:
    """How the run stands with this gone, and why: rolled back when nothing of it is left, complete when nothing has to be done again."""
    if request.whole or not standing_entries(ledger, run):
        return "rolled_back", None
    full = [each for each in read_passes(ledger, run) if each.kind == "full"]
    if full[-1].ended_ms is not None and not open_ranges(ledger, run):
        return "complete", None
    return "interrupted", f"{request.what} of it taken back; `migrate run` does again what is open"
