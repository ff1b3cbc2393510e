"""One scan of each side: sums by bucket, control totals, and on the source side what the replay filters and rejects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from migrate.engine.plan import Plan
from migrate.mapping.mapped import ORDINAL, ROWS, Mapped
from migrate.mapping.stages import UNIT
from migrate.mapping.totals import ProgramTotal
from migrate.verify.both import Watch
from migrate.verify.buckets import BY_HASH, BucketSums, Sorted, Sorting, bits_for, digested
from migrate.verify.meeting import ByEncoding, Meeting
from migrate.verify.notes import Note
from migrate.verify.pieces import (
    SOURCE,
    Pieces,
    coverage_read,
    coverage_written,
    rows_read,
    rows_written,
    sorting_read,
    sums_read,
    sums_written,
    target_piece,
)
from migrate.verify.replay import Replay
from migrate.verify.second_driver import Sample
from migrate.verify.shown import Shown
from migrate.verify.source_rows import ReadTotals
from migrate.verify.spread import at_once_here, spread_over
from migrate.verify.sql_scan import Scan, Scanned, Trial
from migrate.verify.state import Piece
from migrate.verify.stored import Stored, StoredChunk
from migrate.verify.totals import Totals
from migrate.verify.units import unit_name
from migrate.verify.unread import UnreadTally
from migrate.verify.verdict import Coverage, SideName
from migrate.write.target import WriteTarget

Keep: TypeAlias = Callable[[WriteTarget, pa.Table], None]
"""Gets the stored rows of each target as they are read, one target after the other; called by the thread that reads them."""


def kept_nowhere(_target: WriteTarget, _rows: pa.Table) -> None:
    """Nobody wants the rows."""


class SourceScan:
    """What the replay expects, without the rows. `rejected_units` by the names of the ledger; `rows_rejected` counts source rows; `sample`: some of them.

    `sorting`: how the rows of each target are sorted there. `read`: what the source's own sums are compared with.
    """

    def __init__(
        self, plan: Plan, nonce: str, totals: Sequence[ProgramTotal], sorting: Mapping[str, Sorting], read: ReadTotals
    ) -> None:
        self._plan = plan
        self._nonce = nonce
        self.totals = Totals(totals)
        self.read = read
        self.sums = {target.name: BucketSums(sorting[target.name]) for target in plan.targets}
        self.rows_read = 0
        self.rows_filtered = 0
        self.rows_rejected = 0
        self.rejected_units: set[str] = set()
        self.sample = Sample()
        self.kept = False
        self.meetings: dict[str, Meeting] = {}

    def walk(self, replay: Replay, watch: Watch, pool: Executor, pieces: Pieces) -> None:
        """Read and map the whole source, unless it is kept; `pool` maps and digests."""
        kept = pieces.found(SOURCE)
        if kept is not None:
            self._restore(kept)
            watch("source", self.rows_read)
            return
        # The other side is told first that nobody comes any more: pieces that are still in work may wait for it.
        with closing(replay.worked(pool, self._digested, self._look)) as chunks, attending(self.meetings, "source"):
            for mapped, sorted_rows in chunks:
                watch("source", mapped.rows_read)
                self.rows_read += mapped.rows_read
                self.rows_filtered += mapped.filtered
                self._count_rejects(mapped)
                for name, each in sorted_rows.items():
                    self.sums[name].add_sorted(each)
                for name, rows in mapped.rows.items():
                    self.totals.add(name, rows)
                self.read.add(mapped)
                # Not held while the next chunk is waited for.
                del mapped, sorted_rows
        replay.require_whole(self.rows_read)
        pieces.keep(SOURCE, self._written)

    def _written(self) -> Piece:
        return {
            "sums": {name: sums_written(sums) for name, sums in self.sums.items()},
            "totals": {name: self.totals.written(name) for name in self.sums},
            "rows": [self.rows_read, self.rows_filtered, self.rows_rejected],
            "rejected_units": sorted(self.rejected_units),
            "sample": rows_written(self.sample.rows()),
            "read": [self.read.kept, self.read.unread],
        }

    def _restore(self, kept: Piece) -> None:
        self.kept = True
        self.sums = {name: sums_read(sums) for name, sums in kept["sums"].items()}
        for name, totals in kept["totals"].items():
            self.totals.restore(name, totals)
        self.rows_read, self.rows_filtered, self.rows_rejected = kept["rows"]
        self.rejected_units = set(kept["rejected_units"])
        self.sample = Sample.of(rows_read(kept["sample"]))
        self.read.restore(*kept["read"])

    def _digested(self, mapped: Mapped) -> tuple[Mapped, dict[str, Sorted]]:
        found = {}
        for target in self._plan.targets:
            rows = mapped.rows[target.name]
            if target.name in self.meetings:
                self.meetings[target.name].add("source", in_contract(rows, target))
            else:
                found[target.name] = digested(rows, target.contract, self._nonce, self.sums[target.name].sorting)
        return mapped, found

    def close(self) -> None:
        """Free what it holds."""
        self.totals.close()
        self.read.close()

    def _look(self, rows: pa.Table) -> None:
        self.sample.add(rows)
        self.read.look(rows)

    def _count_rejects(self, mapped: Mapped) -> None:
        if mapped.rejects.num_rows == 0:
            return
        numbers = pc.unique(mapped.rejects[UNIT])
        units = mapped.units.filter(pc.is_in(mapped.units[UNIT], value_set=numbers))
        self.rows_rejected += int(pc.sum(units[ROWS]).as_py() or 0)
        keys = zip(*(units[name].to_pylist() for name in self._plan.program.unit_columns), strict=True)
        self.rejected_units |= {
            unit_name(key, ordinal) for key, ordinal in zip(keys, units[ORDINAL].to_pylist(), strict=True)
        }


def kept_again(coverage: Coverage) -> Coverage:
    """How a side was scanned that was not scanned again."""
    return replace(coverage, notes=(*coverage.notes, Note.of("kept_by_state")))


class TargetScan:
    """What is stored, without the rows. `unread`: what cannot be read of each target; `coverage`: how each was scanned.

    `keep` gets no rows of a target that its database sums up: who wants them asks for `stream`.
    """

    def __init__(
        self, plan: Plan, nonce: str, totals: Sequence[ProgramTotal], scan: Scan, keep: Keep = kept_nowhere
    ) -> None:
        self._plan = plan
        self._keep = keep
        self._nonce = nonce
        self._scan = scan
        self._trials: dict[str, Trial | Scanned] = {}
        self._kept: dict[str, Coverage] = {}
        self.coverage: list[Coverage] = []
        self.totals = Totals(totals)
        self.sums = {target.name: BucketSums(BY_HASH) for target in plan.targets}
        self.unread: dict[str, UnreadTally] = {}
        self.meetings: dict[str, Meeting] = {}

    def choose(self, stored: Mapping[str, Stored], pieces: Pieces) -> None:
        """Take what is kept, and find out which other tables their databases may sum up: both sides have to be sorted alike."""
        source = pieces.found(SOURCE)
        for target in self._plan.targets:
            name = target.name
            kept = pieces.found(target_piece(name))
            if kept is not None:
                self.sums[name] = sums_read(kept["sums"])
                self.totals.restore(name, kept["totals"])
                self._kept[name] = coverage_read(kept["coverage"])
            else:
                # A source that is kept is sorted already, and a database sorts in one way only.
                given = None if source is None else sorting_read(source["sums"][name])
                bits = bits_for(self._plan.source_shape.rows, target.shape.rows) if given is None else given.bits
                scan: Scan = self._scan if given is None or given.by == "digest" else "stream"
                self._trials[name] = stored[name].trial(self._nonce, scan, bits)
                by_digest = isinstance(self._trials[name], Trial)
                self.sums[name] = BucketSums(given or Sorting("digest" if by_digest else "hash", bits))
            self.unread[name] = UnreadTally(Shown(target.contract, target.key), self.sums[name].sorting)

    @property
    def sorting(self) -> dict[str, Sorting]:
        """How the rows of each target are sorted; known once it was chosen."""
        return {name: sums.sorting for name, sums in self.sums.items()}

    def walk(self, stored: Mapping[str, Stored], watch: Watch, pool: Executor, pieces: Pieces) -> None:
        """Read all targets that are not kept, one after the other, first the one whose rows meet; `pool` digests."""
        for target in sorted(self._plan.targets, key=lambda target: target.name not in self.meetings):
            name = target.name
            if name in self._kept:
                self.coverage.append(kept_again(self._kept[name]))
                watch("target", self.sums[name].count)
                continue
            if not self._summed(name, stored[name], watch):
                self._read(target, stored[name], watch, pool)
            pieces.keep(target_piece(name), partial(self._written, name))
        order = [target.name for target in self._plan.targets]
        self.coverage.sort(key=lambda coverage: order.index(coverage.table))

    def read_through(self) -> list[WriteTarget]:
        """The targets of which every row is read."""
        return [each for each in self._plan.targets if isinstance(self._trials.get(each.name), Scanned)]

    def _written(self, name: str) -> Piece | None:
        """None with rows that cannot be read: these are named only by who reads them."""
        if self.unread[name].count:
            return None
        (coverage,) = (coverage_written(each) for each in self.coverage if each.table == name)
        return {"sums": sums_written(self.sums[name]), "totals": self.totals.written(name), "coverage": coverage}

    def _read(self, target: WriteTarget, stored: Stored, watch: Watch, pool: Executor) -> None:
        sums, meeting = self.sums[target.name], self.meetings.get(target.name)

        def work(chunk: StoredChunk) -> tuple[StoredChunk, Sorted | None]:
            if meeting is None:
                return chunk, digested(chunk.rows, target.contract, self._nonce, sums.sorting)
            meeting.add("target", in_contract(chunk.rows, target))
            return chunk, None

        attended = nullcontext() if meeting is None else meeting.attended("target")
        with closing(spread_over(pool, stored.chunks(), work, at_once_here())) as chunks, attended:
            for chunk, sorted_rows in chunks:
                watch("target", chunk.rows.num_rows)
                self.unread[target.name].add(chunk.unread)
                self._keep(target, chunk.rows)
                self.totals.add(target.name, chunk.rows)
                if sorted_rows is not None:
                    sums.add_sorted(sorted_rows)
                del chunk, sorted_rows

    def close(self) -> None:
        """Free what it holds."""
        self.totals.close()

    def _summed(self, name: str, stored: Stored, watch: Watch) -> bool:
        """True if the database has summed up the rows of this target; false if they have to be read."""
        trial = self._trials[name]
        found = trial.scan() if isinstance(trial, Trial) else trial
        self.coverage.append(found.coverage)
        if found.sums is None:
            return False
        self.sums[name] = found.sums
        expressions = self.totals.expressions(name)
        if not expressions:
            watch("target", found.sums.count)
            return True
        # Control totals are added up here on both sides, from no more columns than they need.
        for rows in stored.values(expressions):
            watch("target", rows.num_rows)
            self.totals.add(name, rows)
        return True


def let_meet(source: SourceScan, target: TargetScan, nonce: str) -> None:
    """Let the rows of the largest table that is read through meet while both sides are walked; of one, since targets are read one after the other."""
    largest = max(target.read_through(), key=lambda each: each.shape.rows or 0, default=None)
    if largest is not None:
        sums: dict[SideName, BucketSums] = {"source": source.sums[largest.name], "target": target.sums[largest.name]}
        meeting = Meeting(ByEncoding(largest.contract, nonce), sums)
        source.meetings = target.meetings = {largest.name: meeting}


def in_contract(rows: pa.Table, target: WriteTarget) -> pa.Table:
    """The columns that are compared."""
    return rows.select([name for name, _ in target.contract.columns])


def attending(meetings: Mapping[str, Meeting], side: SideName) -> AbstractContextManager[None]:
    """For the time in which a side adds its rows to the meeting, if there is one."""
    return next((each.attended(side) for each in meetings.values()), nullcontext())
