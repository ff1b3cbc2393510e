"""Read rejected units again and write what fits now: a pass of its own in the run that rejected them.

The units are those whose newest word is a reject. They are read from the source as it is now and mapped by the mapping as it is now; if that
differs from the run's, it becomes the run's, and the log keeps the old one. A row that another unit holds by now stays that unit's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from migrate.engine.drive import Drive, driving, workshop
from migrate.engine.events import Listener, Notice, PhaseStarted
from migrate.engine.finish import complete, settle_pending
from migrate.engine.jobs import UnitsJob
from migrate.engine.loop import BatchLoop
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run, refuse_unplanned
from migrate.engine.snapshot import SourceAccess
from migrate.engine.start import Started, going_back, take_up
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary, summarise
from migrate.errors import StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import HeldLedger, Lease, read_lease
from migrate.ledger.log import add_event
from migrate.ledger.runs import Pass, Run, adopt_mapping, applied_ranges, begin_pass, current_run, read_passes, read_run
from migrate.ledger.standing import of_standing, standing_replays
from migrate.ledger.undo_check import is_pruned
from migrate.stores.opening import open_target
from migrate.write.settle import unit_key

BATCH_UNITS = 500


@dataclass(frozen=True, slots=True)
class Replayed:
    """The run after the replay, and what the replay pass itself counted; `units` is how many were read again."""

    summary: RunSummary
    units: int
    mapped: int
    rejected: int


def rejects_replay(path: Path, options: RunOptions, *, stop: StopToken, listen: Listener) -> Replayed:
    """Replay the rejects of the newest run of a mapping; running it again after a kill goes on.

    Raises StateError when there is no run, or another process holds it.
    """
    (plan,) = plan_run([path], options)
    refuse_unplanned(plan)
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        ledger.require()
        # As in `start`: looked at before the run.
        holding = read_lease(ledger, plan.name)
        run = _replayable(ledger, plan)
        with SourceAccess(plan) as source:
            lease = take_up(ledger, plan, run, holding, listen)
            held = HeldLedger(ledger, lease)
            _adopt(held, plan, run, listen)
            current = _replay_pass(held, run, source.begun_at)
            units = _outstanding(ledger, run.run, current)
            drive = Drive(plan, ledger, source, _started(ledger, run, lease, current), stop, listen)
            _replay(drive, options, units)
        return _replayed(ledger, run, current, len(units))
    finally:
        store.close()


def _replayable(ledger: Ledger, plan: Plan) -> Run:
    run = current_run(ledger, plan.name)
    if run is not None and run.state == "rolling_back":
        raise going_back(ledger, run, plan.mapping.path)
    if run is None or run.state == "rolled_back":
        raise StateError(
            f"{plan.name} has no run with rejects in this database", next_step=f"migrate run {plan.mapping.path}"
        )
    if is_pruned(ledger, run.run):
        raise StateError(
            f"the rejects of run {run.run} of {plan.name} cannot be replayed: its undo records were pruned, which say who wrote a row",
            next_step="bring the rows over by a mapping of their own: another `mapping:` name, with a `where` that finds them",
        )
    return run


def _started(ledger: Ledger, run: Run, lease: Lease, current: Pass) -> Started:
    return Started(read_run(ledger, run.run) or run, lease, current, resumed=True)


def _adopt(ledger: Ledger, plan: Plan, run: Run, listen: Listener) -> None:
    if run.fingerprint == plan.fingerprint:
        return
    add_event(
        ledger, plan.name, run.run, "mapping-replaced", {"fingerprint": run.fingerprint, "mapping": run.mapping_text}
    )
    adopt_mapping(ledger, run.run, plan.fingerprint, plan.program.definition(), plan.mapping.text)
    listen(
        Notice(
            plan.name, "info", "the mapping was changed since: it is the run's from now on; the log keeps the old one"
        )
    )


def _replay_pass(ledger: Ledger, run: Run, source_now: str) -> Pass:
    """The replay pass that was begun and not ended, or a new one."""
    standing = standing_replays(ledger, run.run)
    begun = [each for each in read_passes(ledger, run.run) if each.number in standing and each.ended_ms is None]
    if begun:
        return begun[-1]
    return begin_pass(ledger, run.run, "replay", source_now)


def _outstanding(ledger: Ledger, run: str, current: Pass) -> list[str]:
    """Units rejected by batches after the replay before this one began, and before this one did; always the same for one pass.

    A batch with rejects is taken back only after the replays that read them again.
    """
    standing = standing_replays(ledger, run)
    earlier = [each for each in read_passes(ledger, run) if each.number in standing and each.number < current.number]
    low = earlier[-1].after_seq if earlier else 0
    reject, applied = ledger.tables.reject, ledger.tables.applied
    of_batch = (
        (applied.c.run == reject.c.run)
        & (applied.c.pass_no == reject.c.pass_no)
        & (applied.c.range_no == reject.c.range_no)
    )
    query = (
        sa.select(reject.c.unit_key)
        .join(applied, of_batch)
        .where(reject.c.run == run, applied.c.applied_seq > low, applied.c.applied_seq <= current.after_seq)
        .where(of_standing(ledger.tables, run, reject))
        .order_by(reject.c.pass_no, reject.c.range_no, reject.c.entry_no)
    )
    with ledger.reading() as connection:
        return list(dict.fromkeys(row.unit_key for row in connection.execute(query)))


def _replay(drive: Drive, options: RunOptions, units: list[str]) -> None:
    with driving(drive):
        shop = workshop(drive)
        drive.listen(PhaseStarted(drive.plan.name, "replay"))
        BatchLoop(shop, drive.heartbeat, drive.breaker, options.workers).run(_jobs(drive, units))
        settle_pending(shop, drive.heartbeat, drive.breaker)
        complete(shop)


def _jobs(drive: Drive, units: list[str]) -> Iterator[UnitsJob]:
    done = applied_ranges(drive.ledger, drive.run, drive.pass_no)
    for number, first in enumerate(range(0, len(units), BATCH_UNITS)):
        if number not in done:
            some = units[first : first + BATCH_UNITS]
            yield UnitsJob(number, tuple(dict.fromkeys(map(unit_key, some))), frozenset(some))


def _replayed(ledger: Ledger, run: Run, current: Pass, units: int) -> Replayed:
    summary = summarise(ledger, read_run(ledger, run.run) or run)
    counts = next(each.counts for each in summary.passes if each.number == current.number)
    return Replayed(summary, units, counts.mapped, counts.rejected)
