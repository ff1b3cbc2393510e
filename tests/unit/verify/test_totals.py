"""Control totals: exact to the last digit, added and taken away, and never equal where they could not be computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Context, Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from migrate.mapping.totals import ProgramTotal
from migrate.verify.totals import Totals

HUGE = Decimal("9" * 36 + ".99")
BY_STATE = ProgramTotal("paid", (("state", "state"),), ("net",))
ALL = ProgramTotal("paid", (), ("net",))


def rows(*pairs: tuple[str | None, Decimal | None]) -> pa.Table:
    """Rows of `paid`: state and net."""
    state, net = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table({"state": pa.array(state, pa.string()), "net": pa.array(net, pa.decimal128(38, 2))})


@contextmanager
def both(*totals: ProgramTotal) -> Iterator[tuple[Totals, Totals]]:
    """Expected and actual."""
    expected, actual = Totals(totals), Totals(totals)
    try:
        yield expected, actual
    finally:
        expected.close()
        actual.close()


def found(expected: Totals, actual: Totals) -> list[tuple[dict[str, str | None], str | None, str | None]]:
    """The differences: group, expected and actual sum."""
    return [
        (dict(each.by), each.sums["net"].expected, each.sums["net"].actual) for each in expected.differences(actual)
    ]


def test_one_cent_beside_sums_of_38_digits_is_seen() -> None:
    """Sums that no decimal type of a database holds are exact: one cent more is a difference of one cent."""
    with both(ALL) as (expected, actual):
        expected.add("paid", rows(*[("a", HUGE)] * 30))
        actual.add("paid", rows(*[("a", HUGE)] * 30, ("a", Decimal("0.01"))))
        total = Context(prec=60).multiply(HUGE, Decimal(30))
        assert found(expected, actual) == [({}, f"{total:f}", f"{Context(prec=60).add(total, Decimal('0.01')):f}")]


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(-(10**38) + 1, 10**38 - 1)), max_size=12),
    st.integers(0, 12),
)
def test_sums_are_exact_in_any_cut(pairs: list[tuple[str | None, int]], cut: int) -> None:
    """Per group the sum of Python's integers, however the rows were cut; NULL is a group of its own."""
    values = [(state, Decimal(cents).scaleb(-2, Context(prec=40))) for state, cents in pairs]
    with both(BY_STATE) as (cut_up, whole):
        cut_up.add("paid", rows(*values[:cut]))
        cut_up.add("paid", rows(*values[cut:]))
        whole.add("paid", rows(*values))
        assert found(cut_up, whole) == []
        sums = {group[0]: added[0] for group, (_, added) in whole._sums[0].items()}
    for state in {state for state, _ in pairs}:
        cents = sum(each for other, each in pairs if other == state)
        assert sums[state] == Decimal(cents).scaleb(-2, Context(prec=60))


def test_what_is_taken_away_is_not_expected() -> None:
    """A row taken away leaves the others; a group whose rows were all taken away is not expected, not even with zero."""
    with both(BY_STATE) as (expected, actual):
        expected.add("paid", rows(("a", Decimal("1.00")), ("a", Decimal("2.00")), ("b", Decimal("5.00"))))
        expected.add("paid", rows(("a", Decimal("2.00")), ("b", Decimal("5.00"))), -1)
        actual.add("paid", rows(("a", Decimal("1.00"))))
        assert found(expected, actual) == []
        assert expected.groups == actual.groups == 1


def test_a_group_of_one_side_only_is_a_difference() -> None:
    """A group whose amounts cancel out, or are NULL, is still a group: without it on the other side the totals differ."""
    with both(BY_STATE) as (expected, actual):
        expected.add("paid", rows(("a", Decimal("1.00")), ("a", Decimal("-1.00"))))
        actual.add("paid", rows(("b", None)))
        assert found(expected, actual) == [({"state": "a"}, "0.00", None), ({"state": "b"}, None, "0.00")]


def test_rows_of_other_targets_are_not_added() -> None:
    """A total adds up the rows of its own target alone."""
    with both(BY_STATE) as (expected, actual):
        expected.add("other", rows(("a", Decimal("1.00"))))
        assert found(expected, actual) == []
        assert expected.groups == 0


def test_a_total_that_fails_is_not_compared_and_named() -> None:
    """A grouping that cannot be computed on a value is named with its reason; it is no difference, and the other totals are compared."""
    failing = ProgramTotal("paid", (("n", "CAST(state AS INTEGER)"),), ("net",))
    with both(failing, BY_STATE) as (expected, actual):
        expected.add("paid", rows(("1", Decimal("1.00"))))
        actual.add("paid", rows(("x", Decimal("1.00"))))
        assert [(dict(each.by)) for each in expected.differences(actual)] == [{"state": "1"}, {"state": "x"}]
        ((target, why),) = expected.uncompared(actual)
        assert target == "paid"
        assert "'x'" in why
