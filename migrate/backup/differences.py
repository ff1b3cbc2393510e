"""What of a table is not as its backup has it: both sides digested in one scan each, the rest of those buckets that differ kept on disk, in parts.

Equal tables cost one scan a side, and memory does not grow with them. Nothing is written to the target here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.backup.manifest import TableEntry
from migrate.backup.opened import Watch
from migrate.backup.parquet import row_groups
from migrate.backup.tables import KeptRows, KeptTable
from migrate.checksum.set_digest import DIGEST_BYTES, SetDigest
from migrate.checksum.vectorised import key_digests, row_digests
from migrate.errors import StateError
from migrate.stores.port import ANOMALY
from migrate.units import rows_text
from migrate.verify.buckets import BucketSums
from migrate.verify.rows import KEY, ROW, Parts
from migrate.verify.spread import spread

_WORKERS: Final = 1
"""Threads that digest while another one reads: a restore's time is that of its writing, and each thread holds 40 MB until the end (measured)."""


@dataclass(frozen=True, slots=True)
class Digested:
    """Some rows of one side with the digests of their keys and of the whole rows."""

    rows: pa.Table
    keys: pa.Array
    digests: pa.Array


@dataclass(frozen=True, slots=True)
class Differing:
    """One part of a table. `backed_up`: whole rows of the backup that are not stored so; `extra`: keys of stored rows that the backup has not."""

    backed_up: pa.Table
    extra: pa.Table


class Differences:
    """The parts of one table that differ. The files are gone behind a `with` block."""

    def __init__(self, folder: Path, rows: KeptRows, entry: TableEntry, watch: Watch) -> None:
        self._sides = (partial(_backed_up, folder, entry, rows.table, watch), partial(_stored, rows, watch))
        backup, stored = (_sums(side()) for side in self._sides)
        self._table = rows.table
        self._parts = Parts(backup, stored)

    def __enter__(self) -> Self:
        with ExitStack() as undone:
            undone.enter_context(self._parts)
            if self._parts.count:
                self._keep()
            undone.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.__exit__(None, None, None)

    def _keep(self) -> None:
        for each in self._sides[0]():
            self._parts.add("source", each.rows, each.keys, each.digests)
        for each in self._sides[1]():
            self._parts.add("target", each.rows.select(list(self._table.key)), each.keys, each.digests)

    @property
    def count(self) -> int:
        """How many parts there are."""
        return self._parts.count

    def part(self, number: int) -> Differing:
        """What differs in a part, as it was when both sides were read."""
        backup = _or_empty(self._parts.read("source", number), self._table.schema)
        keys = pa.schema([self._table.schema.field(name) for name in self._table.key])
        stored = _or_empty(self._parts.read("target", number), keys)
        same = pc.is_in(_whole(backup), value_set=_whole(stored).combine_chunks())
        known = pc.is_in(stored[KEY], value_set=backup[KEY].combine_chunks())
        return Differing(
            backup.filter(pc.invert(same)).select(self._table.schema.names),
            stored.filter(pc.invert(known)).select(list(self._table.key)),
        )


def stored_digest(rows: KeptRows, watch: Watch) -> SetDigest:
    """The digest of the rows that the mapping answers for, as they are stored now."""
    total = SetDigest()
    for each in _stored(rows, watch):
        total = total + SetDigest.from_row_digests(each.digests)
    return total


def _sums(side: Iterator[Digested]) -> BucketSums:
    sums = BucketSums()
    for each in side:
        sums.add(each.keys, each.digests)
    return sums


def _backed_up(folder: Path, entry: TableEntry, table: KeptTable, watch: Watch) -> Iterator[Digested]:
    for each in spread(row_groups(folder, entry), lambda read: _digested(read(), table), _WORKERS):
        watch(each.rows.num_rows)
        yield each


def _stored(rows: KeptRows, watch: Watch) -> Iterator[Digested]:
    for readable, broken in spread(rows.chunks(), partial(_stored_chunk, rows), _WORKERS):
        watch(readable.rows.num_rows)
        yield readable
        if broken.rows.num_rows:
            yield broken


def _stored_chunk(rows: KeptRows, chunk: pa.RecordBatch) -> tuple[Digested, Digested]:
    inside, unread = rows.split(chunk)
    return _digested(inside, rows.table), _unread(unread, rows.table)


def _digested(rows: pa.Table, table: KeptTable) -> Digested:
    return Digested(rows, key_digests(rows, table.contract), row_digests(rows, table.contract))


def _unread(rows: pa.Table, table: KeptTable) -> Digested:
    """Rows of which something cannot be read: like none of the backup, so that they are written anew."""
    lost = [name for name in table.key if rows[name].null_count]
    if lost:
        raise StateError(
            f"{rows_text(rows.num_rows)} of {table.name} cannot be read, and one not even its key {lost[0]}: {rows[ANOMALY][0].as_py()}",
            where=table.name,
            next_step="delete these rows by hand, then restore again",
        )
    digests = np.zeros((rows.num_rows, DIGEST_BYTES), np.uint8)
    unlike = pa.Array.from_buffers(pa.binary(DIGEST_BYTES), rows.num_rows, [None, pa.py_buffer(digests)])
    return Digested(rows, key_digests(rows, table.contract), unlike)


def _whole(rows: pa.Table) -> pa.ChunkedArray:
    """Digest of the key and of the row, as one value."""
    return pc.binary_join_element_wise(rows[KEY], rows[ROW], pa.scalar(b"", pa.binary()))


def _or_empty(rows: pa.Table | None, schema: pa.Schema) -> pa.Table:
    if rows is not None:
        return rows
    return pa.schema([*schema, pa.field(KEY, pa.binary()), pa.field(ROW, pa.binary())]).empty_table()
