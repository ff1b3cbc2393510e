"""The digest of a set of rows: it does not depend on their order, nor on how they were cut into batches.

Pure. It finds accidents; it proves nothing against somebody who chooses the rows to fit (docs/checksum.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from migrate.checksum.contract import ENCODING
from migrate.errors import DataError, InputError

DIGEST_BYTES: Final = 32
_WRITTEN = re.compile(
    re.escape(ENCODING) + r":(0|[1-9][0-9]*):(0|[1-9][0-9]*):(0|[1-9][0-9]*):(0|[1-9][0-9]*)", re.ASCII
)
_LOW_30 = np.uint64(2**30 - 1)


@dataclass(frozen=True, slots=True)
class SetDigest:
    """Rows, the exact sums of two 60-bit slices of their digests, and how many rows had none ("poison").

    `sum1` adds up hex digits 1–15 of each row digest, `sum2` digits 16–30. `count` includes the poisoned rows, which
    add nothing to the sums; a digest with `poison` above 0 equals no other in meaning, whatever its numbers are.
    Written `CRE/1:<count>:<sum1>:<sum2>:<poison>`.
    """

    count: int = 0
    sum1: int = 0
    sum2: int = 0
    poison: int = 0

    @classmethod
    def from_row_digests(cls, digests: pa.Array | pa.ChunkedArray) -> SetDigest:
        """The digest of the rows whose digests these are: fixed_size_binary(32), null for a poisoned row."""
        if digests.type != pa.binary(DIGEST_BYTES):
            raise InputError(
                f"row digests are fixed_size_binary({DIGEST_BYTES}), not {digests.type}",
                next_step="pass what row_digests returned",
            )
        chunks = digests.chunks if isinstance(digests, pa.ChunkedArray) else [digests]
        total = cls()
        for chunk in chunks:
            total = total + _of_chunk(chunk)
        return total

    @classmethod
    def parse(cls, text: str) -> SetDigest:
        """The digest that `str` wrote; InputError for any other text, also of another encoding version."""
        matched = _WRITTEN.fullmatch(text)
        if matched is None:
            raise InputError(
                f"{text[:80]!r} is not a set digest",
                next_step=f"expected {ENCODING}:<count>:<sum1>:<sum2>:<poison> in decimal digits",
            )
        return cls(*map(int, matched.groups()))

    def __add__(self, other: SetDigest) -> SetDigest:
        return SetDigest(
            self.count + other.count, self.sum1 + other.sum1, self.sum2 + other.sum2, self.poison + other.poison
        )

    def __sub__(self, other: SetDigest) -> SetDigest:
        """What is left when rows that are in this set are taken away; DataError if they cannot all be in it."""
        left = SetDigest(
            self.count - other.count, self.sum1 - other.sum1, self.sum2 - other.sum2, self.poison - other.poison
        )
        if min(left.count, left.sum1, left.sum2, left.poison) < 0:
            raise DataError(
                "rows are to be taken away that are not there",
                where=f"{other} from {self}",
                next_step="compare the two sets row by row",
            )
        return left

    def __str__(self) -> str:
        return f"{ENCODING}:{self.count}:{self.sum1}:{self.sum2}:{self.poison}"


def _of_chunk(digests: pa.FixedSizeBinaryArray) -> SetDigest:
    valid = digests.drop_null() if digests.null_count else digests
    if not len(valid):
        return SetDigest(count=len(digests), poison=digests.null_count)
    raw = np.frombuffer(valid.buffers()[1], np.uint8)
    rows = raw[valid.offset * DIGEST_BYTES : (valid.offset + len(valid)) * DIGEST_BYTES].reshape(-1, DIGEST_BYTES)
    words = np.ascontiguousarray(rows[:, :16]).view(">u8").astype(np.uint64)
    # 30 hex digits are 120 bits: the first 60 lie in the first word, the next 4 still there, 56 in the second.
    slice1 = words[:, 0] >> np.uint64(4)
    slice2 = ((words[:, 0] & np.uint64(15)) << np.uint64(56)) | (words[:, 1] >> np.uint64(8))
    return SetDigest(len(digests), _exact_sum(slice1), _exact_sum(slice2), digests.null_count)


def _exact_sum(slices: npt.NDArray[np.uint64]) -> int:
    """The sum as a Python int: a 64-bit sum of 60-bit values wraps after 16 rows, one of 30-bit limbs after 2**34."""
    return (int((slices >> np.uint64(30)).sum(dtype=np.uint64)) << 30) + int((slices & _LOW_30).sum(dtype=np.uint64))
