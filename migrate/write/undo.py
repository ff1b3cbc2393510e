"""Undo records: what a batch did to each row, how it was found, and how it was left.

An undo chunk is an Arrow IPC file, compressed, below 8 MB. One row per written row:

| column | type | |
|---|---|---|
| `unit_<column>` | as read | source unit key |
| `ordinal` | int64 | 0, or the rank among units with an equal key |
| `unit_range`, `position` | int64 | where the unit stands in source order: its range, and its place inside of it |
| `unit_rows` | int64 | source rows of the unit |
| `key_<column>` | as written | target key |
| `op` | int8 | `Op` |
| `digest` | fixed_size_binary(16) | first half of the CRE/1 digest of the covered columns as the operation left them; NULL where it left none |
| `before_<column>` | as stored | whole row before an update, delete or restore; columns absent from chunks that hold none of them |
| `mapped_<field>` | as mapped | of a kept row what the unit would have written, so that it can be judged again; absent from chunks without kept rows |

The schema's metadata names the target, the columns that the digest covers, and the constant that every other column of an inserted row
holds. After an update or restore those others hold what stands in `before_<column>`. So the whole stored row is described. Each chunk is found by the lowest and highest token of its unit keys, and by a Bloom filter over its
target keys. Tokens order and equal keys the same way everywhere, since they are bytes; they may be cut, so they only narrow a search.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import key_hashes
from migrate.ledger.undo_check import chunk_digest

CHUNK_BYTES = 6 * 2**20
"""Uncompressed bytes per chunk; compressed they stay below 8 MB and MariaDB's 16 MB packets."""

TOKEN_BYTES = 200
# 32 bits and 20 probes give about 4e-7 false positives: a batch of 10,000 keys asks each of hundreds of chunks, and each hit decodes one.
_BITS_PER_KEY = 32
_PROBES = 20
_SEPARATOR = pa.scalar(b"\x1f", pa.binary())


class Op(enum.IntEnum):
    """What a unit did to a stored row, or how that was taken back.

    INSERT, UPDATE: it wrote the row. IDENTICAL: the row was there with the same content. KEPT: the row was there with other content,
    and stays. DELETE takes an INSERT back, RESTORE an UPDATE, RELEASE an IDENTICAL or KEPT. Within one batch a DELETE and an INSERT of one
    key may have been carried out as one update: what a batch did to a row is the net of its records.
    """

    INSERT = 1
    UPDATE = 2
    IDENTICAL = 3
    DELETE = 4
    RESTORE = 5
    RELEASE = 6
    KEPT = 7


@dataclass(frozen=True, slots=True)
class UndoChunk:
    """One chunk as it goes into `migrate_undo`; `sha256` covers all of it, see `ledger.undo_check`."""

    target: str
    rows: int
    low_unit: bytes
    high_unit: bytes
    key_filter: bytes
    payload: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class UndoSubject:
    """What the rows of a chunk have in common: goes into its metadata."""

    target: str
    unit_columns: tuple[str, ...]
    key: tuple[str, ...]
    fields: tuple[str, ...]
    constants: tuple[tuple[str, str | None], ...]

    def to_metadata(self) -> dict[bytes, bytes]:
        """As Arrow schema metadata."""
        content = {
            "target": self.target,
            "unit_columns": self.unit_columns,
            "key": self.key,
            "fields": self.fields,
            "constants": self.constants,
        }
        return {b"migrate.undo": json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()}

    @classmethod
    def from_metadata(cls, metadata: dict[bytes, bytes]) -> UndoSubject:
        """Inverse of `to_metadata`."""
        content = json.loads(metadata[b"migrate.undo"])
        return cls(
            content["target"],
            tuple(content["unit_columns"]),
            tuple(content["key"]),
            tuple(content["fields"]),
            tuple((name, value) for name, value in content["constants"]),
        )


def encode_undo(subject: UndoSubject, records: pa.Table) -> Iterator[UndoChunk]:
    """Cut undo records (schema above) into chunks."""
    for start, length in _slices(records):
        yield _encode_chunk(subject, records.slice(start, length))


def decode_undo(payload: bytes) -> tuple[UndoSubject, pa.Table]:
    """Subject and records of a chunk."""
    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        records = reader.read_all()
    return UndoSubject.from_metadata(records.schema.metadata), records


def unit_tokens(units: pa.Table) -> pa.Array:
    """One byte string per row of unit key columns: injective enough to search by, exact order irrelevant. Binary array, not cut."""
    parts = [_token_part(column) for column in units.columns]
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, _SEPARATOR)


def cut_low(token: bytes) -> bytes:
    """A token that is not above the given one and fits its column."""
    return token[:TOKEN_BYTES]


def cut_high(token: bytes) -> bytes:
    """A token that is not below any that begins like the given one, and fits its column."""
    return token if len(token) <= TOKEN_BYTES else token[:TOKEN_BYTES] + b"\xff" * 8


def may_contain(key_filter: bytes, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """For each hash whether its key may be in the chunk; false is certain."""
    bits = np.unpackbits(np.frombuffer(key_filter, dtype=np.uint8), bitorder="little")
    found = np.ones(len(hashes), dtype=np.bool_)
    for places in _probe_places(hashes, len(bits)):
        found &= bits[places].astype(np.bool_)
    return found


def _encode_chunk(subject: UndoSubject, records: pa.Table) -> UndoChunk:
    sink = pa.BufferOutputStream()
    records = records.replace_schema_metadata(subject.to_metadata()).combine_chunks()
    with pa.ipc.new_stream(sink, records.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(records)
    payload = sink.getvalue().to_pybytes()
    tokens = unit_tokens(records.select([f"unit_{name}" for name in subject.unit_columns]))
    extent = pc.min_max(tokens)
    keys = records.select([f"key_{name}" for name in subject.key])
    low, high = cut_low(extent["min"].as_py()), cut_high(extent["max"].as_py())
    key_filter = _build_filter(key_hashes(keys, tuple(keys.column_names)))
    header = {
        "target": subject.target,
        "rows": records.num_rows,
        "low_unit": low,
        "high_unit": high,
        "key_filter": key_filter,
    }
    digest = chunk_digest(header, payload)
    return UndoChunk(subject.target, records.num_rows, low, high, key_filter, payload, digest)


def _slices(records: pa.Table) -> Iterator[tuple[int, int]]:
    rows = records.num_rows
    if rows == 0:
        return
    per_chunk = max(1, rows * CHUNK_BYTES // max(records.nbytes, 1))
    for start in range(0, rows, per_chunk):
        yield start, min(per_chunk, rows - start)


def _token_part(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_int64(array.type):
        # Offset binary, big-endian: numbers near each other get tokens near each other, so that few chunks overlap.
        shifted = (np.asarray(pc.fill_null(array, 0)).astype(np.int64).view(np.uint64) ^ np.uint64(2**63)).byteswap()
        text = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(array), [None, pa.py_buffer(shifted.tobytes())])
        tokens = pc.cast(text, pa.binary())
        return pc.if_else(pc.is_null(array), pa.scalar(b"\x00", pa.binary()), tokens) if array.null_count else tokens
    if not pa.types.is_binary(array.type):
        array = pc.cast(pc.cast(array, pa.string()), pa.binary())
    return pc.fill_null(array, pa.scalar(b"\x00", pa.binary()))


def _build_filter(hashes: npt.NDArray[np.uint64]) -> bytes:
    bits = np.zeros(-(-max(len(hashes), 1) * _BITS_PER_KEY // 64) * 64, dtype=np.uint8)
    for places in _probe_places(hashes, len(bits)):
        bits[places] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def _probe_places(hashes: npt.NDArray[np.uint64], size: int) -> Iterator[npt.NDArray[np.uint64]]:
    """Double hashing (Kirsch and Mitzenmacher 2006): probe i looks at a + i·b; one 64-bit hash gives both halves.

    All is modulo `size`; one place is worked out from the one before, since a division costs ten times an addition. The array that comes
    is changed with the next one.
    """
    modulus = np.uint64(size)
    step = ((hashes >> np.uint64(32)) | np.uint64(1)) % modulus
    place = (hashes & np.uint64(0xFFFFFFFF)) % modulus
    for _ in range(_PROBES):
        yield place
        place += step
        # Below the modulus the difference wraps to something huge.
        np.minimum(place, place - modulus, out=place)
