"""The batch transaction: fence, claim, rows, undo, records, `applied_seq`, commit. Either all of it is there afterwards, or nothing.

The order of the steps is what makes it exact; see docs/architecture.md before changing it:

1. *Fence*: another process that took over is seen before anything is written, and waits for us if it comes later.
2. *Claim*, the first write: its unique key makes a second attempt at the same batch wait for the first one's outcome.
3. *Rows*, sorted, tables in a fixed order; conflicts told apart; what cannot be settled here is pending.
4. *Undo*. 5. *Rejects, findings, pending units.*
6. *Applied*: its number is drawn last, after all row locks, so that the numbers follow the order in which any row changed.
7. COMMIT. Any error before it rolls everything back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import sqlalchemy as sa

from migrate.checksum.set_digest import SetDigest
from migrate.errors import ConstraintViolation, Miscount
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.lease import Lease, Steering, pass_fence
from migrate.stores.port import TargetSession
from migrate.values import TableShape
from migrate.write.pending import PendingChunk
from migrate.write.undo import UndoChunk


@dataclass(frozen=True, slots=True)
class BatchId:
    """Which batch of which run; negative range numbers are batches of the last phase."""

    run: str
    pass_no: int
    range_no: int

    def values(self) -> dict[str, str | int]:
        """As ledger columns."""
        return {"run": self.run, "pass_no": self.pass_no, "range_no": self.range_no}


@dataclass(frozen=True, slots=True)
class RecordTables:
    """Shapes of the ledger tables that are written in bulk."""

    reject: TableShape
    finding: TableShape


@dataclass(slots=True)
class BatchRecord:
    """What a batch has done so far, inside of its transaction."""

    counts: Counts = field(default_factory=Counts)
    digests: dict[str, SetDigest] = field(default_factory=dict)
    removed: dict[str, SetDigest] = field(default_factory=dict)
    undo: list[str] = field(default_factory=list)
    pending_chunks: int = 0
    rejects: int = 0
    findings: int = 0

    def add_digests(self, digests: Mapping[str, SetDigest]) -> None:
        """Add the set digests of rows that were mapped, per target."""
        add_up(self.digests, digests)

    def remove_digests(self, digests: Mapping[str, SetDigest]) -> None:
        """Add the set digests of rows that were taken back, per target."""
        add_up(self.removed, digests)


def add_up(sums: dict[str, SetDigest], digests: Mapping[str, SetDigest]) -> None:
    """Add set digests to those of the same name."""
    for name, digest in digests.items():
        sums[name] = sums.get(name, SetDigest()) + digest


class AlreadyApplied(Exception):
    """The batch was committed by an earlier attempt."""


class BatchTransaction:
    """One batch transaction through one session; the engine drives it step by step and ends it with `finish` or `abandon`."""

    def __init__(
        self, ledger: Ledger, session: TargetSession, lease: Lease, batch: BatchId, tables: RecordTables
    ) -> None:
        self._ledger = ledger
        self._session = session
        self._lease = lease
        self._batch = batch
        self._tables = tables
        self._began = time.monotonic()
        self.record = BatchRecord()

    def begin(self, worker: str) -> Steering:
        """Begin, pass the fence, and claim the batch. Raises Fenced, or AlreadyApplied after rolling back."""
        self._began = time.monotonic()
        self._session.begin()
        steering = pass_fence(self._ledger, self._session, self._lease)
        claim = sa.insert(self._ledger.tables.batch).values(
            **self._batch.values(), epoch=self._lease.epoch, worker=worker, claimed_ms=self._ledger.clock
        )
        try:
            self._session.execute(claim)
        except ConstraintViolation as refused:
            self._session.rollback()
            if refused.kind == "unique" and self._is_applied():
                raise AlreadyApplied from refused
            raise
        return steering

    def add_undo(self, chunks: Iterable[UndoChunk]) -> None:
        """Keep undo chunks; from here on the claims of this transaction are found."""
        for chunk in chunks:
            number = len(self.record.undo)
            self._session.execute(
                sa.insert(self._ledger.tables.undo).values(
                    **self._batch.values(),
                    chunk_no=number,
                    target=chunk.target,
                    rows=chunk.rows,
                    low_unit=chunk.low_unit,
                    high_unit=chunk.high_unit,
                    key_filter=chunk.key_filter,
                    payload=chunk.payload,
                    sha256=chunk.sha256,
                )
            )
            self.record.undo.append(chunk.sha256)

    def add_pending(self, chunks: Iterable[PendingChunk]) -> list[tuple[int, int, int]]:
        """Keep pending units for the last phase; the ledger keys (pass, range, chunk) under which they are found."""
        kept: list[tuple[int, int, int]] = []
        for chunk in chunks:
            number = self.record.pending_chunks
            self._session.execute(
                sa.insert(self._ledger.tables.pending).values(
                    **self._batch.values(),
                    chunk_no=number,
                    units=chunk.units,
                    rows=chunk.rows,
                    first_range=chunk.first[0],
                    first_position=chunk.first[1],
                    payload=chunk.payload,
                )
            )
            kept.append((self._batch.pass_no, self._batch.range_no, number))
            self.record.pending_chunks += 1
        return kept

    def add_rejects(self, entries: pa.Table) -> None:
        """Keep rejects: string columns unit_key, target, field, rule, reason, value, raw."""
        self._append(self._tables.reject, entries, self.record.rejects)
        self.record.rejects += entries.num_rows

    def add_findings(self, entries: pa.Table) -> None:
        """Keep findings: string columns level, unit_key, target, field, rule, reason, value."""
        self._append(self._tables.finding, entries, self.record.findings)
        self.record.findings += entries.num_rows

    def finish(self, checked_targets: Sequence[str]) -> Counts:
        """Write the applied entry and commit. Raises Miscount, with nothing written, for counts that do not add up or rejects without reason.

        `checked_targets`: ungrouped targets, each of which must account for every mapped row.
        """
        counts = self.record.counts
        named = counts.rejected <= 0 or self.record.rejects > 0
        if not named or not counts.adds_up or not counts.targets_add_up(frozenset(checked_targets)):
            raise Miscount(
                f"the counts of batch {self._batch.range_no} do not add up: {counts}, {self.record.rejects} reasons of rejects",
                where=f"run {self._batch.run}, pass {self._batch.pass_no}",
            )
        self._session.execute(sa.insert(self._ledger.tables.applied).values(**self._applied_values(counts)).inline())
        self._session.commit()
        return counts

    def abandon(self) -> None:
        """Roll back everything."""
        self._session.rollback()

    def _applied_values(self, counts: Counts) -> dict[str, object]:
        digests = {
            kind: {name: str(digest) for name, digest in sorted(sums.items())}
            for kind, sums in (("added", self.record.digests), ("removed", self.record.removed))
        }
        return {
            **self._batch.values(),
            "epoch": self._lease.epoch,
            "rows_read": counts.read,
            "rows_mapped": counts.mapped,
            "rows_filtered": counts.filtered,
            "rows_rejected": counts.rejected,
            "rows_pending": counts.pending,
            "warnings": counts.warnings,
            "targets": counts.targets_text(),
            "digests": json.dumps(digests, separators=(",", ":")),
            "undo": json.dumps(self.record.undo, separators=(",", ":")),
            "took_ms": round((time.monotonic() - self._began) * 1000),
            "applied_ms": self._ledger.clock,
        }

    def _append(self, table: TableShape, entries: pa.Table, first: int) -> None:
        if entries.num_rows == 0:
            return
        rows = entries.num_rows
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            "run": pa.array([self._batch.run] * rows, pa.string()),
            "pass_no": pa.array([self._batch.pass_no] * rows, pa.int64()),
            "range_no": pa.array([self._batch.range_no] * rows, pa.int64()),
            "entry_no": pa.array(range(first, first + rows), pa.int64()),
        }
        columns |= {name: entries[name] for name in entries.column_names}
        self._session.insert(table, pa.table(columns))

    def _is_applied(self) -> bool:
        applied = self._ledger.tables.applied
        self._session.begin()
        try:
            found = self._session.execute(
                sa.select(applied.c.applied_seq).where(
                    applied.c.run == self._batch.run,
                    applied.c.pass_no == self._batch.pass_no,
                    applied.c.range_no == self._batch.range_no,
                )
            )
        finally:
            self._session.rollback()
        return bool(found)
