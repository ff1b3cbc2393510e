"""The set digest: exact sums, its written form, and taking away."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from migrate.checksum.set_digest import SetDigest
from migrate.errors import DataError, InputError

DIGEST = pa.binary(32)


def digests_of(count: int) -> list[bytes]:
    """Some row digests."""
    return [hashlib.sha256(b"%d" % number).digest() for number in range(count)]


def by_hand(digests: list[bytes]) -> SetDigest:
    """The definition, on hex digits."""
    return SetDigest(
        len(digests), sum(int(d.hex()[:15], 16) for d in digests), sum(int(d.hex()[15:30], 16) for d in digests)
    )


def test_slices_are_hex_digits() -> None:
    """The sums are those of hex digits 1–15 and 16–30 of each digest."""
    rows = digests_of(1000)
    assert SetDigest.from_row_digests(pa.array(rows, DIGEST)) == by_hand(rows)


def test_sums_do_not_wrap() -> None:
    """A million of the largest digests add up exactly, far beyond 64 bits."""
    ones = pa.Array.from_buffers(DIGEST, 1_000_000, [None, pa.py_buffer(np.full(32_000_000, 255, np.uint8))])
    largest = 1_000_000 * (2**60 - 1)
    assert SetDigest.from_row_digests(ones) == SetDigest(1_000_000, largest, largest)


def test_poison_is_counted_and_adds_nothing() -> None:
    """A row without digest counts as a row and as poison, in slices of arrays and in chunks as well."""
    rows = digests_of(4)
    array = pa.array([b"\xff" * 32, rows[0], None, rows[1], rows[2], None, rows[3]], DIGEST).slice(1)
    expected = by_hand(rows)
    assert SetDigest.from_row_digests(array) == SetDigest(6, expected.sum1, expected.sum2, 2)
    assert SetDigest.from_row_digests(pa.chunked_array([array.slice(0, 2), array.slice(2)])) == SetDigest(
        6, expected.sum1, expected.sum2, 2
    )
    assert SetDigest.from_row_digests(pa.array([None, None], DIGEST)) == SetDigest(2, 0, 0, 2)
    assert SetDigest.from_row_digests(pa.array([], DIGEST)) == SetDigest()


def test_written_form() -> None:
    """A digest is written in one way and read back; every other spelling is refused."""
    digest = SetDigest(990, 2**70, 5, 1)
    assert str(digest) == f"CRE/1:990:{2**70}:5:1"
    assert SetDigest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    ["", "CRE/1:1:2:3", "CRE/2:1:2:3:0", "CRE/1:01:2:3:0", "CRE/1:-1:2:3:0", "CRE/1:1:2:3:0\n", "CRE/1:１:2:3:0"],
)
def test_other_spellings_are_refused(text: str) -> None:
    """What is not exactly the written form is no digest."""
    with pytest.raises(InputError, match="is not a set digest"):
        SetDigest.parse(text)


def test_adding_and_taking_away() -> None:
    """Parts add up to the whole, and what is taken away must have been there."""
    rows = digests_of(10)
    assert by_hand(rows[:4]) + by_hand(rows[4:]) == by_hand(rows)
    assert by_hand(rows) - by_hand(rows[4:]) == by_hand(rows[:4])
    with pytest.raises(DataError, match="not there"):
        _ = by_hand(rows[:4]) - by_hand(rows[4:])


def test_other_arrays_are_refused() -> None:
    """Hex texts or digests of another length are a mistake of the caller, not an empty sum."""
    with pytest.raises(InputError):
        SetDigest.from_row_digests(pa.array(["00" * 32]))
    with pytest.raises(InputError):
        SetDigest.from_row_digests(pa.array([b"1" * 16], pa.binary(16)))
