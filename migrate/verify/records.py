"""Rows of two tables in their database's own binary form, where it is the same in both: enough to see that they are equal, at a fraction of the cost.

It decides no verdict: what differs is compared by its encoding, and what has no encoding makes the caller sum up in another way.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.checksum.hashing import Mask, sha256_of_bytes
from migrate.checksum.sql_record import record_form
from migrate.checksum.vectorised import key_hashes
from migrate.stores.port import SourceReader, SqlReader

RECORD: Final = "_record"
"""Column (binary, nullable) of rows that are read beside their record; NULL: no encoding."""


@dataclass(frozen=True, slots=True)
class Records:
    """How to read one side with its records."""

    reader: SqlReader
    form: str

    def read(self, columns: tuple[str, ...]) -> Generator[pa.Table, None, None]:
        """All rows: these columns as the reader has them, with `ANOMALY`, then `RECORD`."""
        for records, batch in self.reader.beside(self.form, columns, self.reader.stored().sql, ""):
            yield pa.Table.from_batches([batch]).append_column(RECORD, records)


@dataclass(frozen=True, slots=True)
class ByRecord:
    """Rows are compared by their records: a Likeness. Digests are SHA-256 of nonce and record."""

    contract: Contract
    nonce: str

    def hashes(self, rows: pa.Table) -> npt.NDArray[np.uint64]:
        """The XXH64 of each row's key."""
        return key_hashes(rows, self.contract.key, self.contract)

    def same(self, one: pa.Table, other: pa.Table) -> Mask | None:
        """For each row, whether the record at its place in the other table has the same bytes (None: all have)."""
        mine, its = one[RECORD].combine_chunks(), other[RECORD].combine_chunks()
        return None if mine.equals(its) else np.asarray(pc.fill_null(pc.equal(mine, its), False))

    def without_encoding(self, rows: pa.Table) -> Mask | None:
        """Which rows have no encoding (None: all have one)."""
        return np.asarray(rows[RECORD].is_null()) if rows[RECORD].null_count else None

    def digests(self, rows: pa.Table) -> pa.Array:
        """What is summed up of each row: fixed_size_binary(32), null for a row without an encoding."""
        return sha256_of_bytes(rows[RECORD].combine_chunks(), self.nonce)


def records_of(contract: Contract, source: SourceReader, target: SourceReader) -> tuple[Records, Records] | None:
    """Both sides, or None where their records say nothing about each other, or there is no key to sort them into buckets by."""
    if not (contract.key and isinstance(source, SqlReader) and isinstance(target, SqlReader)):
        return None
    ours = record_form(contract, source.stored(), target.stored())
    theirs = record_form(contract, target.stored(), source.stored())
    if ours is None or theirs is None:
        return None
    return Records(source, ours), Records(target, theirs)
