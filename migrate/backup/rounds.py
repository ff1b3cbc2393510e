"""The batches of a restore, round after round until no row is left over: what one of them could not do, another one may have made possible."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import pyarrow as pa

from migrate.backup.batch import LeftOver, Outcome, RestoredTable
from migrate.backup.differences import Differences
from migrate.engine.events import BatchDone
from migrate.errors import Interrupted, RowsChanged
from migrate.ledger.counts import Counts
from migrate.ledger.runs import read_entries
from migrate.rollback.attempt import Attempt
from migrate.stores.typed_keys import key_text
from migrate.units import rows_text
from migrate.write.transaction import AlreadyApplied

SHOWN: Final = 20
"""Rows that a refusal names in its text; all of them are in its `rows`."""

_BATCH_ROWS: Final = 15_000
"""Rows of a batch, all of which are in memory with what stands in their places."""
_MOST_AT_ONCE: Final = 4 * _BATCH_ROWS
"""Rows that one transaction may bring back when they wait for one another."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One part of one table, in one direction."""

    table: RestoredTable
    part: int
    how: Literal["delete", "write"]


class Rounds:
    """Brings the tables (parents first) to what their backup has. `differences`: of each table by its name."""

    def __init__(
        self, attempt: Attempt, tables: Sequence[RestoredTable], differences: Mapping[str, Differences]
    ) -> None:
        self._attempt = attempt
        self._differences = differences
        self._jobs = [
            *(_Job(table, part, "delete") for table in reversed(tables) for part in self._parts(table)),
            *(_Job(table, part, "write") for table in tables for part in self._parts(table)),
        ]
        entries = read_entries(attempt.ledger, attempt.run.run, attempt.pass_no)
        # Numbers go on behind those of earlier attempts: each number is one transaction, whatever became of it.
        self._number = max((entry.range_no for entry in entries), default=0)

    def finish(self) -> None:
        """Do all batches. Raises RowsChanged where the database holds rows fast, Interrupted when asked to stop between two batches."""
        todo, moved = self._jobs, True
        left: list[LeftOver] = []
        while todo:
            if not (moved or self._at_once(todo, left)):
                raise _refusal(left)
            again: list[_Job] = []
            left, moved = [], False
            for job in todo:
                outcomes = [self._do(job, rows) for rows in self._batches(job)]
                moved = moved or any(outcome is None or outcome.changed for outcome in outcomes)
                over = [each for outcome in outcomes if outcome is not None for each in outcome.left]
                if over or None in outcomes:
                    again.append(job)
                left += over
            todo = again

    def _at_once(self, todo: Sequence[_Job], left: Sequence[LeftOver]) -> bool:
        """Write what is left of each table in one transaction; true where that changed a row.

        Rows of two batches that have exchanged unique values wait for one another for ever, each in a transaction of its own.
        """
        changed = False
        tables = {job.table.kept.name: job.table for job in todo if job.how == "write"}
        for name, table in tables.items():
            rows = self._left_rows([job for job in todo if job.table.kept.name == name], left)
            if rows is not None:
                outcome = self._do(_Job(table, -1, "write"), rows)
                changed = changed or outcome is None or bool(outcome.changed)
        return changed

    def _left_rows(self, jobs: Sequence[_Job], left: Sequence[LeftOver]) -> pa.Table | None:
        """Those rows of these jobs that are left over; None for none, or for more than one transaction shall have."""
        found: list[pa.Table] = []
        for job in jobs:
            keys = {each.key for each in left if each.table == job.table.kept.name}
            for rows in self._batches(job) if job.how == "write" else ():
                named = zip(*(rows[name].to_pylist() for name in job.table.kept.key), strict=True)
                found.append(rows.filter(pa.array([key_text(key) in keys for key in named], pa.bool_())))
                if sum(each.num_rows for each in found) > _MOST_AT_ONCE:
                    return None
        rows = pa.concat_tables(found) if found else None
        return rows if rows is not None and rows.num_rows else None

    def _parts(self, table: RestoredTable) -> range:
        return range(self._differences[table.kept.name].count)

    def _batches(self, job: _Job) -> Iterator[pa.Table]:
        """The rows of a job, as many at a time as one transaction takes."""
        differing = self._differences[job.table.kept.name].part(job.part)
        rows = differing.extra if job.how == "delete" else differing.backed_up
        del differing
        for start in range(0, rows.num_rows, _BATCH_ROWS):
            yield rows.slice(start, _BATCH_ROWS)

    def _do(self, job: _Job, rows: pa.Table) -> Outcome | None:
        """What a batch came to; None where it is known only that it was committed."""
        attempt = self._attempt
        if attempt.stop.is_set:
            raise Interrupted(
                f"stopped between two batches: {attempt.stop.reason}", next_step="run the same command again to go on"
            )
        began = time.monotonic()
        self._number += 1
        outcome, attempts = attempt.lane.persist(
            partial(self._one, job, rows, self._number), f"restoring a part of {job.table.kept.name}"
        )
        if outcome is None or outcome.changed:
            counts = Counts(read=rows.num_rows, mapped=rows.num_rows)
            attempt.done = attempt.done + counts
            attempt.batches += 1
            attempt.listen(
                BatchDone(
                    attempt.run.mapping,
                    attempt.run.run,
                    self._number,
                    counts,
                    time.monotonic() - began,
                    attempts,
                )
            )
        return outcome

    def _one(self, job: _Job, rows: pa.Table, number: int) -> Outcome | None:
        attempt = self._attempt
        session = attempt.lane.session
        transaction = attempt.lane.transaction(number)
        try:
            transaction.begin("restore")
            outcome = job.table.delete(session, rows) if job.how == "delete" else job.table.write(session, rows)
            if not outcome.changed:
                transaction.abandon()
                return outcome
            transaction.record.counts = Counts(targets={job.table.kept.name: outcome.counts})
            transaction.finish([])
        except AlreadyApplied:
            return None
        except BaseException:
            transaction.abandon()
            raise
        return outcome


def _refusal(left: Sequence[LeftOver]) -> RowsChanged:
    shown = "".join(f"\n  {row.table} {row.key}: {row.why}" for row in left[:SHOWN])
    more = f"\n  … and {len(left) - SHOWN} more (--json names all)" if len(left) > SHOWN else ""
    return RowsChanged(
        f"{rows_text(len(left))} cannot be brought to what the backup has{shown}{more}",
        [row.to_json() for row in left],
        next_step="all other rows are restored; see to these, then restore again",
    )
