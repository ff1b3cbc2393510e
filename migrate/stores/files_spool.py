"""Rows of files in a temporary Arrow file with random access by row number, sorted by key where a key was declared.

The file lies in the system's temporary folder (TMPDIR), compressed with LZ4, about as large as the CSV or twice the Parquet
that it was made from. Its name is removed as soon as it is open, so that nothing of it outlives the process, however that dies.
"""

from __future__ import annotations

import io
import os
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from migrate.errors import EnvironmentFault
from migrate.stores.port import ANOMALY, ROW_NUMBER
from migrate.values import Key

_BATCH_ROWS: Final = 16_384
_BATCH_BYTES: Final = 8 << 20
_OF: Final = "\x1f"
_END: Final = "\x1e"
_SORT_MEMORY: Final = "100MB"


class Spool:
    """Rows written once and read by position; `keys[i]` is the key (of `order`) of the last row of batch i.

    Safe for several threads, each through `rows` of its own.
    """

    def __init__(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], order: tuple[str, ...]) -> None:
        self._schema = schema
        self._order = order
        self._last_keys: list[tuple[Any, ...]] = []
        counts: list[int] = []
        try:
            handle, path = tempfile.mkstemp(prefix="migrate-", suffix=".arrow")
            os.unlink(path)  # noqa: PTH108 - beside os.open and os.pread
            self._handle = handle
            with (
                os.fdopen(os.dup(handle), "wb") as sink,
                pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer,
            ):
                for batch in batches:
                    for part in _parts(batch):
                        writer.write_batch(part)
                        counts.append(part.num_rows)
                        self._last_keys.append(self._key(part, part.num_rows - 1))
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write rows to a temporary file: {error}",
                where=tempfile.gettempdir(),
                next_step="free room there, or set TMPDIR to another folder, and run again",
            ) from error
        self._ends = list(accumulate(counts))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._ends[-1] if self._ends else 0

    def read(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """The rows from `start` (from 0) to before `stop`, in order."""
        if start >= stop:
            return
        file = pa.ipc.open_file(pa.PythonFile(_At(self._handle), mode="r"))
        number = bisect_right(self._ends, start)
        while number < len(self._ends) and start < stop:
            batch = file.get_batch(number)
            begin = self._ends[number] - batch.num_rows
            yield batch.slice(start - begin, min(stop, self._ends[number]) - start)
            start = self._ends[number]
            number += 1

    def key_at(self, position: int, width: int) -> Key:
        """The first `width` key columns of the row at `position`."""
        batch = next(self.read(position, position + 1))
        return self._key(batch, 0)[:width]

    def position(self, key: Key | None, *, with_equal: bool = True) -> int:
        """How many rows have a smaller key than `key`, or the same; `key` may be a beginning of the whole one. NULL comes before everything."""
        if key is None:
            return 0
        bisect = bisect_right if with_equal else bisect_left
        wanted = tuple(map(_sortable, key))
        beginnings = [tuple(map(_sortable, last[: len(key)])) for last in self._last_keys]
        number = bisect(beginnings, wanted)
        if number == len(beginnings):
            return self.rows
        begin = self._ends[number - 1] if number else 0
        inside = next(self.read(begin, self._ends[number]))
        columns = [inside.column(name) for name in self._order[: len(key)]]
        return begin + bisect(
            range(inside.num_rows), wanted, key=lambda row: tuple(_sortable(c[row].as_py()) for c in columns)
        )

    def close(self) -> None:
        """Give the room back; safe to call twice."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", -1) >= 0:
            self.close()

    def _key(self, batch: pa.RecordBatch, row: int) -> tuple[Any, ...]:
        return tuple(batch.column(name)[row].as_py() for name in self._order)


def reason(column: str, sentence: str) -> str:
    """How the temporary file keeps what is wrong with one column, or with the whole row (column '')."""
    clean = sentence.replace(_OF, "\\x1f").replace(_END, "\\x1e")
    return f"{column}{_OF}{clean}{_END}"


def told(reasons: Sequence[Any], rows: int) -> pa.Array:
    """The reasons (string arrays of `reason`) of each row, one after the other; NULL where there are none."""
    if len(reasons) < 2:  # noqa: PLR2004 - nothing to join
        return reasons[0] if reasons else pa.nulls(rows, pa.string())
    joined = pc.binary_join_element_wise(*reasons, "", null_handling="replace", null_replacement="")
    return pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined)


def with_anomaly(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """The rows with only `columns`, and as `ANOMALY` what concerns them."""
    kept = batch.column(ANOMALY)
    if kept.null_count < len(kept):
        kept = pa.array([None if text is None else _anomaly(text, columns) for text in kept.to_pylist()], pa.string())
    arrays = [batch.column(name) for name in columns]
    fields = [batch.schema.field(name) for name in (*columns, ANOMALY)]
    return pa.RecordBatch.from_arrays([*arrays, kept], schema=pa.schema(fields))


def _anomaly(text: str, columns: Sequence[str]) -> str | None:
    parts = [part.split(_OF, 1) for part in text.split(_END) if part]
    told_of = [f"{name}: {sentence}" if name else sentence for name, sentence in parts if not name or name in columns]
    return "; ".join(told_of) or None


def sorted_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], order: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    """The rows sorted by `order`, then by their number: NULLs first, text by code point; what does not fit in memory is sorted on disk."""
    names = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" NULLS FIRST' for name in (*order, ROW_NUMBER))
    with tempfile.TemporaryDirectory(prefix="migrate-sort-") as folder:
        settings: dict[str, Any] = {"temp_directory": folder, "memory_limit": _SORT_MEMORY, "threads": 1}
        with duckdb.connect(config=settings) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("unsorted", pa.RecordBatchReader.from_batches(schema, batches))
            try:
                for batch in connection.sql(f"SELECT * FROM unsorted ORDER BY {names}").to_arrow_reader(_BATCH_ROWS):
                    yield batch.cast(schema)
            except duckdb.IOException as error:
                raise EnvironmentFault(
                    f"cannot sort the rows on disk: {error}", where=folder, next_step="free room there, and run again"
                ) from error


class _At(io.RawIOBase):
    """A file read through a shared handle at a position of its own."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = offset + (os.fstat(self._handle).st_size if start is None else start)
        return self._position

    def read(self, size: int = -1) -> bytes:
        wanted = size if size >= 0 else os.fstat(self._handle).st_size - self._position
        pieces = []
        while wanted > 0 and (piece := os.pread(self._handle, wanted, self._position)):
            pieces.append(piece)
            self._position += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces of bounded rows and bytes."""
    size = max(batch.nbytes // max(batch.num_rows, 1), 1)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // size))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _sortable(value: Any) -> tuple[bool, Any]:
    """Orders NULL before every value."""
    return (value is not None, value if value is not None else 0)
