"""Sums by bucket: exact, free of order and of cuts, and different when a single digest is."""

from __future__ import annotations

import random
from collections import defaultdict
from hashlib import sha256

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from migrate.checksum.contract import Contract
from migrate.values import LogicalType
from migrate.verify.buckets import BY_DIGEST, BY_HASH, MANY_ROWS, BucketSums, Sorting, bits_for, buckets_of, sorted_rows
from tests.unit.checksum.test_vectorised import xxh64

Row = tuple[bytes, bytes | None]
DIGEST = st.binary(min_size=32, max_size=32)
# Few keys, so that buckets hold several rows; digests of only ones, so that every limb carries.
KEYS = st.one_of(DIGEST, st.sampled_from([bytes(32), b"\xff" * 32, b"\x00\x10" + bytes(30)]))
ROWS = st.lists(st.tuples(KEYS, st.one_of(DIGEST, st.just(b"\xff" * 32))), max_size=30)


def summed(*chunks: list[Row], bits: int = 12) -> BucketSums:
    """The sums of these chunks, one after the other."""
    sums = BucketSums(Sorting("digest", bits))
    for chunk in chunks:
        keys = pa.array([key for key, _ in chunk], pa.binary(32))
        sums.add(keys, pa.array([row for _, row in chunk], pa.binary(32)))
    return sums


def model(rows: list[Row], bits: int) -> dict[int, tuple[int, int, int]]:
    """Per bucket count and the two sums, in Python's integers."""
    found: dict[int, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for key, row in rows:
        assert row is not None
        bucket = int(key.hex()[: bits // 4], 16)
        count, first, second = found[bucket]
        found[bucket] = (count + 1, first + int(row.hex()[:15], 16), second + int(row.hex()[15:30], 16))
    return dict(found)


def of(sums: BucketSums) -> dict[int, tuple[int, int, int]]:
    """The same of the sums, from their limbs."""
    high, low, high2, low2 = (each.tolist() for each in sums.limbs)
    return {
        bucket: (count, (high[bucket] << 30) + low[bucket], (high2[bucket] << 30) + low2[bucket])
        for bucket, count in enumerate(sums.rows.tolist())
        if count
    }


@given(ROWS, st.integers(0, 30), st.sampled_from([12, 16]))
def test_sums_are_those_of_python_in_any_cut(rows: list[Row], cut: int, bits: int) -> None:
    """Counts and both sums of each bucket are those of Python's integers, however the rows were cut into chunks."""
    whole, cut_up = summed(rows, bits=bits), summed(rows[:cut], rows[cut:], bits=bits)
    assert of(whole) == of(cut_up) == model(rows, bits)


def test_many_rows_are_sorted_into_more_buckets() -> None:
    """Sixteen bits for more than a hundred million rows on either side, else twelve; nobody's estimate is few."""
    assert (MANY_ROWS, bits_for(MANY_ROWS, None), bits_for(None, MANY_ROWS + 1)) == (10**8, 12, 16)
    assert (bits_for(None, None), Sorting("hash", 12).buckets, Sorting("hash", 16).buckets) == (12, 4096, 65536)


@given(ROWS, st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_order(rows: list[Row], shuffler: random.Random) -> None:
    """The same rows in another order differ in no bucket."""
    mixed = list(rows)
    shuffler.shuffle(mixed)
    assert summed(rows).differing(summed(mixed)).tolist() == []


@given(ROWS.filter(bool), st.data())
def test_one_changed_digest_always_differs(rows: list[Row], data: st.DataObject) -> None:
    """A bit that is turned within the 120 bits that are summed makes exactly this row's bucket differ."""
    at = data.draw(st.integers(0, len(rows) - 1))
    bit = data.draw(st.integers(0, 119))
    key, row = rows[at]
    assert row is not None
    turned = (int.from_bytes(row, "big") ^ (1 << (255 - bit))).to_bytes(32, "big")
    altered = [*rows[:at], (key, turned), *rows[at + 1 :]]
    assert summed(rows).differing(summed(altered)).tolist() == [int(key.hex()[:3], 16)]


@given(ROWS.filter(bool), st.data())
def test_a_row_more_always_differs(rows: list[Row], data: st.DataObject) -> None:
    """A row that is there twice differs from the same row once, also when all of its digest is zero."""
    key, _ = rows[data.draw(st.integers(0, len(rows) - 1))]
    assert summed(rows).differing(summed([*rows, (key, bytes(32))])).tolist() == [int(key.hex()[:3], 16)]


def test_a_pair_twice_and_swapped_rows_are_seen() -> None:
    """What XOR cannot see: two rows that are there twice, and two keys whose rows were exchanged."""
    one, two = (b"\x01" * 32, b"\xaa" * 32), (b"\x90" * 32, b"\xbb" * 32)
    assert len(summed([one, two]).differing(summed([one, one, one, two]))) == 1
    assert len(summed([one, two]).differing(summed([(one[0], two[1]), (two[0], one[1])]))) == 2


def test_rows_without_digest_are_counted_and_in_no_bucket() -> None:
    """A poisoned row is counted in `poison` and `count`, and changes no sum."""
    sums = summed([(b"\x01" * 32, None), (b"\x01" * 32, b"\x02" * 32)])
    assert (sums.poison, sums.count, int(sums.rows.sum())) == (1, 2, 1)
    assert summed([], []).count == 0


def test_slices_of_arrays_are_read_at_their_place() -> None:
    """An array with an offset gives the buckets of its own rows, first and last of all buckets included."""
    keys = pa.array([b"\x00" * 32, b"\xff" * 32, b"\x12\x34" + bytes(30)], pa.binary(32)).slice(1)
    assert buckets_of(keys).tolist() == [0xFFF, 0x123]
    assert buckets_of(keys, 16).tolist() == [0xFFFF, 0x1234]


def test_many_rows_of_one_chunk_stay_exact() -> None:
    """A hundred thousand digests of only ones in one bucket are added exactly."""
    rows: list[Row] = [(bytes(32), b"\xff" * 32)] * 100_000
    assert of(summed(rows)) == {0: (100_000, 100_000 * (2**60 - 1), 100_000 * (2**60 - 1))}


def test_both_ways_of_sorting_take_the_first_bits_of_the_key() -> None:
    """By XXH64 or by SHA-256 of the encoded key, and by nothing else of the row; without a key, by all of it."""
    text = LogicalType("text")
    rows = pa.table({"k": ["one", "two", None], "v": ["x", "y", "z"]})
    keyed = Contract((("k", text), ("v", text)), ("k",))
    encoded = [b"S3:one;", b"S3:two;", b"N;"]
    assert sorted_rows(rows, keyed, BY_HASH).tolist() == [xxh64(each) >> 52 for each in encoded]
    assert sorted_rows(rows, keyed, Sorting("hash", 16)).tolist() == [xxh64(each) >> 48 for each in encoded]
    assert sorted_rows(rows, keyed, BY_DIGEST).tolist() == [int(sha256(each).hexdigest()[:3], 16) for each in encoded]
    whole = Contract(keyed.columns, ())
    assert sorted_rows(rows, whole, BY_DIGEST)[0] == int(sha256(b"S3:one;S1:x;").hexdigest()[:3], 16)
    assert len(set(sorted_rows(pa.table({"k": ["a"] * 50, "v": list(map(str, range(50)))}), whole, BY_HASH))) > 1
