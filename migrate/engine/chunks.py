"""Read a key range in chunks that are bounded in bytes and never cut through a unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from migrate.stores.port import SourceReader
from migrate.values import KeyRange


def read_chunks(
    reader: SourceReader, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, *, whole: bool
) -> Iterator[pa.Table]:
    """Tables of about `chunk_bytes`, in source order; rows with equal `order` columns stay together.

    `whole` gives the range as one table: groups may interleave under the source's collation, so that no place inside is sure not to cut one.
    At least one table comes, empty if the range is.
    """
    held: list[pa.RecordBatch] = []
    size = 0
    schema: pa.Schema | None = None
    for batch in reader.read(key_range, order, chunk_bytes):
        schema = batch.schema
        held.append(batch)
        size += batch.nbytes
        if whole or size < chunk_bytes:
            continue
        table = pa.Table.from_batches(held)
        cut = _last_key_begins(table, order)
        if cut == 0:
            continue
        yield table.slice(0, cut)
        rest = table.slice(cut).combine_chunks()
        held, size = rest.to_batches(), rest.nbytes
    if held or schema is None:
        yield pa.Table.from_batches(held) if held else pa.table({})
    elif schema is not None:
        yield schema.empty_table()


def _last_key_begins(table: pa.Table, order: Sequence[str]) -> int:
    """Number of rows before those that share the last row's key."""
    last = [table[name][-1] for name in order]
    cut = table.num_rows - 1
    while cut > 0 and all(table[name][cut - 1].equals(value) for name, value in zip(order, last, strict=True)):
        cut -= 1
    return cut
