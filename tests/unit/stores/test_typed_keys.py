"""Keys as typed JSON text."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import InputError
from migrate.stores.typed_keys import dump_key, load_key
from migrate.values import Key

OFFSETS = st.integers(-839, 839).map(lambda minutes: timezone(timedelta(minutes=minutes)))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=())),
    st.binary(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=OFFSETS),
    st.times(),
)


@given(st.lists(VALUES, max_size=4).map(tuple))
def test_a_key_comes_back_as_it_was(key: Key) -> None:
    """Every value comes back equal, of the same type, and a decimal with its digits."""
    back = load_key(dump_key(key))
    assert back == key
    assert [type(value) for value in back] == [type(value) for value in key]
    assert [str(value) for value in back] == [str(value) for value in key]


@given(st.lists(VALUES, max_size=3).map(tuple), st.lists(VALUES, max_size=3).map(tuple))
def test_different_keys_have_different_texts(first: Key, second: Key) -> None:
    """The text is the same only where values and types are the same."""
    same = [(type(value), str(value)) for value in first] == [(type(value), str(value)) for value in second]
    assert (dump_key(first) == dump_key(second)) == same


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1,), (True,)),
        ((1,), ("1",)),
        ((1,), (Decimal(1),)),
        ((Decimal("1.0"),), (Decimal("1.00"),)),
        ((0.0,), (-0.0,)),
        ((None,), ("null",)),
        ((None,), ()),
        ((b"a",), ("61",)),
        ((date(2025, 1, 1),), (datetime(2025, 1, 1),)),  # noqa: DTZ001 - a timestamp without zone is a kind of its own
        ((datetime(2025, 1, 1),), (datetime(2025, 1, 1, tzinfo=UTC),)),  # noqa: DTZ001
        ((time(0),), ("00:00:00",)),
        (("a", "b"), ("a,b",)),
    ],
)
def test_values_that_look_alike_are_told_apart(first: Key, second: Key) -> None:
    """Values that print alike but differ in type or digits have different texts."""
    assert dump_key(first) != dump_key(second)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**38, -(10**6000)], ids=["over", "under", "38", "6000"])
def test_integers_have_no_limit(number: int) -> None:
    """A number beyond 64 bits, or beyond what Python prints in decimal, stays exact."""
    assert load_key(dump_key((number,))) == (number,)


@pytest.mark.parametrize("text", ["", "{}x", '[["q","1"]]', '[["i","x"]]', "[1]", '[["b","2"]]', '[["i",1]]'])
def test_other_text_is_refused(text: str) -> None:
    """What `dump_key` never writes is an input error, not a guess."""
    with pytest.raises(InputError):
        load_key(text)
