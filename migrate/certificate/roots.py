"""The data root of a table: the tree over its row digests in the order of (key digest, row digest). The same data has the same root everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from migrate.certificate.spill import Records, Spill
from migrate.checksum.contract import Contract
from migrate.checksum.merkle import HASH_BYTES, TreeBuilder, leaf_hashes
from migrate.checksum.vectorised import key_digests, row_digests


class DataRoot:
    """Takes the rows of a table in any order; `root` is asked for once, at the end."""

    def __init__(self, contract: Contract, folder: Path) -> None:
        self._contract = contract
        self._spill = Spill(folder, 2 * HASH_BYTES)
        self.poisoned = 0

    @property
    def rows(self) -> int:
        """Rows so far, without those that are poisoned."""
        return self._spill.count

    def add(self, rows: pa.Table) -> None:
        """Add rows; those without a row encoding count as poisoned, and are in no tree."""
        keys, digests = key_digests(rows, self._contract), row_digests(rows, self._contract)
        if digests.null_count:
            self.poisoned += digests.null_count
            keys, digests = keys.filter(digests.is_valid()), digests.drop_null()
        if len(digests):
            self._spill.add(np.hstack([_bytes_of(keys), _bytes_of(digests)]))

    def root(self) -> bytes:
        """The root over all rows."""
        tree = TreeBuilder()
        for records in self._spill.sorted():
            tree.add(leaf_hashes(records[:, HASH_BYTES:].tobytes(), HASH_BYTES))
        self._spill.close()
        return tree.root

    def close(self) -> None:
        """Remove what is on disk."""
        self._spill.close()


def _bytes_of(digests: pa.FixedSizeBinaryArray) -> Records:
    raw = np.frombuffer(digests.buffers()[1], np.uint8)
    start = digests.offset * HASH_BYTES
    return raw[start : start + len(digests) * HASH_BYTES].reshape(-1, HASH_BYTES)
