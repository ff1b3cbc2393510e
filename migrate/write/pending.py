"""Pending units as they are kept in the ledger: complete, so that the last phase needs neither the source nor a replay.

A payload is an Arrow IPC stream with one row per table: `name`, and `content`, which is an IPC stream itself. The table `""` holds the
units as `write.units.Units` has them, and why each waits (`_target`, `_rule`, `_reason`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.write.rows import UNIT, Aside
from migrate.write.undo import CHUNK_BYTES
from migrate.write.units import UNIT_POSITION, UNIT_RANGE, UNIT_ROWS, Units

UNITS = ""
WHY = ("_target", "_rule", "_reason")


@dataclass(frozen=True, slots=True)
class PendingChunk:
    """Pending units of one ledger row; `first` is the place in source order of its first unit."""

    units: int
    rows: int
    first: tuple[int, int]
    payload: bytes


def encode_pending(units: Units, aside: Sequence[Aside]) -> Iterator[PendingChunk]:
    """The units that were set aside, in pieces below the size that a ledger value may have."""
    if not aside:
        return
    ordered = sorted(aside, key=lambda each: each.unit)
    wanted = np.array([each.unit for each in ordered], dtype=np.int64)
    table = units.table.take(pa.array(units.places(wanted)))
    for name in WHY:
        table = table.append_column(name, pa.array([getattr(each, name[1:]) for each in ordered], pa.string()))
    rows = {name: _of_units(content, wanted) for name, content in units.rows.items()}
    size = table.nbytes + sum(content.nbytes for content in rows.values())
    step = max(1, len(wanted) * CHUNK_BYTES // max(size, 1))
    for start in range(0, len(wanted), step):
        piece = table.slice(start, step)
        own = wanted[start : start + step]
        tables = {UNITS: piece} | {name: _of_units(content, own) for name, content in rows.items()}
        first = (piece[UNIT_RANGE][0].as_py(), piece[UNIT_POSITION][0].as_py())
        yield PendingChunk(len(own), int(pc.sum(piece[UNIT_ROWS]).as_py()), first, _encode(tables))


def decode_pending(payload: bytes, unit_columns: tuple[str, ...]) -> tuple[Units, list[Aside]]:
    """Inverse of `encode_pending`."""
    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        outer = reader.read_all().to_pylist()
    tables = {row["name"]: _decode(row["content"]) for row in outer}
    table = tables.pop(UNITS)
    whys = table.select([UNIT, *WHY]).to_pylist()
    aside = [Aside(why[UNIT], True, why["_target"], None, why["_rule"], why["_reason"]) for why in whys]
    return Units(table.drop_columns(list(WHY)), tables, unit_columns), aside


def _of_units(rows: pa.Table, wanted: np.ndarray) -> pa.Table:
    return rows.filter(pa.array(np.isin(np.asarray(rows[UNIT]), wanted)))


def _encode(tables: Mapping[str, pa.Table]) -> bytes:
    contents = [_stream(table, None) for table in tables.values()]
    outer = pa.table({"name": pa.array(list(tables)), "content": pa.array(contents, pa.binary())})
    return _stream(outer, "zstd")


def _stream(table: pa.Table, compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def _decode(content: bytes) -> pa.Table:
    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        return reader.read_all()
