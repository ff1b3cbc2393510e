"""A source of which only some key ranges are there: for a rehearsal of a sample. Whoever reads it reads those rows, as if there were no others.

Each range of the sample is a batch of its own: borders are those of the sample, whatever size is asked for. Rows that are asked for by key
(`pick`) are found in the whole source: who asks has read them, and ranges never cut through rows with one key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from migrate.stores.port import AbstractSnapshot, SourceReader, SourceStore
from migrate.values import Key, KeyRange, SourceSample


class SampledSource:
    """The part of `whole` that a sample has; otherwise as `SourceStore`."""

    def __init__(self, whole: SourceStore, sample: SourceSample) -> None:
        self._whole = whole
        self._sample = sample
        self.shape = replace(whole.shape, rows=sample.rows)

    def snapshot(self) -> AbstractSnapshot:
        """That of the whole."""
        return self._whole.snapshot()

    def reader(self, snapshot: AbstractSnapshot | None = None) -> SourceReader:
        """Open a connection, in `snapshot` if given."""
        return _SampledReader(self._whole.reader(snapshot), self._sample.ranges)

    def fingerprint(self) -> dict[str, str]:
        """That of the whole."""
        return self._whole.fingerprint()


class _SampledReader:
    """See `SourceReader`; ranges that are read are made of borders that `border` gave."""

    def __init__(self, whole: SourceReader, ranges: Sequence[KeyRange]) -> None:
        self._whole = whole
        self._ranges = tuple(ranges)
        self._behind = {each.upto: number + 1 for number, each in enumerate(ranges) if each.upto is not None}

    def border(self, _columns: tuple[str, ...], after: Key | None, _rows: int) -> Key | None:
        """The end of the range behind `after`; None for that of the last, behind which there is nothing."""
        number = self._first(after)
        return self._ranges[number].upto if number + 1 < len(self._ranges) else None

    def read(
        self, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, columns: tuple[str, ...] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of the sample in the range."""
        end = len(self._ranges) if key_range.upto is None else self._behind[key_range.upto]
        for each in self._ranges[self._first(key_range.after) : end]:
            yield from self._whole.read(each, order, chunk_bytes, columns)

    def pick(
        self, by: tuple[str, ...], keys: Sequence[Key], order: tuple[str, ...], columns: tuple[str, ...] | None = None
    ) -> pa.Table:
        """As in the whole."""
        return self._whole.pick(by, keys, order, columns)

    def scan(self, columns: tuple[str, ...], chunk_bytes: int) -> Iterator[pa.RecordBatch]:
        """All rows of the sample, range by range."""
        for each in self._ranges:
            yield from self._whole.read(each, each.columns, chunk_bytes, columns)

    def lookup(self, columns: tuple[str, ...]) -> pa.Table:
        """As in the whole: tables that are looked up are no sample."""
        return self._whole.lookup(columns)

    def now(self) -> str:
        """The source's clock."""
        return self._whole.now()

    def close(self) -> None:
        """Free the connection."""
        self._whole.close()

    def _first(self, after: Key | None) -> int:
        return 0 if after is None else self._behind[after]
