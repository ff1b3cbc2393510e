"""The end of a pass: settle pending units, advance sequences, check that everything adds up, seal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from migrate.engine.breaker import Breaker
from migrate.engine.entries import raw_rows
from migrate.engine.events import Notice, PhaseStarted
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.worker import Worker, Workshop
from migrate.errors import DataError, Interrupted, Paused
from migrate.ledger.counts import Counts
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import applied_ranges, end_pass, read_entries, read_passes, set_state, total
from migrate.ledger.standing import known_ranges, open_ranges
from migrate.values import Key
from migrate.write.settle import PendingId, Settled, Settler, next_pending
from migrate.write.transaction import AlreadyApplied, BatchId, BatchTransaction


def settle_all(shop: Workshop, heartbeat: Heartbeat, breaker: Breaker) -> None:
    """Settle what any pass of the run left pending: an interrupted replay leaves units too, and a run is not complete with them.

    All passes together, since source order goes across them: ranges that were taken back are done in another pass than the rest.
    """
    passes = [each.number for each in read_passes(shop.ledger, shop.lease.run)]
    _settle(shop, heartbeat, breaker, passes)


def settle_pending(shop: Workshop, heartbeat: Heartbeat, breaker: Breaker) -> None:
    """Settle what this pass left pending."""
    _settle(shop, heartbeat, breaker, [shop.pass_no])


def _settle(shop: Workshop, heartbeat: Heartbeat, breaker: Breaker, passes: Sequence[int]) -> None:
    """Rounds over the pending units of these passes until none is left; one writer.

    Raises Paused when an operator asks for it or a limit is over, Interrupted on a signal: between two transactions.
    """
    if next_pending(shop.ledger, shop.lease.run, passes, ()) is None:
        return
    shop.listen(PhaseStarted(shop.plan.name, "settle"))
    worker = Worker(shop, "settle")
    try:
        _rounds(shop, heartbeat, breaker, worker, passes)
    finally:
        worker.close()


def complete(shop: Workshop) -> None:
    """End the pass, and with the newest full pass the run; raises DataError when a batch is missing or the numbers do not add up."""
    shop.listen(PhaseStarted(shop.plan.name, "finish"))
    run = shop.lease.run
    newest = [each for each in read_passes(shop.ledger, run) if each.kind == "full"][-1]
    counts = _counts_without_pending(shop, shop.pass_no)
    if shop.pass_no == newest.number:
        _require_all_ranges(shop)
    whole = (newest.ended_ms is not None or newest.number == shop.pass_no) and not open_ranges(shop.ledger, run)
    if whole:
        _counts_without_pending(shop, None)
    for target in shop.plan.targets:
        for sentence in shop.ledger.store.advance_sequences(target.shape):
            add_event(shop.ledger, shop.plan.name, run, "sequence", {"table": target.name, "what": sentence})
            shop.listen(Notice(shop.plan.name, "info", sentence))
    end_pass(shop.ledger, run, shop.pass_no)
    detail = {"pass": shop.pass_no, "read": counts.read, "mapped": counts.mapped}
    add_event(shop.ledger, shop.plan.name, run, "pass-complete", detail)
    seal(shop.ledger, run)
    set_state(shop.ledger, run, "complete" if whole else "interrupted")


def _counts_without_pending(shop: Workshop, pass_no: int | None) -> Counts:
    """The counts of a pass, or of the run: everything read was mapped, filtered or rejected."""
    counts = total(read_entries(shop.ledger, shop.lease.run, pass_no))
    if not counts.adds_up or counts.pending:
        what = "the run" if pass_no is None else f"pass {pass_no}"
        raise _incomplete(shop, f"the counts of {what} do not add up: {counts}")
    return counts


def _require_all_ranges(shop: Workshop) -> None:
    """Counts cannot tell of a batch that never was: every range has to be done and stand, and the last one reach to the end of the source."""
    ranges = known_ranges(shop.ledger, shop.lease.run, shop.plan.range_columns)
    missing = open_ranges(shop.ledger, shop.lease.run)
    if missing:
        raise _incomplete(shop, f"batch {missing[0]} of pass {shop.pass_no} was never done ({len(missing)} in all)")
    if not ranges or ranges[-1].upto is not None:
        raise _incomplete(shop, f"the batches of pass {shop.pass_no} do not reach the end of the source")


def _incomplete(shop: Workshop, what: str) -> DataError:
    return DataError(
        what,
        where=f"run {shop.lease.run}",
        next_step="the run is not complete; this is a fault of the toolkit: please report it with `migrate ledger show`",
    )


def _rounds(shop: Workshop, heartbeat: Heartbeat, breaker: Breaker, worker: Worker, passes: Sequence[int]) -> None:
    settler = Settler(
        shop.ledger,
        shop.lease.run,
        shop.plan.targets,
        shop.plan.parents,
        shop.plan.program.unit_columns,
        lambda keys: _raw_of(worker, shop, keys),
    )
    final = False
    while True:
        deferred: list[PendingId] = []
        moved = False
        while (which := next_pending(shop.ledger, shop.lease.run, passes, deferred)) is not None:
            _obey(shop, heartbeat)
            outcome, counts = _settle_one(shop, worker, settler, which, final=final)
            deferred += outcome.deferred
            moved = moved or outcome.moved
            reason = breaker.add_settled(counts)
            if reason is not None:
                raise Paused(reason)
        if not deferred:
            return
        # After a round in which nothing moved no parent is coming and no winner goes.
        final = not moved


def _settle_one(
    shop: Workshop, worker: Worker, settler: Settler, which: PendingId, *, final: bool
) -> tuple[Settled, Counts]:
    # In the pass that left the units, so that what is pending in it comes to nothing.
    pass_no, _, _ = which
    number = min(applied_ranges(shop.ledger, shop.lease.run, pass_no), default=0)
    batch = BatchId(shop.lease.run, pass_no, min(number, 0) - 1)

    def step() -> tuple[Settled, Counts]:
        with shop.gate:
            transaction = BatchTransaction(shop.ledger, worker.session, shop.lease, batch, shop.tables)
            try:
                shop.hear(transaction.begin("settle"))
                outcome = settler.settle(transaction, worker.session, which, final=final)
                counts = transaction.finish([target.name for target in shop.plan.targets if not target.grouped])
            except AlreadyApplied:
                # The answer to an earlier COMMIT was lost; which units were deferred is seen again in the next round.
                entries = read_entries(shop.ledger, shop.lease.run, pass_no)
                return Settled(moved=True), next(each.counts for each in entries if each.range_no == batch.range_no)
            except BaseException:
                transaction.abandon()
                raise
        return outcome, counts

    settled, _ = worker.persist(step, "settling pending units")
    return settled


def _raw_of(worker: Worker, shop: Workshop, keys: Sequence[Key]) -> Mapping[Key, str]:
    columns = shop.plan.program.unit_columns
    chunk = worker.reader.pick(columns, keys, shop.plan.order, shop.plan.program.source_columns)
    if chunk.num_rows == 0:
        return {}
    types = {name: chunk.schema.field(name).type for name in columns}
    table = pa.table({name: pa.array([key[at] for key in keys], types[name]) for at, name in enumerate(columns)})
    return {key: raw for key, raw in zip(keys, raw_rows(chunk, table), strict=True) if raw is not None}


def _obey(shop: Workshop, heartbeat: Heartbeat) -> None:
    steering = heartbeat.steering()
    if steering.pause_reason is not None:
        raise Paused(steering.pause_reason)
    if shop.stop.is_set:
        raise Interrupted(
            f"stopped between two batches: {shop.stop.reason}", next_step="run the same command again to go on"
        )
