"""Rows of the buckets that differ: kept on disk in parts that fit into memory, compared by key and content, duplicates counted.

Nothing here knows a database. A side adds its rows in any order; a part holds all rows of its buckets of both sides.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.checksum.vectorised import key_digests, row_digests
from migrate.errors import EnvironmentFault
from migrate.mapping.duck import connect_briefly
from migrate.verify.buckets import Buckets, BucketSums, Sorted, buckets_of, sorted_rows
from migrate.verify.verdict import Kind, SideName

KEY: Final = "_k"
ROW: Final = "_r"
PART_ROWS: Final = 50_000
"""Rows of both sides that are compared at a time; one bucket is never cut."""
OPEN_FILES: Final = 128
"""Parts that one side writes to at a time: where everything differs there are more parts than a process may have files."""

Kept = Literal["source", "target", "unread", "unread_source"]
"""What a part holds: the rows of both sides, and those of the target, or of a source table, of which something cannot be read, by their key."""


class Parts:
    """Temporary files with the rows of differing buckets of both sides, bucket by bucket in parts of about `PART_ROWS` rows.

    Each side has a thread of its own that adds its rows; reading comes after both. Raises EnvironmentFault where the disk does not take the rows.
    """

    def __init__(self, source: BucketSums, target: BucketSums, unread: Buckets | None = None) -> None:
        """Both sorted alike. `unread`: per bucket how many rows beside them cannot be read; a bucket with such rows differs."""
        self._sorting = source.sorting
        also = np.zeros(source.sorting.buckets, np.int64) if unread is None else unread
        differing = np.union1d(source.differing(target), np.flatnonzero(also))
        rows = (source.rows + target.rows + also)[differing]
        self._part_of = np.full(source.sorting.buckets, -1, np.int64)
        self._part_of[differing] = (np.cumsum(rows) - rows) // PART_ROWS
        self.count = int(self._part_of.max()) + 1 if len(differing) else 0
        self._first: dict[SideName, BucketSums] = {"source": source, "target": target}
        self._again: dict[Kept, BucketSums] = {
            "source": BucketSums(source.sorting),
            "target": BucketSums(source.sorting),
        }
        self._folder = Path(tempfile.mkdtemp(prefix="migrate-verify-"))
        self._writers: dict[Kept, _Writers] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._writers.values():
            # A disk that was full is so still, and nobody reads these any more.
            with suppress(OSError):
                each.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def holds(self, rows: pa.Table, contract: Contract) -> npt.NDArray[np.bool_]:
        """For each row, with the contract's columns, whether its bucket differs."""
        return np.asarray(self._part_of[sorted_rows(rows, contract, self._sorting)] >= 0)

    def add(self, side: Kept, rows: pa.Table, keys: pa.Array, digests: pa.Array) -> None:
        """Keep those of `rows` that lie in a differing bucket by their key digests; rows without digest are in none."""
        self._add(side, rows, keys, digests, Sorted(buckets_of(keys, self._sorting.bits), digests))

    def _add(self, side: Kept, rows: pa.Table, keys: pa.Array, digests: pa.Array, summed: Sorted) -> None:
        """`summed`: what the sums of this side are over."""
        known = np.asarray(keys.is_valid()) & np.asarray(digests.is_valid())
        part = np.where(known, self._part_of[summed.buckets], -1)
        if side in self._again:
            mine = part >= 0
            again = Sorted(summed.buckets[mine], summed.digests.filter(pa.array(mine)))
            self._again[side].add_sorted(again)
        for number in np.unique(part[part >= 0]).tolist():
            at = pa.array(np.flatnonzero(part == number))
            kept = rows.take(at).append_column(KEY, keys.take(at).cast(pa.binary()))
            kept = kept.append_column(ROW, digests.take(at).cast(pa.binary()))
            with _on_disk(self._folder):
                self._writers.setdefault(side, _Writers()).write(self._path(side, number), kept)

    def encode(self, side: Kept, rows: pa.Table, contract: Contract, nonce: str, summed: str | None = None) -> None:
        """Keep those of `rows`, with the contract's columns, that lie in a differing bucket; no others are encoded.

        `summed`: the column with what the sums of this side are over, where that is something else than the rows' digests; it is not kept.
        """
        buckets = sorted_rows(rows, contract, self._sorting)
        inside = self._part_of[buckets] >= 0
        mine = rows.filter(pa.array(inside))
        keys, digests = key_digests(mine, contract), row_digests(mine, contract, nonce)
        over = digests if summed is None else mine[summed].combine_chunks()
        mine = mine if summed is None else mine.drop_columns([summed])
        self._add(side, mine, keys, digests, Sorted(buckets[inside], over))

    def unsteady(self) -> list[SideName]:
        """The sides whose rows, as they were added, are not those of the sums by which the buckets differ.

        Where rows met on both sides, they are in neither sum: as long as both have as many rows as before, it cannot be told which of them moved.
        """
        differing = np.flatnonzero(self._part_of >= 0)
        source, target = self._first["source"], self._first["target"]
        if not source.met:
            return [
                side
                for side, first in self._first.items()
                if len(np.intersect1d(first.differing(self._again[side]), differing))
            ]
        others: list[SideName] = [
            side for side, first in self._first.items() if (first.rows != self._again[side].rows)[differing].any()
        ]
        if others:
            return others
        again = self._again["source"].without(self._again["target"])
        moved = len(np.intersect1d(source.without(target).differing(again), differing))
        return ["source", "target"] if moved else []

    def read(self, side: Kept, number: int) -> pa.Table | None:
        """All rows of one side in a part, or None when it has none."""
        path = self._path(side, number)
        with _on_disk(self._folder):
            if side in self._writers:
                self._writers[side].close()
            return _read(path) if path.exists() else None

    def _path(self, side: Kept, number: int) -> Path:
        return self._folder / f"{side}-{number}.arrow"


class _Writers:
    """Appends rows to files of Arrow streams, of which only some are open at a time."""

    def __init__(self) -> None:
        self._open: dict[Path, tuple[IO[bytes], pa.ipc.RecordBatchStreamWriter]] = {}

    def write(self, path: Path, rows: pa.Table) -> None:
        """Add rows to a file; each time that it is opened anew, another stream begins in it."""
        if path not in self._open:
            if len(self._open) >= OPEN_FILES:
                self.close()
            file = path.open("ab")
            self._open[path] = file, pa.ipc.new_stream(file, rows.schema)
        self._open[path][1].write_table(rows)

    def close(self) -> None:
        """End what is open."""
        for file, writer in self._open.values():
            with file:
                writer.close()
        self._open.clear()


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        size, streams = file.size(), []
        while file.tell() < size:
            streams.append(pa.ipc.open_stream(file).read_all())
    return pa.concat_tables(streams).combine_chunks()


@contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(
            f"rows that differ cannot be kept on disk: {error.strerror or error}",
            where=str(folder.parent),
            next_step="make room there, or name another folder in TMPDIR; then verify again",
        ) from error


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """A key whose rows differ: how often it is there, and the places of one row of each side that is there more often than on the other (None: none)."""

    kind: Kind
    source_rows: int
    target_rows: int
    source_at: int | None
    target_at: int | None


_COMPARE = """
WITH s AS (SELECT k, r, count(*) AS n, min(i) AS i FROM source GROUP BY ALL),
     t AS (SELECT k, r, count(*) AS n, min(i) AS i FROM target GROUP BY ALL),
     unequal AS (
       SELECT coalesce(s.k, t.k) AS k,
              CASE WHEN s.n > coalesce(t.n, 0) THEN s.i END AS si, CASE WHEN t.n > coalesce(s.n, 0) THEN t.i END AS ti
       FROM s FULL JOIN t ON s.k = t.k AND s.r = t.r WHERE s.n IS DISTINCT FROM t.n),
     keys AS (SELECT k, min(si) AS si, min(ti) AS ti FROM unequal GROUP BY k),
     sn AS (SELECT k, sum(n) AS n FROM s GROUP BY k),
     tn AS (SELECT k, sum(n) AS n FROM t GROUP BY k)
SELECT CASE WHEN tn.n IS NULL THEN 'missing' WHEN sn.n IS NULL THEN 'extra' WHEN sn.n <> tn.n THEN 'multiplicity' ELSE 'changed' END,
       coalesce(sn.n, 0), coalesce(tn.n, 0), si, ti
FROM keys LEFT JOIN sn USING (k) LEFT JOIN tn USING (k) ORDER BY k
"""


def differing_keys(source: pa.Table | None, target: pa.Table | None) -> Iterator[KeyDifference]:
    """The keys of a part that do not have the same rows on both sides, in the order of their digests."""
    with connect_briefly() as connection:
        for name, rows in (("source", source), ("target", target)):
            connection.register(name, _places(rows))
        for kind, source_rows, target_rows, source_at, target_at in connection.sql(_COMPARE).fetchall():
            yield KeyDifference(kind, int(source_rows), int(target_rows), source_at, target_at)


def _places(rows: pa.Table | None) -> pa.Table:
    if rows is None:
        empty = pa.array([], pa.binary())
        return pa.table({"k": empty, "r": empty, "i": pa.array([], pa.int64())})
    return pa.table({"k": rows[KEY], "r": rows[ROW], "i": pa.array(np.arange(rows.num_rows))})


def shares_key(rows: pa.Table) -> npt.NDArray[np.bool_]:
    """For each row whether another one has its key."""
    keys = rows[KEY].combine_chunks()
    counts = pc.value_counts(keys)
    repeated = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1))
    return np.asarray(pc.is_in(keys, value_set=pc.struct_field(repeated, "values")))
