"""One attempt at one run whose batches a test hands out in the order that it likes, through the engine's own parts.

Nothing is replaced: plan, lease, workers, last phase and completion are those of `migrate.engine.run`; only its loop is left out.
"""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import sqlalchemy as sa

from migrate.engine.borders import Ranges
from migrate.engine.chunks import read_chunks
from migrate.engine.drive import Drive, workshop
from migrate.engine.finish import complete, settle_all
from migrate.engine.jobs import Job, RangeJob
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run, refuse_unplanned
from migrate.engine.retries import Retries
from migrate.engine.snapshot import SourceAccess
from migrate.engine.start import start
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary, summarise
from migrate.engine.worker import Worker
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import release
from migrate.ledger.log import LogVerdict, verify_log
from migrate.ledger.runs import read_run
from migrate.mapping.program import Program
from migrate.stores.opening import open_target
from migrate.stores.port import SourceReader
from migrate.values import KeyRange

Order = Callable[[list[KeyRange]], Sequence[KeyRange]]
"""In which order the ranges of a pass are done; one may come twice, as after a retry."""


@dataclass(frozen=True)
class Rejected:
    """One row of `migrate_reject`."""

    unit: str
    target: str | None
    rule: str
    reason: str
    raw: str | None


@dataclass(frozen=True)
class Finished:
    """How a run ended: its summary, what it rejected, how its log was found, and its plan."""

    summary: RunSummary
    rejects: list[Rejected]
    log: LogVerdict
    plan: Plan = field(repr=False)

    @property
    def outcome(self) -> dict[str, object]:
        """What may not depend on the schedule: counts, per target too, and digests; not who wrote and who found it identical."""
        counts = self.summary.counts
        return {
            "read": counts.read,
            "mapped": counts.mapped,
            "filtered": counts.filtered,
            "rejected": counts.rejected,
            "pending": counts.pending,
            "targets": dict(counts.targets),
            "digests": self.summary.digests,
        }


def plan_of(folder: Path, mapping: str, source: str, target: str, batch_rows: int = 1000) -> Plan:
    """Write `mapping` (YAML) into `folder` and plan it between these URLs."""
    path = folder / "mapping.yaml"
    path.write_text(textwrap.dedent(mapping), encoding="utf-8")
    return plan_run([path], RunOptions(source=source, target=target, batch_rows=batch_rows))[0]


def in_order(ranges: list[KeyRange]) -> list[KeyRange]:
    """Source order."""
    return ranges


def in_small_chunks(chunk_bytes: int) -> Callable[[KeyRange], Job]:
    """Batches that are read in chunks of so many bytes, so that a small table has many."""

    class SmallChunks(RangeJob):
        def chunks(self, reader: SourceReader, program: Program, _chunk_bytes: int) -> Iterator[pa.Table]:
            return read_chunks(reader, self.key_range, program, chunk_bytes)

    return SmallChunks


def run_scheduled(
    plan: Plan, order: Order = in_order, workers: int = 1, job: Callable[[KeyRange], Job] = RangeJob
) -> Finished:
    """Do all batches of `plan` in this order, by `workers` in turn, then the last phase."""
    refuse_unplanned(plan)
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        ledger.create()
        with SourceAccess(plan) as source:
            drive = Drive(plan, ledger, source, start(ledger, plan, source.begun_at, _hear), StopToken(), _hear)
            shop = workshop(drive)
            run = drive.run
            with source.border_reader() as reader:
                walk = Ranges(ledger, run, drive.pass_no, plan.range_columns, plan.batch_rows).walk
                ranges = list(walk(reader, Retries(plan.name, drive.stop, _hear)))
            with _workers([Worker(shop, f"worker-{each}") for each in range(workers)]) as busy:
                for turn, key_range in enumerate(order(ranges)):
                    busy[turn % workers].do(job(key_range))
            settle_all(shop, drive.heartbeat, drive.breaker)
            complete(shop)
            release(ledger, drive.started.lease)
        ended = read_run(ledger, run)
        assert ended is not None
        return Finished(summarise(ledger, ended), rejects_of(ledger, run), verify_log(ledger), plan)
    finally:
        store.close()


def rejects_of(ledger: Ledger, run: str) -> list[Rejected]:
    """All rejects of a run."""
    table = ledger.tables.reject
    with ledger.reading() as connection:
        rows = connection.execute(
            sa.select(table.c.unit_key, table.c.target, table.c.rule, table.c.reason, table.c.raw)
            .where(table.c.run == run)
            .order_by(table.c.pass_no, table.c.range_no, table.c.entry_no)
        ).all()
    return [Rejected(*row) for row in rows]


@contextlib.contextmanager
def _workers(workers: list[Worker]) -> Iterator[list[Worker]]:
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def _hear(event: object) -> None:
    """Events are for people."""
