"""The vectorised evaluator: golden vectors, damaged bytes, tables that do not fit, key hashes and threads."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import encode_value
from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import key_digests, key_hashes, row_digests, row_encodings
from migrate.errors import InputError
from migrate.values import Kind, LogicalType
from tests.unit.checksum import golden

TEXT = LogicalType("text")


def one_column(logical: LogicalType, values: pa.Array) -> tuple[pa.Table, Contract]:
    """A table of one column and its contract."""
    return pa.table({"c": values}), Contract((("c", logical),))


def as_arrow(vectors: list[dict[str, Any]], logical: LogicalType) -> tuple[pa.Array, list[bytes | None]]:
    """The vectors' values as one Arrow column, as far as Arrow can hold them, and their encodings."""
    kept, expected = [], []
    for vector in vectors:
        content = golden.value(logical, vector["value"])
        try:
            pa.array([content], logical.arrow)
        except (pa.ArrowInvalid, UnicodeEncodeError):
            assert vector["encoding"] is None or vector["kind"] == "decimal"
            continue
        kept.append(content)
        expected.append(golden.encoding(vector, content))
    return pa.array(kept, logical.arrow), expected


def golden_groups() -> list[Any]:
    """The golden values grouped by type; the types that stand in a contract."""
    groups: dict[LogicalType, list[dict[str, Any]]] = {}
    for vector in golden.GOLDEN["values"]:
        if vector["kind"] != "unsupported":
            groups.setdefault(golden.logical_type(vector), []).append(vector)
    return [pytest.param(logical, vectors, id=str(logical)) for logical, vectors in groups.items()]


@pytest.mark.parametrize(("logical", "vectors"), golden_groups())
def test_golden_values(logical: LogicalType, vectors: list[dict[str, Any]]) -> None:
    """Each golden value that Arrow can hold is encoded and hashed as the file fixes it; the others are poison."""
    if logical.kind == "integer":
        logical = LogicalType("integer", low=-(10**38))
    values, expected = as_arrow(vectors, logical)
    table, contract = one_column(logical, values)
    assert row_encodings(table, contract).to_pylist() == expected
    assert row_digests(table, contract).to_pylist() == [
        None if encoded is None else hashlib.sha256(encoded).digest() for encoded in expected
    ]


def test_golden_rows_and_their_set_digest() -> None:
    """The golden rows have the row, key and set digests that the file fixes."""
    total = SetDigest()
    for vector in golden.GOLDEN["rows"]:
        contract, row = golden.contract(vector), golden.row(vector)
        table = pa.table({name: pa.array([row[name]], logical.arrow) for name, logical in contract.columns})
        assert row_digests(table, contract)[0].as_py().hex() == vector["sha256"]
        assert key_digests(table, contract)[0].as_py().hex() == vector["key_sha256"]
        total = total + SetDigest.from_row_digests(row_digests(table, contract))
    assert str(total) == golden.GOLDEN["set_digest"]


@pytest.mark.parametrize("longest", [0, 1, 9, 10, 1023, 1024, 1025, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("others", [[], ["ab"], [None], ["ab", None, ""]])
def test_every_length_of_text(longest: int, others: list[str | None]) -> None:
    """Lengths at the borders of every table and form are right, alone in a column, among others and beside NULL."""
    texts = ["x" * longest, *others]
    table, contract = one_column(TEXT, pa.array(texts, pa.string()))
    assert row_encodings(table, contract).to_pylist() == [encode_value(TEXT, text) for text in texts]


def test_invalid_utf8_is_poison() -> None:
    """Bytes in a text column that are no UTF-8 poison their own row and no other, also behind 64 KiB."""
    raw = pa.array([b"\xff", b"ok", None, b"\xed\xa0\x80", b"x" * 70_000 + b"\xff", "发".encode()[:2]])
    table, contract = one_column(TEXT, pa.Array.from_buffers(pa.string(), len(raw), raw.buffers()))
    assert row_encodings(table, contract).to_pylist() == [None, b"S2:ok;", b"N;", None, None, None]
    digests = row_digests(table, contract)
    assert SetDigest.from_row_digests(digests).poison == 4
    assert digests[1].as_py() == hashlib.sha256(b"S2:ok;").digest()
    hashes = key_hashes(table, ["c"])
    assert (hashes == 0).tolist() == [True, False, False, True, True, True]


@pytest.mark.parametrize(
    ("kind", "arrow", "numbers"),
    [
        ("date", pa.date32(), [-719_163, 2_932_897, -(2**31), 2**31 - 1]),
        ("time", pa.time64("us"), [-1, 86_400_000_000, -(2**63), 2**63 - 1]),
        ("timestamp", pa.timestamp("us"), [-62_135_596_800_000_001, 253_402_300_800_000_000, -(2**63), 2**63 - 1]),
        ("instant", pa.timestamp("us", "UTC"), [-62_135_596_800_000_001, 253_402_300_800_000_000, -(2**63), 2**63 - 1]),
    ],
)
def test_times_beyond_the_calendar_are_poison(kind: Kind, arrow: pa.DataType, numbers: list[int]) -> None:
    """BC, infinity and 24:00 poison the row; the rows beside them keep their encoding."""
    width = pa.int32() if arrow == pa.date32() else pa.int64()
    table, contract = one_column(LogicalType(kind), pa.array([*numbers, 0, None], width).cast(arrow))
    encoded = row_encodings(table, contract).to_pylist()
    assert encoded[:4] == [None] * 4
    assert encoded[4] is not None
    assert encoded[5] == b"N;"
    assert row_digests(table, contract).null_count == 4


@pytest.mark.parametrize(
    ("logical", "arrow"),
    [
        (LogicalType("integer"), pa.int32()),
        (LogicalType("integer"), pa.float64()),
        (LogicalType("decimal", 18, 2), pa.decimal128(18, 4)),
        (LogicalType("decimal", 18, 2), pa.string()),
        (LogicalType("decimal"), pa.decimal128(18, 2)),
        (LogicalType("timestamp"), pa.timestamp("us", "UTC")),
        (LogicalType("instant"), pa.timestamp("us", "Asia/Shanghai")),
        (LogicalType("timestamp"), pa.timestamp("ns")),
        (LogicalType("bytes"), pa.string()),
        (TEXT, pa.binary()),
    ],
)
def test_another_arrow_type_is_an_error(logical: LogicalType, arrow: pa.DataType) -> None:
    """A column in another type than the contract's is refused, not converted on the way."""
    with pytest.raises(InputError, match="does not hold"):
        row_digests(*one_column(logical, pa.array([], arrow)))


def test_missing_and_double_columns_are_errors() -> None:
    """A column of the contract must be there exactly once; others do not matter."""
    contract = Contract((("a", TEXT),))
    with pytest.raises(InputError, match="0 times"):
        row_digests(pa.table({"b": ["x"]}), contract)
    with pytest.raises(InputError, match="2 times"):
        row_digests(pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], ["a", "a"]), contract)
    assert row_encodings(pa.table({"b": ["x"], "a": ["y"]}), contract).to_pylist() == [b"S1:y;"]


@pytest.mark.parametrize(
    "arrow", [pa.int64(), pa.string(), pa.decimal128(18, 2), pa.bool_(), pa.date32(), pa.float64()]
)
def test_empty_and_null_tables(arrow: pa.DataType) -> None:
    """No rows give no digests, with and without chunks; NULLs alone are `N;` in every type."""
    kinds: dict[Any, LogicalType] = {
        pa.int64(): LogicalType("integer"),
        pa.string(): TEXT,
        pa.decimal128(18, 2): LogicalType("decimal", 18, 2),
        pa.bool_(): LogicalType("boolean"),
        pa.date32(): LogicalType("date"),
        pa.float64(): LogicalType("float"),
    }
    contract = Contract((("c", kinds[arrow]),))
    for column in (pa.array([], arrow), pa.chunked_array([], arrow)):
        assert len(row_digests(pa.table({"c": column}), contract)) == 0
        assert len(key_hashes(pa.table({"c": column}), ["c"])) == 0
    assert row_encodings(pa.table({"c": pa.nulls(3, arrow)}), contract).to_pylist() == [b"N;"] * 3


@pytest.mark.parametrize("others", [[], [None], [date(1950, 2, 28), None, date(2000, 2, 29)]])
@pytest.mark.parametrize(
    "day", [date(1, 1, 1), date(1899, 12, 31), date(1900, 1, 1), date(2099, 12, 31), date(2100, 1, 1)]
)
def test_every_day_has_its_own_field(day: date, others: list[date | None]) -> None:
    """Days at the borders of the table that is kept, and beyond it, alone, among others and beside NULL; of dates and of timestamps."""
    for logical, values in (
        (LogicalType("date"), [day, *others]),
        (LogicalType("timestamp"), [each and datetime.combine(each, time(23, 59, 59)) for each in (day, *others)]),
    ):
        table, contract = one_column(logical, pa.array(values, logical.arrow))
        assert row_encodings(table, contract).to_pylist() == [encode_value(logical, each) for each in values]


def test_key_hashes_are_xxh64_of_the_encoded_key() -> None:
    """Key hashes are XXH64 with seed 0 of the key's encoding, by the specification: filters are stored and read later."""
    assert xxh64(b"") == 0xEF46DB3751D8E999  # as published
    long = "O-91110108MA00XY0A11-SD-25112000000000000001" * 3
    table = pa.table({"no": ["00000001", "", None, long], "code": pa.array([1, 2, 3, None], pa.int64())})
    hashes = key_hashes(table, ["no"])
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [xxh64(e) for e in (b"S8:00000001;", b"S0:;", b"N;", f"S{len(long)}:{long};".encode())]
    both = key_hashes(table, ["no", "code"])
    assert both.tolist() == key_hashes(table, ["code", "no"]).tolist()
    assert both[0] == xxh64(b"I1:1;S8:00000001;")


PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
WORD = 2**64 - 1


def rotated(number: int, bits: int) -> int:
    """A 64-bit rotation to the left."""
    return (number << bits | number >> (64 - bits)) & WORD


def mixed(lane: int, word: int) -> int:
    """One round of XXH64."""
    return rotated((lane + word * PRIMES[1]) & WORD, 31) * PRIMES[0] & WORD


def xxh64(content: bytes) -> int:
    """XXH64 with seed 0, written down from its specification (doc/xxhash_spec.md of xxHash)."""
    words = [int.from_bytes(content[at : at + 8], "little") for at in range(0, len(content) // 8 * 8, 8)]
    striped = len(content) // 32 * 4
    if striped:
        lanes = [(PRIMES[0] + PRIMES[1]) & WORD, PRIMES[1], 0, -PRIMES[0] & WORD]
        for at, word in enumerate(words[:striped]):
            lanes[at % 4] = mixed(lanes[at % 4], word)
        total = sum(map(rotated, lanes, (1, 7, 12, 18))) & WORD
        for lane in lanes:
            total = ((total ^ mixed(0, lane)) * PRIMES[0] + PRIMES[3]) & WORD
    else:
        total = PRIMES[4]
    total = (total + len(content)) & WORD
    for word in words[striped:]:
        total = (rotated(total ^ mixed(0, word), 27) * PRIMES[0] + PRIMES[3]) & WORD
    rest = content[len(words) * 8 :]
    if len(rest) >= 4:
        total = (
            rotated(total ^ int.from_bytes(rest[:4], "little") * PRIMES[0] & WORD, 23) * PRIMES[1] + PRIMES[2]
        ) & WORD
        rest = rest[4:]
    for byte in rest:
        total = rotated(total ^ byte * PRIMES[4] & WORD, 11) * PRIMES[0] & WORD
    for shift, prime in ((33, PRIMES[1]), (29, PRIMES[2]), (32, 1)):
        total = (total ^ total >> shift) * prime & WORD
    return total


def test_key_hashes_with_a_contract_fold_a_uuid() -> None:
    """With the contract a uuid hashes alike in upper and lower case; without it Arrow cannot tell it from text."""
    table = pa.table({"id": ["0123ABCD-0000-0000-0000-000000000000", "0123abcd-0000-0000-0000-000000000000"]})
    contract = Contract((("id", LogicalType("uuid")),), ("id",))
    assert len(set(key_hashes(table, ["id"], contract).tolist())) == 1
    assert len(set(key_hashes(table, ["id"]).tolist())) == 2
    with pytest.raises(InputError):
        key_hashes(table, ["other"])
    with pytest.raises(InputError):
        key_hashes(table, ["other"], contract)


def test_large_values_are_taken_in_smaller_slices() -> None:
    """Rows of a mebibyte each, far more than one slice may hold, have the digests that they have one by one."""
    texts = [f"{number}" + "发" * 350_000 for number in range(40)]
    table, contract = one_column(TEXT, pa.array(texts, pa.string()))
    assert row_digests(table, contract).to_pylist() == [
        hashlib.sha256(encode_value(TEXT, text)).digest() for text in texts
    ]


def test_threads_do_not_disturb_each_other() -> None:
    """Several workers that digest at once get what one gets alone."""
    count = 40_000
    table = pa.table({"n": pa.array(range(count), pa.int64()), "t": [f"发票 {number}" for number in range(count)]})
    contract = Contract((("n", LogicalType("integer")), ("t", TEXT)), ("n",))
    alone = row_digests(table, contract)
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda start: row_digests(table.slice(start, 5_000), contract), range(0, count, 5_000))
        )
    assert pa.concat_arrays(together).equals(alone)
