"""The label of a difference: each cause on values that have it, and nothing else."""

from __future__ import annotations

import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.checksum.encoding import encode_value
from migrate.values import LogicalType
from migrate.verify.causes import cause_of, cause_of_row, exchanged, marked_exchanges
from migrate.verify.shown import canonical
from migrate.verify.verdict import Cause, Cell, Difference

TEXT = LogicalType("text")
MONEY = LogicalType("decimal", precision=38, scale=2)
FLOAT = LogicalType("float")
STAMP = LogicalType("timestamp")


def float_text(value: float) -> str:
    """The canonical text of a float: the hex of its eight bytes."""
    return struct.pack(">d", value).hex()


@pytest.mark.parametrize(
    ("expected", "actual", "cause"),
    [
        ("北京样例", "北京样例 ", "trailing_space"),
        ("北京样例\u3000", "北京样例", "trailing_space"),
        ("é", "e\u0301", "normalisation"),
        ("１２", "12", "normalisation"),
        ("北京A", "??A", "charset"),
        ("北京", "\ufffd\ufffd", "charset"),
        ("发票", "发票".encode().decode("latin-1"), "charset"),
        ("发票", "发票".encode("gb18030").decode("latin-1", "replace"), "value"),
        ("北京样例科技", "北京样例", "truncation"),
        ("1.50", "1.5", "truncation"),
        ("1.5", "1.50", "scale"),
        ("100", "1E2", "scale"),
        ("abc", "abd", "value"),
        ("abc", "", "value"),
        ("北京", "上海", "value"),
        ("AB", "?B", "value"),
    ],
)
def test_causes_of_texts(expected: str, actual: str, cause: Cause) -> None:
    """A text that was padded, normalised, damaged, cut or written with other zeros is named so; any other is another value."""
    assert cause_of(TEXT, Cell(expected, actual)) == cause


@pytest.mark.parametrize(
    ("expected", "actual", "cause"),
    [
        ("100.00", "1.00", "scale"),
        ("-0.05", "-5.00", "scale"),
        ("100.00", "-100.00", "value"),
        ("100.00", "0.00", "value"),
        ("0.00", "100.00", "value"),
        ("100.00", "101.00", "value"),
        # Digits beyond the 28 that Python's own arithmetic keeps decide.
        ("100000000000000000000000000000000001.00", "10.00", "value"),
        ("123456789012345678901234567890123456.00", "12345678901234567890123456789012345.60", "scale"),
    ],
)
def test_causes_of_numbers(expected: str, actual: str, cause: Cause) -> None:
    """The same digits with the point at another place are a matter of scale, to the last of 38 digits."""
    assert cause_of(MONEY, Cell(expected, actual)) == cause


@pytest.mark.parametrize(
    ("expected", "actual", "cause"),
    [
        (51200.0, 51201.0, "value"),
        (51200.0, 5.12, "scale"),
        (0.25, 2.5, "scale"),
        (1.0, float("inf"), "value"),
        (float("nan"), 1.0, "value"),
        (0.0, 1.0, "value"),
    ],
)
def test_causes_of_floats(expected: float, actual: float, cause: Cause) -> None:
    """Floats are compared by what they are, not by their hex, which can look like a decimal number of absurd size."""
    assert cause_of(FLOAT, Cell(float_text(expected), float_text(actual))) == cause


@given(st.floats(), st.floats())
def test_any_two_floats_have_a_cause(expected: float, actual: float) -> None:
    """No pair of floats breaks the label, whatever its hex looks like."""
    assert cause_of(FLOAT, Cell(float_text(expected), float_text(actual))) in ("scale", "value")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=1, max_value=10**20), st.integers(1, 12))
def test_powers_of_ten_are_scale(value: Decimal, power: int) -> None:
    """A value times any power of ten is a matter of scale."""
    assert cause_of(MONEY, Cell(f"{value:f}", f"{value.scaleb(power):f}")) == "scale"


@pytest.mark.parametrize(
    ("expected", "actual", "cause"),
    [
        ("2025-04-13T08:00:00.000000", "2025-04-13T00:00:00.000000", "hours_offset"),
        ("2025-04-13T08:00:00.000000", "2025-04-12T07:00:00.000000", "hours_offset"),
        ("2025-04-13T08:00:00.000000", "2025-04-13T08:00:00.000001", "value"),
        ("2025-04-13T08:00:00.000000", "2025-04-13T08:30:00.000000", "value"),
        ("2025-04-13T08:00:00.000000", "2025-05-13T08:00:00.000000", "value"),
    ],
)
def test_causes_of_times(expected: str, actual: str, cause: Cause) -> None:
    """Whole hours of at most a day are an offset; a month, minutes and microseconds are not."""
    assert cause_of(STAMP, Cell(expected, actual)) == cause


@pytest.mark.parametrize("logical", [TEXT, MONEY, FLOAT, STAMP, LogicalType("date"), LogicalType("boolean")])
def test_null_is_another_value(logical: LogicalType) -> None:
    """NULL on one side is another value for every type, and never reaches a comparison of texts."""
    assert cause_of(logical, Cell(None, "x")) == cause_of(logical, Cell("x", None)) == "value"


def test_columns_that_hold_each_others_values() -> None:
    """Net and gross in each other's place are exchanged; a text `None` is not NULL, and one column alone exchanges nothing."""
    assert exchanged({"net": Cell("1.00", "2.00"), "gross": Cell("2.00", "1.00")})
    assert not exchanged({"net": Cell("1.00", "2.00"), "gross": Cell("2.00", "3.00")})
    assert not exchanged({"a": Cell(None, "None"), "b": Cell("x", "x")})
    assert not exchanged({"net": Cell("1.00", "1.00")})


def test_the_cause_of_a_row() -> None:
    """Columns that agree give the row their cause, others make it another value, and an exchange outranks both."""
    types = {"a": TEXT, "b": TEXT, "n": MONEY}
    assert cause_of_row(types, {"a": Cell("x", "x "), "b": Cell("y", "y ")}) == "trailing_space"
    assert cause_of_row(types, {"a": Cell("x", "x "), "n": Cell("1.00", "10.00")}) == "value"
    assert cause_of_row(types, {"a": Cell("x", "x "), "b": Cell("x ", "x")}) == "exchanged"


def test_rows_that_hold_each_others_values() -> None:
    """Two rows whose amounts were exchanged are both marked so; a third, and a missing row, keep what they had."""
    first = Difference("changed", {"k": "1"}, {"net": Cell("1.00", "2.00")}, "value")
    second = Difference("changed", {"k": "2"}, {"net": Cell("2.00", "1.00")}, "value")
    third = Difference("changed", {"k": "3"}, {"net": Cell("3.00", "1.00")}, "value")
    gone = Difference("missing", {"k": "4"})
    found = marked_exchanges([first, second, third, gone])
    assert [each.cause for each in found] == ["exchanged", "exchanged", "value", "unknown"]


@given(st.text(), st.text())
def test_any_two_different_texts_have_a_cause(expected: str, actual: str) -> None:
    """Texts that differ always get one of the causes of texts, in both directions."""
    if expected == actual:
        return
    known = {"value", "scale", "trailing_space", "normalisation", "charset", "truncation"}
    assert {cause_of(TEXT, Cell(expected, actual)), cause_of(TEXT, Cell(actual, expected))} <= known


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
def test_equal_texts_are_equal_values(one: str, other: str) -> None:
    """Canonical texts are equal exactly if the encodings are, so what reaches a label always differs."""
    same = encode_value(TEXT, one) == encode_value(TEXT, other)
    assert same == (canonical(TEXT, one) == canonical(TEXT, other)) == (one == other)
