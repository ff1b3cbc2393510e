"""One worker: reads the rows of a batch, maps them, and writes them in one batch transaction; tries again what may succeed.

A worker owns its connections and its transformer, and does one batch at a time. Batches are independent and idempotent: whoever runs the same
one again, at once or after a crash, finds it done or does it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from migrate.engine.entries import aside_entries, distinct_units, finding_entries, only_wanted, reject_entries
from migrate.engine.events import Listener
from migrate.engine.jobs import Job
from migrate.engine.plan import Plan
from migrate.engine.retries import Retries
from migrate.engine.stop import StopToken
from migrate.errors import ConnectionLost, Miscount, TransientFault
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.lease import Lease, Steering, register_worker
from migrate.ledger.runs import entry_from_row
from migrate.mapping.mapped import Mapped
from migrate.mapping.transformer import Transformer
from migrate.stores.port import SourceReader, TargetSession
from migrate.write.claims import Claims
from migrate.write.pending import encode_pending
from migrate.write.rows import UNIT
from migrate.write.transaction import AlreadyApplied, BatchId, BatchTransaction, RecordTables
from migrate.write.units import Units, UnitWriter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all workers of a pass share.

    `open_reader` gives a reader in the pass's snapshot, `gate` is entered while a transaction is open (one at a time on SQLite),
    `hear` is told what each batch saw of the lease as it began.
    """

    plan: Plan
    ledger: Ledger
    lease: Lease
    pass_no: int
    lookups: Mapping[str, pa.Table]
    tables: RecordTables
    open_reader: Callable[[], SourceReader]
    gate: AbstractContextManager[object]
    stop: StopToken
    listen: Listener
    hear: Callable[[Steering], None]


class Worker:
    """See the module. `name` is unique within the run's epoch."""

    def __init__(self, shop: Workshop, name: str) -> None:
        self._shop = shop
        self._name = name
        self._transformer = Transformer(shop.plan.program, shop.lookups)
        self._connections = 0
        self._session: TargetSession | None = None
        self._reader: SourceReader | None = None
        self._writer = UnitWriter(shop.plan.targets, shop.plan.parents, Claims(shop.ledger, shop.lease.run))

    def do(self, job: Job) -> tuple[Counts, int]:
        """Do one batch; what it counted, and at which attempt it succeeded."""
        return self.persist(lambda: self._attempt(job), f"batch {job.number}")

    def persist(self, step: Callable[[], T], what: str) -> tuple[T, int]:
        """Run a step, again after faults that may pass; raises the last one when they do not."""
        return Retries(self._shop.plan.name, self._shop.stop, self._shop.listen).persist(step, what, self._after_fault)

    def close(self) -> None:
        """Free everything; the worker does nothing more."""
        self._disconnect()
        self._transformer.close()

    def _disconnect(self) -> None:
        for held in (self._session, self._reader):
            if held is not None:
                held.close()
        self._session = self._reader = None

    @property
    def session(self) -> TargetSession:
        """The worker's connection to the target, opened and registered when first needed."""
        if self._session is None:
            session = self._shop.ledger.store.session()
            try:
                register_worker(
                    self._shop.ledger, self._shop.lease, f"{self._name}.{self._connections}", session.backend()
                )
            except BaseException:
                session.close()
                raise
            self._connections += 1
            self._session = session
        return self._session

    @property
    def reader(self) -> SourceReader:
        """The worker's connection to the source."""
        if self._reader is None:
            self._reader = self._shop.open_reader()
        return self._reader

    def _after_fault(self, fault: TransientFault) -> None:
        if isinstance(fault, ConnectionLost):
            self._disconnect()

    def _attempt(self, job: Job) -> Counts:
        batch = BatchId(self._shop.lease.run, self._shop.pass_no, job.number)
        with closing(self._prepare(job)) as prepared:
            return self._apply(job, batch, itertools.chain([next(prepared)], prepared))

    def _apply(self, job: Job, batch: BatchId, prepared: Iterator[tuple[pa.Table, Mapped]]) -> Counts:
        with self._shop.gate:
            transaction = BatchTransaction(self._shop.ledger, self.session, self._shop.lease, batch, self._shop.tables)
            try:
                self._shop.hear(transaction.begin(self._name))
                offset = 0
                while (rows := self._write_next(transaction, job, prepared, offset)) is not None:
                    offset += rows
                ungrouped = [target.name for target in self._shop.plan.targets if not target.grouped]
                return transaction.finish(ungrouped)
            except AlreadyApplied:
                return self._applied(batch)
            except BaseException:
                transaction.abandon()
                raise

    def _prepare(self, job: Job) -> Generator[tuple[pa.Table, Mapped], None, None]:
        """Read and map chunk by chunk; the first is ready before the transaction begins."""
        program = self._shop.plan.program

        def prepared(chunk: pa.Table) -> tuple[pa.Table, Mapped]:
            return chunk, only_wanted(self._transformer.apply(chunk), job, program.unit_columns)

        # By `map`, which keeps nothing of a chunk while the next one is read; a loop would, and there would be three at a time.
        yield from map(prepared, job.chunks(self.reader, program, self._shop.plan.chunk_bytes))

    def _write_next(
        self, transaction: BatchTransaction, job: Job, prepared: Iterator[tuple[pa.Table, Mapped]], offset: int
    ) -> int | None:
        """Write the next chunk and let go of it; its rows, or None when there is none."""
        for chunk, mapped in prepared:
            self._write(transaction, job, chunk, mapped, offset)
            return int(chunk.num_rows)
        return None

    def _write(self, transaction: BatchTransaction, job: Job, chunk: pa.Table, mapped: Mapped, offset: int) -> None:
        columns = self._shop.plan.program.unit_columns
        rejected = distinct_units(mapped.rejects)
        good = mapped.units
        if len(rejected):
            good = good.filter(pa.array(~np.isin(np.asarray(good[UNIT]), rejected)))
        for target, rows in mapped.rows.items():
            if len(distinct_units(rows)) != good.num_rows:
                raise Miscount(
                    f"{target} got rows of {len(distinct_units(rows))} units, and {good.num_rows} were mapped"
                )
        units = Units.of_range(good, mapped.rows, columns, job.order, offset)
        result = self._writer.write(self.session, units)
        transaction.add_undo(result.undo)
        transaction.add_pending(encode_pending(units, [each for each in result.aside if each.pending]))
        transaction.add_rejects(reject_entries(mapped, columns))
        transaction.add_rejects(aside_entries(result.aside, mapped, chunk, columns))
        transaction.add_findings(finding_entries(mapped, columns))
        rows_rejected = int(pc.sum(mapped.units["_rows"]).as_py() or 0) - int(pc.sum(good["_rows"]).as_py() or 0)
        warnings = pc.sum(pc.equal(mapped.findings["level"], "warn")).as_py() or 0
        record = transaction.record
        record.counts = record.counts + replace(
            result.counts,
            read=mapped.rows_read,
            filtered=mapped.filtered,
            rejected=result.counts.rejected + rows_rejected,
            warnings=warnings,
        )
        record.add_digests(result.digests)

    def _applied(self, batch: BatchId) -> Counts:
        table = self._shop.ledger.tables.applied
        mine = (table.c.run == batch.run) & (table.c.pass_no == batch.pass_no) & (table.c.range_no == batch.range_no)
        with self._shop.ledger.reading() as connection:
            return entry_from_row(connection.execute(sa.select(table).where(mine)).mappings().one()).counts
