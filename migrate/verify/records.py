"""Rows of two tables in their database's own binary form, where it is the same in both: enough to see that they are equal, at a fraction of the cost.

It decides no verdict: what differs is compared by its encoding, and what has no encoding makes the caller sum up in another way.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.checksum.hashing import sha256_of_bytes
from migrate.checksum.sql_record import record_form
from migrate.stores.port import SourceReader, SqlReader

RECORD: Final = "_record"
"""Column (fixed_size_binary(32), nullable) of rows that are read beside their record: SHA-256 of nonce and record; NULL: no encoding."""


@dataclass(frozen=True, slots=True)
class Records:
    """How to read one side with the digests of its records."""

    reader: SqlReader
    form: str
    nonce: str

    def read(self, columns: tuple[str, ...]) -> Generator[pa.Table, None, None]:
        """All rows: these columns as the reader has them, with `ANOMALY`, then `RECORD`."""
        for records, batch in self.reader.beside(self.form, columns, self.reader.stored().sql, ""):
            yield pa.Table.from_batches([batch]).append_column(RECORD, sha256_of_bytes(records, self.nonce))


def records_of(
    contract: Contract, source: SourceReader, target: SourceReader, nonce: str
) -> tuple[Records, Records] | None:
    """Both sides, or None where their records say nothing about each other, or there is no key to sort them into buckets by."""
    if not (contract.key and isinstance(source, SqlReader) and isinstance(target, SqlReader)):
        return None
    ours = record_form(contract, source.stored(), target.stored())
    theirs = record_form(contract, target.stored(), source.stored())
    if ours is None or theirs is None:
        return None
    return Records(source, ours, nonce), Records(target, theirs, nonce)
