"""The end of a pass: settle pending units, advance sequences, check that everything adds up, seal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from migrate.engine.entries import raw_rows
from migrate.engine.events import Notice, PhaseStarted
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.worker import Worker, Workshop
from migrate.errors import DataError, Interrupted, Paused
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import applied_ranges, end_pass, read_entries, read_passes, set_state, total
from migrate.values import Key
from migrate.write.settle import PendingId, Settled, Settler, next_pending
from migrate.write.transaction import AlreadyApplied, BatchId, BatchTransaction


def settle_pending(shop: Workshop, heartbeat: Heartbeat) -> None:
    """Rounds over the pending units until none is left; one writer."""
    if next_pending(shop.ledger, shop.lease.run, shop.pass_no, ()) is None:
        return
    shop.listen(PhaseStarted(shop.plan.name, "settle"))
    worker = Worker(shop, "settle")
    try:
        _rounds(shop, heartbeat, worker)
    finally:
        worker.close()


def complete(shop: Workshop) -> None:
    """End the pass, and with the last full pass the run; raises DataError when the numbers of the pass do not add up."""
    shop.listen(PhaseStarted(shop.plan.name, "finish"))
    counts = total(read_entries(shop.ledger, shop.lease.run, shop.pass_no))
    if not counts.adds_up or counts.pending:
        raise DataError(
            f"the counts of pass {shop.pass_no} do not add up: {counts}",
            where=f"run {shop.lease.run}",
            next_step="the run is not complete; this is a fault of the toolkit: please report it with `migrate ledger show`",
        )
    for target in shop.plan.targets:
        for sentence in shop.ledger.store.advance_sequences(target.shape):
            add_event(shop.ledger, shop.plan.name, shop.lease.run, "sequence", {"table": target.name, "what": sentence})
            shop.listen(Notice(shop.plan.name, "info", sentence))
    end_pass(shop.ledger, shop.lease.run, shop.pass_no)
    detail = {"pass": shop.pass_no, "read": counts.read, "mapped": counts.mapped}
    add_event(shop.ledger, shop.plan.name, shop.lease.run, "pass-complete", detail)
    seal(shop.ledger, shop.lease.run)
    full = [each for each in read_passes(shop.ledger, shop.lease.run) if each.kind == "full"]
    whole = all(each.ended_ms is not None for each in full)
    set_state(shop.ledger, shop.lease.run, "complete" if whole else "interrupted")


def _rounds(shop: Workshop, heartbeat: Heartbeat, worker: Worker) -> None:
    final = False
    while True:
        deferred: list[PendingId] = []
        moved = False
        while (which := next_pending(shop.ledger, shop.lease.run, shop.pass_no, deferred)) is not None:
            _obey(shop, heartbeat)
            outcome = _settle_one(shop, worker, which, final=final)
            deferred += outcome.deferred
            moved = moved or outcome.moved
        if not deferred:
            return
        # After a round in which nothing moved no parent is coming and no winner goes.
        final = not moved


def _settle_one(shop: Workshop, worker: Worker, which: PendingId, *, final: bool) -> Settled:
    number = min(applied_ranges(shop.ledger, shop.lease.run, shop.pass_no), default=0)
    batch = BatchId(shop.lease.run, shop.pass_no, min(number, 0) - 1)
    settler = Settler(
        shop.ledger,
        shop.lease.run,
        shop.plan.targets,
        shop.plan.parents,
        shop.plan.program.unit_columns,
        lambda keys: _raw_of(worker, shop, keys),
    )

    def step() -> Settled:
        with shop.gate:
            transaction = BatchTransaction(shop.ledger, worker.session, shop.lease, batch, shop.tables)
            try:
                shop.hear(transaction.begin("settle"))
                outcome = settler.settle(transaction, worker.session, which, final=final)
                transaction.finish([target.name for target in shop.plan.targets if not target.grouped])
            except AlreadyApplied:
                # The answer to an earlier COMMIT was lost; which units were deferred is seen again in the next round.
                return Settled(moved=True)
            except BaseException:
                transaction.abandon()
                raise
        return outcome

    outcome, _ = worker.persist(step, "settling pending units")
    return outcome


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
