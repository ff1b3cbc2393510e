"""Types of PostgreSQL's catalogue as logical types, and the SQL around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.stores.postgres_types import TypeFacts, charset_of, literal, logical_type, quote
from migrate.values import LogicalType


def facts(name: str, modifier: int = -1, typtype: str = "b") -> TypeFacts:
    """A type as the catalogue has it."""
    return TypeFacts(name, typtype, modifier, name, name)


@given(precision=st.integers(1, 1000), data=st.data())
def test_digits_of_a_numeric_are_decoded(precision: int, data: st.DataObject) -> None:
    """The modifier of numeric(p,s) gives back p and s; a negative scale, or one beyond the precision, is not our decimal."""
    scale = data.draw(st.integers(-1000, 1000))
    modifier = ((precision << 16) | (scale & 0x7FF)) + 4
    found = logical_type(facts("numeric", modifier), None)
    if 0 <= scale <= precision:
        assert (found.kind, found.precision, found.scale) == ("decimal", precision, scale)
    else:
        assert found.kind == "unsupported"


@pytest.mark.parametrize(
    ("name", "modifier", "expected"),
    [
        ("int2", -1, LogicalType("integer", low=-32768, high=32767)),
        ("int8", -1, LogicalType("integer", low=-(2**63), high=2**63 - 1)),
        ("numeric", -1, LogicalType("decimal")),
        ("float4", -1, LogicalType("float", bits=32)),
        ("varchar", 24, LogicalType("text", length=20, nul=False)),
        ("varchar", -1, LogicalType("text", nul=False)),
        ("bpchar", 9, LogicalType("text", length=5, nul=False, keeps_spaces=False)),
        ("text", -1, LogicalType("text", nul=False)),
        ("time", 3, LogicalType("time", fraction=3)),
        ("timetz", -1, LogicalType("unsupported", nul=False)),
        ("_int4", -1, LogicalType("unsupported", nul=False)),
    ],
)
def test_facts_of_each_type(name: str, modifier: int, expected: LogicalType) -> None:
    """What fits is known before anything is written."""
    assert logical_type(facts(name, modifier), None) == expected


def test_moments_end_where_the_encoding_ends() -> None:
    """PostgreSQL's dates go on beyond the years 1 to 9999, ours do not."""
    moment = logical_type(facts("timestamptz", 0), None)
    assert (moment.kind, moment.fraction) == ("instant", 0)
    assert (moment.earliest, moment.latest) == ("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999")


def test_an_enum_is_text_and_its_charset_counts() -> None:
    """Membership is left to the database; characters that its encoding lacks are not."""
    assert logical_type(facts("mood", typtype="e"), "latin-1").charset == "latin-1"
    assert [charset_of(name) for name in ("UTF8", "SQL_ASCII", "EUC_CN", "LATIN1", "MULE_INTERNAL")] == [
        None,
        None,
        "gb2312",
        "iso8859-1",
        "ascii",
    ]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_quoting_cannot_be_left(text: str) -> None:
    """Inside the quotes every quote is doubled."""
    assert quote(text)[1:-1].replace('""', "") == text.replace('"', "")
    assert literal(text)[1:-1].replace("''", "") == text.replace("'", "")
    assert literal(text)[1:-1].count("'") == 2 * text.count("'")
