"""Read a key range in chunks that are bounded in bytes and never cut through a unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from migrate.mapping.program import Program
from migrate.stores.port import ANOMALY, SourceReader
from migrate.values import KeyRange


def read_chunks(reader: SourceReader, key_range: KeyRange, program: Program, chunk_bytes: int) -> Iterator[pa.Table]:
    """Tables of about `chunk_bytes` of the columns that the program uses, in source order; rows with equal keys stay together.

    The range of a grouped program comes as one table: groups may interleave under the source's collation, so that no place inside is sure
    not to cut one. At least one table comes, empty if the range is.
    """
    order, uncut = program.order, program.grouped
    held: list[pa.RecordBatch] = []
    size, came = 0, False
    for batch in reader.read(key_range, order, chunk_bytes, program.source_columns):
        held.append(batch)
        size += batch.nbytes
        full = not uncut and size >= chunk_bytes and batch.num_rows > 0
        # Nothing here keeps rows alive while the caller has done with them and the next ones are read.
        del batch
        if not full:
            continue
        ready, held = ([pa.Table.from_batches(held)], []) if program.unit_is_unique else _cut(held, order)
        size = sum(each.nbytes for each in held)
        if ready:
            came = True
            yield ready.pop()
    if held:
        yield pa.Table.from_batches(held)
    elif not came:
        yield program.source_schema.append(pa.field(ANOMALY, pa.string())).empty_table()


def _cut(batches: list[pa.RecordBatch], order: Sequence[str]) -> tuple[list[pa.Table], list[pa.RecordBatch]]:
    """All rows but those with the last key as one table, none if there are no others, and the batches that are left."""
    table = pa.Table.from_batches(batches)
    cut = _last_key_begins(table, order)
    if not cut:
        return [], batches
    # Taken and not sliced: a slice of a few rows would keep the buffers of all.
    return [table.slice(0, cut)], table.take(pa.array(range(cut, table.num_rows))).to_batches()


def _last_key_begins(table: pa.Table, order: Sequence[str]) -> int:
    """Number of rows before those that share the last row's key."""
    last = [table[name][-1] for name in order]
    cut: int = table.num_rows - 1
    while cut > 0 and all(table[name][cut - 1].equals(value) for name, value in zip(order, last, strict=True)):
        cut -= 1
    return cut
