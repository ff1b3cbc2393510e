"""Pending units as they are kept in the ledger: complete, so that the last phase needs neither the source nor a replay.

A payload is an Arrow IPC stream with one row per table: `name`, and `content`, which is an IPC stream itself. The table `""` holds the
units: `_unit`, `_rows`, the unit's key columns, `_ordinal`, `position`, and why each waits (`target`, `rule`, `reason`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.write.rows import UNIT, Aside
from migrate.write.undo import CHUNK_BYTES
from migrate.write.units import UNIT_ROWS, Units

UNITS = ""


def encode_pending(units: Units, aside: Sequence[Aside]) -> Iterator[tuple[int, int, bytes]]:
    """(units, source rows, payload) in pieces below the size that a ledger value may have."""
    if not aside:
        return
    ordered = sorted(aside, key=lambda each: each.unit)
    wanted = np.array([each.unit for each in ordered], dtype=np.int64)
    table = units.table.take(pa.array(units.places(wanted)))
    table = table.append_column("position", pa.array(wanted + units.offset))
    for name in ("target", "rule", "reason"):
        table = table.append_column(name, pa.array([getattr(each, name) for each in ordered], pa.string()))
    rows = {name: _of_units(content, wanted) for name, content in units.rows.items()}
    size = table.nbytes + sum(content.nbytes for content in rows.values())
    step = max(1, len(wanted) * CHUNK_BYTES // max(size, 1))
    for start in range(0, len(wanted), step):
        piece = table.slice(start, step)
        own = wanted[start : start + step]
        tables = {UNITS: piece} | {name: _of_units(content, own) for name, content in rows.items()}
        yield len(own), int(pc.sum(piece[UNIT_ROWS]).as_py()), _encode(tables)


def decode_pending(payload: bytes) -> tuple[pa.Table, dict[str, pa.Table]]:
    """(units, rows per target), inverse of `encode_pending`."""
    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        outer = reader.read_all().to_pylist()
    tables = {row["name"]: _decode(row["content"]) for row in outer}
    return tables.pop(UNITS), tables


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
    return sink.getvalue().to_pybytes()


def _decode(content: bytes) -> pa.Table:
    with pa.ipc.open_stream(pa.py_buffer(content)) as reader:
        return reader.read_all()
