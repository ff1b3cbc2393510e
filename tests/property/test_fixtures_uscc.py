"""Credit codes, for every division and organisation code."""

from hypothesis import assume, given
from hypothesis import strategies as st

from fixtures import uscc

codes = st.builds(
    uscc.complete,
    st.sampled_from(["11", "12", "31", "51", "91", "92", "93", "Y1"]),
    st.integers(110_000, 659_999).map(str),
    st.text(uscc.ALPHABET, min_size=8, max_size=8),
)


@given(codes)
def test_completed_codes_are_valid(code: str) -> None:
    """Both check characters are right, whatever the parts."""
    assert len(code) == 18
    assert uscc.is_valid(code)


@given(codes, st.integers(0, 17), st.sampled_from(uscc.ALPHABET))
def test_any_single_wrong_character_is_found(code: str, place: int, character: str) -> None:
    """The weights are units modulo 31, so that no exchange of one character goes unnoticed."""
    assume(code[place] != character)
    assert not uscc.is_valid(code[:place] + character + code[place + 1 :])


@given(codes, st.integers(0, 16))
def test_exchanged_neighbours_are_found(code: str, place: int) -> None:
    """Neighbouring weights differ, so that two characters cannot change places."""
    assume(code[place] != code[place + 1])
    assert not uscc.is_valid(code[:place] + code[place + 1] + code[place] + code[place + 2 :])
