"""FILE.leaves: the rows of a certificate with the tree over them, so that a proof for one of them can be made without the database.

    blocks of row encodings (zstd) · per table: records sorted by K', roots of the tree's blocks · JSON footer · its length (8 bytes)

A record is K' (32 bytes) ‖ salted row digest (32) ‖ number of its block of rows, place and length in it (4 each, big-endian). The file holds all
rows that the certificate covers: it is as confidential as the table. Nothing in it is trusted: a proof is checked against the signed root.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.certificate.hiding import hidden_key, salt_of, salted_row
from migrate.certificate.spill import Records, Spill
from migrate.checksum.contract import Contract
from migrate.checksum.merkle import BLOCK_LEAVES, HASH_BYTES, TreeBuilder, leaf_hashes
from migrate.checksum.vectorised import row_encodings
from migrate.errors import NotProven
from migrate.signing.keys import PRIVATE_MODE

CONTENT_BYTES: Final = 2 * HASH_BYTES
"""K' and the salted row digest: what a leaf is the hash of."""
RECORD_BYTES: Final = CONTENT_BYTES + 12
_LENGTH_BYTES: Final = 8


class LeavesWriter:
    """Writes one file, table after table; `folder` is for sorting. Raises OSError as it comes."""

    def __init__(self, path: Path, folder: Path, secret: bytes) -> None:
        path.touch(PRIVATE_MODE, exist_ok=False)
        self._file = path.open("wb")
        self._folder = folder
        self._secret = secret
        self._tables: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def table(self, name: str, contract: Contract) -> TableWriter:
        """A writer for the rows of a table; it has to end before the next one is begun."""
        described = self._tables.setdefault(name, {"blocks": []})
        return TableWriter(self._file, described, contract, self._secret, Spill(self._folder, RECORD_BYTES))

    def finish(self) -> None:
        """Write the footer; the file is complete."""
        footer = json.dumps(self._tables).encode()
        self._file.write(footer + len(footer).to_bytes(_LENGTH_BYTES, "big"))
        self._file.flush()


class TableWriter:
    """Writes the rows of one table, which may come in any order, and then its tree; `described` becomes its part of the footer."""

    def __init__(
        self, file: IO[bytes], described: dict[str, Any], contract: Contract, secret: bytes, spill: Spill
    ) -> None:
        self._file = file
        self._described = described
        self._keys = Contract(contract.key_columns, contract.key)
        self._secret = secret
        self._spill = spill

    def add(self, rows: pa.Table, encoded: pa.ChunkedArray) -> None:
        """Add rows with their encodings; none of these is null."""
        keys = row_encodings(rows, self._keys).to_pylist()
        blocks = self._described["blocks"]
        for chunk in encoded.chunks:
            taken, keys = keys[: len(chunk)], keys[len(chunk) :]
            self._spill.add(_records(self._secret, taken, chunk, len(blocks)))
            blocks.append(self._write_block(b"".join(chunk.to_pylist())))

    def end(self) -> bytes:
        """Sort the rows and write their tree; the proof root over them."""
        tree = TreeBuilder()
        self._described["records"] = self._file.tell()
        for records in self._spill.sorted():
            self._file.write(records.tobytes())
            tree.add(leaf_hashes(records[:, :CONTENT_BYTES].tobytes(), CONTENT_BYTES))
        self._described |= {"rows": self._spill.count, "roots": self._file.tell()}
        self._file.write(tree.blocks)
        self.close()
        return tree.root

    def close(self) -> None:
        """Remove what was spilled."""
        self._spill.close()

    def _write_block(self, content: bytes) -> list[int]:
        """Offset, bytes in the file, bytes of content."""
        packed = pa.compress(content, codec="zstd", asbytes=True)
        offset = self._file.tell()
        self._file.write(packed)
        return [offset, len(packed), len(content)]


def _records(secret: bytes, keys: Sequence[bytes], rows: pa.Array, block: int) -> Records:
    lengths = np.asarray(pc.binary_length(rows), np.int64)
    places = np.zeros((len(rows), 3), ">u4")
    places[:, 0] = block
    places[:, 1] = np.cumsum(lengths) - lengths
    places[:, 2] = lengths
    contents = b"".join(
        [
            hidden_key(secret, key) + salted_row(salt_of(secret, key), row)
            for key, row in zip(keys, rows.to_pylist(), strict=True)
        ]
    )
    hashes = np.frombuffer(contents, np.uint8).reshape(-1, CONTENT_BYTES)
    return np.hstack([hashes, places.view(np.uint8).reshape(-1, 12)])


class TableLeaves:
    """The leaves of one table, read where they are needed."""

    def __init__(self, path: Path, table: str) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                file.seek(-_LENGTH_BYTES, 2)
                length = int.from_bytes(file.read(), "big")
                file.seek(-_LENGTH_BYTES - length, 2)
                described = json.loads(file.read(length))[table]
            self.rows, self._records_at = int(described["rows"]), int(described["records"])
            self._roots_at, self._blocks = int(described["roots"]), described["blocks"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise _altered(path) from error

    def find(self, key: bytes) -> int | None:
        """The place of the leaf with this K', or None."""
        low, high = 0, self.rows
        while low < high:
            middle = (low + high) // 2
            if self._record(middle)[:HASH_BYTES] < key:
                low = middle + 1
            else:
                high = middle
        return low if low < self.rows and self._record(low)[:HASH_BYTES] == key else None

    def row(self, index: int) -> bytes:
        """The row encoding of a leaf."""
        number, start, length = np.frombuffer(self._record(index)[CONTENT_BYTES:], ">u4").tolist()
        try:
            offset, packed, size = self._blocks[number]
            content = pa.decompress(self._read(offset, packed), size, codec="zstd", asbytes=True)
        except (pa.ArrowException, OSError, ValueError, IndexError, TypeError) as error:
            raise _altered(self._path) from error
        return bytes(content[start : start + length])

    def block_of(self, index: int) -> bytes:
        """The leaf hashes of the block that leaf `index` is in."""
        first = index - index % BLOCK_LEAVES
        count = min(BLOCK_LEAVES, self.rows - first)
        records = self._read(self._records_at + first * RECORD_BYTES, count * RECORD_BYTES)
        array = np.frombuffer(records, np.uint8).reshape(-1, RECORD_BYTES)
        return leaf_hashes(array[:, :CONTENT_BYTES].tobytes(), CONTENT_BYTES)

    def roots(self) -> bytes:
        """The roots of all blocks."""
        return self._read(self._roots_at, -(-self.rows // BLOCK_LEAVES) * HASH_BYTES)

    def _record(self, index: int) -> bytes:
        return self._read(self._records_at + index * RECORD_BYTES, RECORD_BYTES)

    def _read(self, offset: int, length: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
        if len(content) != length:
            raise _altered(self._path)
        return content


def _altered(path: Path) -> NotProven:
    return NotProven(
        "leaves", f"{path} is not the file that was written with the certificate: it was altered or cut off"
    )
