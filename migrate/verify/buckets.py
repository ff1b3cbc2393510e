"""Exact sums of row digests by buckets of keys: equal tables are seen to be equal in one scan and constant memory.

It says in which buckets two sides differ, and never which rows: that is for `rows`. Both sides are sorted into buckets alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.checksum.set_digest import DIGEST_BYTES
from migrate.checksum.vectorised import key_digests, key_hashes, row_digests

MANY_ROWS: Final = 10**8
"""Of more rows than these, a bucket that differs would have too many to be read again for one of them."""
_LIMB_BITS: Final = 30
_LOW_30: Final = np.uint64(2**_LIMB_BITS - 1)

_HASH_BITS: Final = 64

Buckets = npt.NDArray[np.int64]

SortedBy: TypeAlias = Literal["hash", "digest"]
"""By what a key has its bucket: by its XXH64, which costs a third, or by its digest K, which a database can compute too."""


@dataclass(frozen=True, slots=True)
class Sorting:
    """How rows come into buckets: by so many first bits. Sums can be compared only where both sides are sorted alike."""

    by: SortedBy
    bits: int = 12

    @property
    def buckets(self) -> int:
        """How many there are."""
        return 1 << self.bits


BY_HASH: Final = Sorting("hash")
BY_DIGEST: Final = Sorting("digest")


def bits_for(*rows: int | None) -> int:
    """How many bits to sort sides of about so many rows by (None: nobody knows)."""
    return 16 if any(each is not None and each > MANY_ROWS for each in rows) else BY_HASH.bits


def digest_bytes(digests: pa.Array) -> npt.NDArray[np.uint8]:
    """The bytes of a fixed_size_binary(32) column as (n, 32); what stands at a null means nothing."""
    if not len(digests):
        return np.empty((0, DIGEST_BYTES), np.uint8)
    raw = np.frombuffer(digests.buffers()[1], np.uint8)
    return raw[digests.offset * DIGEST_BYTES : (digests.offset + len(digests)) * DIGEST_BYTES].reshape(-1, DIGEST_BYTES)


def buckets_of(keys: pa.Array, bits: int = BY_DIGEST.bits) -> Buckets:
    """The bucket of each key digest: its first bits, of which there are at most 16."""
    raw = digest_bytes(keys)
    return ((raw[:, 0].astype(np.int64) << 8) | raw[:, 1]) >> (16 - bits)


def sorted_rows(rows: pa.Table, contract: Contract, sorting: Sorting) -> Buckets:
    """The bucket of each row, by its key, or by all of it where there is none; any for a key without an encoding."""
    if sorting.by == "digest":
        return buckets_of(key_digests(rows, contract), sorting.bits)
    names = [name for name, _ in contract.key_columns]
    return buckets_of_hashes(key_hashes(rows, names, contract), sorting.bits)


def buckets_of_hashes(hashes: npt.NDArray[np.uint64], bits: int) -> Buckets:
    """The bucket of each key by its XXH64."""
    return (hashes >> np.uint64(_HASH_BITS - bits)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is summed up of some rows: their buckets and their digests."""

    buckets: Buckets
    digests: pa.Array


def digested(rows: pa.Table, contract: Contract, nonce: str, sorting: Sorting) -> Sorted:
    """The rows as `BucketSums` adds them up. For any thread."""
    return Sorted(sorted_rows(rows, contract, sorting), row_digests(rows, contract, nonce))


class BucketSums:
    """Per bucket the number of rows and the sums of two 60-bit slices of their digests, in four limbs of 30 bits.

    A limb's sum stays exact in int64 up to 2**33 rows. `poison` counts the rows that have no digest; they are in no bucket. `met` counts those
    of the rows that are in no sum, since each of them is in none on the other side either.
    """

    def __init__(self, sorting: Sorting = BY_DIGEST) -> None:
        self.sorting = sorting
        self.rows: Buckets = np.zeros(sorting.buckets, np.int64)
        self.poison = 0
        self.met = 0
        self.limbs = np.zeros((4, sorting.buckets), np.int64)

    @property
    def count(self) -> int:
        """All rows, with the poisoned ones."""
        return int(self.rows.sum()) + self.poison

    def add(self, keys: pa.Array, digests: pa.Array) -> None:
        """Count rows by their key digests and row digests, fixed_size_binary(32) both."""
        self._add(
            buckets_of(keys, self.sorting.bits), digests, np.asarray(digests.is_valid()) & np.asarray(keys.is_valid())
        )

    def add_sorted(self, rows: Sorted) -> None:
        """Count rows by their buckets."""
        self._add(rows.buckets, rows.digests, np.asarray(rows.digests.is_valid()))

    def add_met(self, buckets: Buckets) -> None:
        """Count rows by their buckets that were found to be the same on both sides; both sides have to count them."""
        self.rows += np.bincount(buckets, minlength=self.sorting.buckets)
        self.met += len(buckets)

    def _add(self, buckets: Buckets, digests: pa.Array, known: npt.NDArray[np.bool_]) -> None:
        bucket, raw = buckets, digest_bytes(digests)
        if not known.all():
            self.poison += int(len(known) - known.sum())
            bucket, raw = buckets[known], raw[known]
        words = np.ascontiguousarray(raw[:, :16]).view(">u8").astype(np.uint64)
        slices = (
            words[:, 0] >> np.uint64(4),
            ((words[:, 0] & np.uint64(15)) << np.uint64(56)) | (words[:, 1] >> np.uint64(8)),
        )
        limbs = [part for each in slices for part in (each >> np.uint64(30), each & _LOW_30)]
        self.rows += np.bincount(bucket, minlength=self.sorting.buckets)
        for number, limb in enumerate(limbs):
            # The sums of one chunk are below 2**53, so that the doubles of bincount hold them exactly.
            self.limbs[number] += np.bincount(bucket, weights=limb, minlength=self.sorting.buckets).astype(np.int64)

    def add_sums(self, sums: Iterable[Sequence[Any]]) -> None:
        """Count rows that a database has summed up: bucket (None: its rows have no key), rows, sums of both slices, poisoned rows; None is 0."""
        for bucket, rows, first, second, poison in sums:
            self.poison += int(poison)
            if bucket is None or int(rows) == 0:
                continue
            at = int(bucket)
            self.rows[at] += int(rows)
            limbs = [part for each in (int(first), int(second)) for part in (each >> _LIMB_BITS, each & int(_LOW_30))]
            self.limbs[:, at] += limbs

    def differing(self, other: BucketSums) -> Buckets:
        """The buckets whose rows are not the same on both sides."""
        return np.flatnonzero((self.rows != other.rows) | (self._carried() != other._carried()).any(axis=0))

    def without(self, other: BucketSums) -> BucketSums:
        """Per bucket what this side has more than the other, which may be less than nothing."""
        found = BucketSums(self.sorting)
        found.rows, found.limbs = self.rows - other.rows, self.limbs - other.limbs
        return found

    def _carried(self) -> Buckets:
        """The limbs with what is too much for the lower ones in the higher ones: one form of each sum, however it came about."""
        limbs = self.limbs.copy()
        for high in (0, 2):
            limbs[high] += limbs[high + 1] >> _LIMB_BITS
            limbs[high + 1] &= int(_LOW_30)
        return limbs
