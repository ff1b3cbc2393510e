"""Who stands in the target when several units claim its places: one pass gives what repeated refusing comes to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrate.verify.claims import Claimant, Claims, settled

Wanted = list[tuple[int, int]]
UNITS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=3), max_size=7)


def claims_of(units: list[Wanted], refused: set[int]) -> Claims:
    """Units that each want rows: (key, content)."""
    claims = Claims(refused={((number,), 0) for number in refused})
    for number, rows in enumerate(units):
        for key, content in rows:
            claims.keys["t", bytes([key])].append(
                Claimant("t", bytes([key]), bytes([content]), ((number,), 0), (False, 0))
            )
    return claims


def model(units: list[Wanted], refused: set[int]) -> set[int]:
    """Refuse whoever claims a key that an earlier unit has that is not refused, anew until nothing changes."""
    found = set(refused)
    while True:
        again = set(refused)
        for number, rows in enumerate(units):
            earlier = [row for other in range(number) if other not in found for row in units[other]]
            again |= {number for key, content in rows if any(key == k and content != c for k, c in [*earlier, *rows])}
        if again == found:
            return found
        found = again


@given(UNITS, st.sets(st.integers(0, 6), max_size=2))
def test_one_pass_is_the_fixed_point(units: list[Wanted], refused: set[int]) -> None:
    """The units that one pass refuses are those of the plain model, and each key is held by the first of the others."""
    standing = settled(claims_of(units, refused), {(number,): number for number in range(len(units))})
    gone = model(units, refused)
    assert {key[0] for key, _ in standing.refused} == gone
    for (_, key), holder in standing.holders.items():
        mine = [number for number, rows in enumerate(units) if number not in gone and key[0] in {k for k, _ in rows}]
        assert (holder.unit[0][0] if holder else None) == (mine[0] if mine else None)


def test_under_newer_an_older_version_is_kept_out_and_an_equal_one_refused() -> None:
    """The greater version stands; a smaller one is no conflict; of two equal ones with other content the later is refused, unless a greater came."""
    versions = {1: -1, 2: -5, 3: -5, 4: -3}
    group = [
        Claimant("t", b"k", bytes([number]), ((number,), 0), (False, version), ((False, version),))
        for number, version in versions.items()
    ]
    standing = settled(Claims(keys={("t", b"k"): group}), {(number,): number for number in versions})
    holder = standing.holders["t", b"k"]
    assert holder is not None
    assert holder.unit == ((2,), 0)
    assert standing.refused == {((3,), 0)}
