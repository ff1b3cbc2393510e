"""Rows of the buckets that differ: kept on disk in parts that fit into memory, compared by key and content, duplicates counted.

Nothing here knows a database. A side adds its rows in any order; a part holds all rows of its buckets of both sides.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.mapping.duck import connect
from migrate.verify.buckets import BUCKETS, Buckets, BucketSums, buckets_of
from migrate.verify.verdict import Kind

KEY: Final = "_k"
ROW: Final = "_r"
PART_ROWS: Final = 100_000
"""Rows of both sides that are compared at a time; one bucket is never cut."""

Kept = Literal["source", "target", "unread", "unread_source"]
"""What a part holds: the rows of both sides, and those of the target, or of a source table, of which something cannot be read, by their key."""


class Parts:
    """Temporary files with the rows of differing buckets of both sides, bucket by bucket in parts of about `PART_ROWS` rows."""

    def __init__(self, source: BucketSums, target: BucketSums, unread: Buckets | None = None) -> None:
        """`unread`: per bucket how many rows beside them cannot be read; a bucket with such rows differs."""
        also = np.zeros(BUCKETS, np.int64) if unread is None else unread
        differing = np.union1d(source.differing(target), np.flatnonzero(also))
        rows = (source.rows + target.rows + also)[differing]
        self._part_of = np.full(BUCKETS, -1, np.int64)
        self._part_of[differing] = (np.cumsum(rows) - rows) // PART_ROWS
        self.count = int(self._part_of.max()) + 1 if len(differing) else 0
        self._folder = Path(tempfile.mkdtemp(prefix="migrate-verify-"))
        self._writers: dict[Path, pa.ipc.RecordBatchStreamWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def holds(self, keys: pa.Array) -> npt.NDArray[np.bool_]:
        """For each key digest whether its bucket differs."""
        return np.asarray(self._part_of[buckets_of(keys)] >= 0)

    def add(self, side: Kept, rows: pa.Table, keys: pa.Array, digests: pa.Array) -> None:
        """Keep those of `rows` that lie in a differing bucket; rows without digest are in none."""
        known = np.asarray(keys.is_valid()) & np.asarray(digests.is_valid())
        part = np.where(known, self._part_of[buckets_of(keys)], -1)
        for number in np.unique(part[part >= 0]).tolist():
            at = pa.array(np.flatnonzero(part == number))
            kept = rows.take(at).append_column(KEY, keys.take(at).cast(pa.binary()))
            self._writer(side, number, kept).write_table(kept.append_column(ROW, digests.take(at).cast(pa.binary())))

    def read(self, side: Kept, number: int) -> pa.Table | None:
        """All rows of one side in a part, or None when it has none."""
        self._close()
        path = self._path(side, number)
        if not path.exists():
            return None
        with pa.OSFile(str(path)) as file:
            return pa.ipc.open_stream(file).read_all().combine_chunks()

    def _writer(self, side: Kept, number: int, rows: pa.Table) -> pa.ipc.RecordBatchStreamWriter:
        path = self._path(side, number)
        if path not in self._writers:
            schema = rows.schema.append(pa.field(ROW, pa.binary()))
            self._writers[path] = pa.ipc.new_stream(str(path), schema)
        return self._writers[path]

    def _path(self, side: Kept, number: int) -> Path:
        return self._folder / f"{side}-{number}.arrow"

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """A key whose rows differ: how often it is there, and the places of one row of each side that has no equal on the other (None: none)."""

    kind: Kind
    source_rows: int
    target_rows: int
    source_at: int | None
    target_at: int | None


_COMPARE = """
WITH s AS (SELECT k, r, count(*) AS n, min(i) AS i FROM source GROUP BY ALL),
     t AS (SELECT k, r, count(*) AS n, min(i) AS i FROM target GROUP BY ALL),
     unequal AS (
       SELECT coalesce(s.k, t.k) AS k, s.i AS si, t.i AS ti
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
    with connect() as connection:
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
