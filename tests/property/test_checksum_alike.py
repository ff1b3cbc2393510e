"""Rows that are called the same without an encoding: never against the reference evaluator, and always where the values are one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.checksum.alike import same_rows, without_encoding
from migrate.checksum.contract import Contract
from migrate.checksum.hashing import all_valid_utf8
from migrate.checksum.vectorised import row_encodings
from migrate.values import LogicalType
from tests.property.checksum_rows import Sample, samples, values_of


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Sample, Sample]:
    """Two sides of equally many rows, of which many are the same and many differ in one value."""
    one = draw(samples(least=1))
    rows = []
    for row in one.rows:
        name = draw(st.sampled_from(sorted(one.types)))
        rows.append({**row, name: draw(st.just(row[name]) | values_of(one.types[name]))})
    return one, replace(one, rows=rows)


def is_one(one: Any, other: Any) -> bool:
    """Whether two Python values are the same in kind and digits, and a number at all."""
    return repr(one) == repr(other) and not (isinstance(one, float) and math.isnan(one))


@given(pairs(), st.lists(st.integers(0, 6), max_size=2), st.booleans())
def test_what_is_the_same_has_equal_encodings(sides: tuple[Sample, Sample], cuts: list[int], large: bool) -> None:
    """The same row, with an encoding, is encoded alike; a row without encoding is named; equal values are the same however the tables are cut."""
    one, other = (each.table([cut for cut in cuts if cut < len(each.rows)], large=large) for each in sides)
    contract = sides[0].contract
    encoded, its = (row_encodings(each, contract).to_pylist() for each in (one, other))
    same, lacking = same_rows(one, other, contract), without_encoding(one, contract)
    count = len(encoded)
    alike = [True] * count if same is None else same.tolist()
    unencodable = [False] * count if lacking is None else lacking.tolist()
    assert unencodable == [row is None for row in encoded]
    for number in range(count):
        if alike[number] and not unencodable[number]:
            assert encoded[number] == its[number]
        mine, theirs = sides[0].rows[number], sides[1].rows[number]
        if all(is_one(mine[name], theirs[name]) for name in mine) and not unencodable[number]:
            assert alike[number]


@pytest.mark.parametrize(
    ("logical", "bad"),
    [
        (LogicalType("json"), '{"a":1,"a":2}'),
        (LogicalType("uuid"), "nonsense"),
        (LogicalType("decimal"), "NaN"),
        (LogicalType("decimal", 60, 2), "1.005"),
    ],
    ids=str,
)
def test_null_is_not_a_value_without_encoding(logical: LogicalType, bad: str) -> None:
    """NULL has an encoding, whatever stands on the other side; two values without one may be called the same, and are named."""
    contract = Contract((("c", logical),))
    sides = [None, bad, None, bad], [bad, None, None, bad]
    for one, other in (sides, sides[::-1]):
        first, second = (pa.table({"c": pa.array(side, logical.arrow)}) for side in (one, other))
        same = same_rows(first, second, contract)
        assert same is not None
        assert same.tolist()[:3] == [False, False, True]
        lacking = without_encoding(first, contract)
        assert lacking is not None
        assert lacking.tolist() == [value == bad for value in one]


def test_two_widths_of_one_type_are_left_to_their_encodings() -> None:
    """A column that came in another Arrow type is never called the same: whoever encodes it finds out."""
    contract = Contract((("c", LogicalType("text")),))
    one, other = (pa.table({"c": pa.array(["a", "b"], arrow)}) for arrow in (pa.string(), pa.large_string()))
    same = same_rows(one, other, contract)
    assert same is not None
    assert not same.any()


DAMAGED = [b"\xe5\x8f\x91", b"\xe5", b"\x8f\x91", b"\xff", b"a", b"", b"\xed\xa0\x80"]


@given(st.lists(st.sampled_from(DAMAGED), max_size=5), st.integers(0, 4))
def test_damaged_bytes_are_found_in_all_values_at_once(raw: list[bytes], skipped: int) -> None:
    """Valid means that each value is, also where two halves of a character stand next to each other in two values."""
    values = pa.array([b"x", *raw], pa.binary())
    texts = pa.StringArray.from_buffers(len(values), values.buffers()[1], values.buffers()[2]).slice(skipped)
    valid = []
    for value in [b"x", *raw][skipped:]:
        try:
            value.decode()
        except UnicodeDecodeError:
            valid.append(False)
        else:
            valid.append(True)
    assert all_valid_utf8(texts) == all(valid)
    if len(texts):
        contract = Contract((("c", LogicalType("text")),))
        lacking = without_encoding(pa.table({"c": texts}), contract)
        assert np.array_equal(~np.array(valid), np.zeros(len(valid), np.bool_) if lacking is None else lacking)


@pytest.mark.parametrize("arrow", [pa.string(), pa.large_string()])
def test_what_stands_behind_a_null_is_no_value(arrow: pa.DataType) -> None:
    """NULL has an encoding, whatever bytes its place has."""
    whole = pa.array(["a", "b", "c"], arrow)
    width = np.int32 if arrow == pa.string() else np.int64
    content = pa.py_buffer(b"a\xffc")
    mask = pa.py_buffer(b"\x05")
    texts = pa.Array.from_buffers(arrow, 3, [mask, pa.py_buffer(np.arange(4, dtype=width)), content])
    assert texts.to_pylist() == ["a", None, "c"] != whole.to_pylist()
    contract = Contract((("c", LogicalType("text")),))
    lacking = without_encoding(pa.table({"c": texts}), contract)
    assert lacking is None or not lacking.any()
