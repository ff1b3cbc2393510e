"""CRE/1 encodings and digests of whole Arrow tables, byte for byte what `encoding` defines, at the speed of native code.

This is the hot path: it runs over every row that is migrated or verified. Encodings are assembled by Arrow kernels in
the calling thread and hashed by polars-hash, both without the interpreter's lock, so several workers run side by side;
nothing depends on polars' own thread pool or on its settings. Memory beyond the result is bounded by one slice per
thread, whatever the table's size. It never looks at one row by itself, except for distinct JSON values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.checksum.fields import Piece, encode_field
from migrate.checksum.hashing import Mask, either, invalid_utf8, merge, sha256, xxhash64
from migrate.checksum.set_digest import DIGEST_BYTES
from migrate.errors import InputError
from migrate.values import Kind, LogicalType

ContractColumns = tuple[tuple[str, LogicalType], ...]

SLICE_ROWS: Final = 4_096
"""Rows encoded at a time: their pieces stay in the processor's cache (measured: docs/decisions/0002-digest-engine.md)."""
SLICE_BYTES: Final = 16 * 2**20
_END: Final = pa.scalar(";")


def row_encodings(rows: pa.Table, contract: Contract) -> pa.ChunkedArray:
    """The CRE/1 encoding of each row (binary, in the table's order); null for a poisoned row.

    For comparing another evaluator with this one; digests do not need it and would only hold the memory.
    Raises InputError if the table does not have the contract's columns in their Arrow types.
    """
    chunks = []
    for encoded, poison in _encoded(rows, contract.columns):
        excluded = either(poison, invalid_utf8(encoded))
        chunks.append(encoded if excluded is None else pc.if_else(pa.array(excluded), None, encoded))
    return pa.chunked_array(chunks, pa.binary())


def row_digests(rows: pa.Table, contract: Contract, nonce: str = "") -> pa.Array:
    """R = SHA-256 of each row's encoding: fixed_size_binary(32), in the table's order; null for a poisoned row.

    With a `nonce`, SHA-256 of nonce and encoding: nobody who does not know it can choose rows that make equal sums.

    Raises InputError if the table does not have the contract's columns in their Arrow types.
    """
    return _digests(rows, contract.columns, nonce)


def key_digests(rows: pa.Table, contract: Contract) -> pa.Array:
    """K = SHA-256 of the encoding of the key fields alone, otherwise as `row_digests`; without a key, K is R."""
    return _digests(rows, contract.key_columns)


def key_hashes(rows: pa.Table, key_columns: Sequence[str], contract: Contract | None = None) -> npt.NDArray[np.uint64]:
    """A cheap 64-bit hash of each row's key, for a filter that may say "perhaps" but never wrongly "no".

    XXH64 (seed 0) of the key fields' CRE/1 encoding, in code-point order of their names: a published function with test
    vectors, so a filter that is stored today is read by every later version; several times cheaper than SHA-256, and no
    proof of anything. Keys without an encoding all hash to 0. Without a `contract` the types are those of the Arrow
    columns; a uuid, which Arrow holds as text, then counts with its letters as they stand.
    """
    columns = _named(rows, key_columns, contract)
    hashes = np.zeros(rows.num_rows, np.uint64)
    start = 0
    for encoded, poison in _encoded(rows, columns):
        values, unknown = xxhash64(encoded)
        excluded = either(poison, unknown)
        hashes[start : start + len(encoded)] = values if excluded is None else np.where(excluded, 0, values)
        start += len(encoded)
    return hashes


def _digests(rows: pa.Table, columns: ContractColumns, nonce: str = "") -> pa.Array:
    digests = np.empty((rows.num_rows, DIGEST_BYTES), np.uint8)
    known = np.ones(rows.num_rows, np.bool_)
    start = 0
    for encoded, poison in _encoded(rows, columns, nonce):
        end = start + len(encoded)
        digests[start:end], unknown = sha256(encoded)
        excluded = either(poison, unknown)
        if excluded is not None:
            known[start:end] = ~excluded
        start = end
    validity = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(DIGEST_BYTES), rows.num_rows, [validity, pa.py_buffer(digests)])


def _encoded(rows: pa.Table, columns: ContractColumns, nonce: str = "") -> Iterator[tuple[pa.Array, Mask | None]]:
    """Slice by slice: the rows' encodings (binary) behind the nonce, and which of them are poisoned (None: none).

    An encoding can still turn out not to be valid UTF-8; who reads it must check that.
    """
    _check(rows.schema, columns)
    wanted = rows.select([name for name, _ in columns])
    for part in _slices(wanted):
        yield _encode(part, columns, nonce)


def _slices(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, SLICE_ROWS):
        yield from _halved(rows.slice(start, SLICE_ROWS))


def _halved(rows: pa.Table) -> Iterator[pa.Table]:
    """The table in pieces that are small enough for 32-bit offsets and for the memory that a worker may use."""
    if rows.num_rows <= 1 or rows.nbytes <= SLICE_BYTES:
        yield rows
        return
    half = rows.num_rows // 2
    yield from _halved(rows.slice(0, half))
    yield from _halved(rows.slice(half))


def _encode(rows: pa.Table, columns: ContractColumns, nonce: str) -> tuple[pa.Array, Mask | None]:
    pieces: list[Piece] = [pa.scalar(nonce)] if nonce else []
    poison: Mask | None = None
    for position, (name, logical) in enumerate(columns):
        values = rows.column(name)
        flat = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
        field = encode_field(logical, flat, ";" if position else "")
        pieces += field.pieces
        poison = either(poison, field.poison)
    return merge([*pieces, _END]).cast(pa.binary()), poison


# ---------------------------------------------------------------- does the table fit the contract?


def require_contract(rows: pa.Table, contract: Contract) -> None:
    """Raise InputError if the table does not have the contract's columns in their Arrow types."""
    _check(rows.schema, contract.columns)


def _check(schema: pa.Schema, columns: ContractColumns) -> None:
    for name, logical in columns:
        places = schema.get_all_field_indices(name)
        if len(places) != 1:
            raise InputError(
                f"column {name} is there {len(places)} times",
                where=f"columns {', '.join(schema.names)}",
                next_step="give each column of the contract exactly once",
            )
        if not _fits(logical, schema.field(places[0]).type):
            raise InputError(
                f"column {name} is {schema.field(places[0]).type}, which does not hold {logical}",
                next_step=f"bring it to {logical.arrow} without loss first",
            )


def _fits(logical: LogicalType, arrow: pa.DataType) -> bool:
    if arrow == logical.arrow:
        return True
    if logical.kind == "integer":
        return bool(pa.types.is_int64(arrow) or (pa.types.is_decimal128(arrow) and arrow.scale == 0))
    if logical.exact_decimal:
        return bool(pa.types.is_decimal128(arrow) and arrow.scale == logical.scale)
    if logical.kind == "bytes":
        return bool(pa.types.is_large_binary(arrow))
    return bool(pa.types.is_large_string(arrow) and pa.types.is_string(logical.arrow))


def _named(rows: pa.Table, names: Sequence[str], contract: Contract | None) -> ContractColumns:
    """The columns of these names with their types: the contract's, else what the Arrow types stand for."""
    if contract is None:
        contract = Contract(tuple((name, _type_of(name, rows.schema)) for name in names), tuple(names))
    types = dict(contract.columns)
    if missing := [name for name in names if name not in types]:
        raise InputError(
            f"no such columns in the contract: {', '.join(missing)}",
            where=f"columns {', '.join(types)}",
            next_step="name columns of the contract",
        )
    return tuple((name, types[name]) for name in sorted(names))


def _type_of(name: str, schema: pa.Schema) -> LogicalType:
    place = schema.get_field_index(name)
    arrow = schema.field(place).type if place >= 0 else None
    if arrow is not None and pa.types.is_decimal128(arrow):
        return LogicalType("decimal", arrow.precision, arrow.scale) if arrow.scale else LogicalType("integer")
    for kind in _INFERRED:
        if arrow is not None and _fits(LogicalType(kind), arrow):
            return LogicalType(kind)
    raise InputError(
        f"column {name} is {arrow or 'not there'}; it cannot be part of a key",
        where=f"columns {', '.join(schema.names)}",
        next_step="name key columns of the table, or give the contract",
    )


_INFERRED: Final[tuple[Kind, ...]] = (
    "integer",
    "boolean",
    "date",
    "time",
    "timestamp",
    "instant",
    "text",
    "bytes",
    "float",
)
