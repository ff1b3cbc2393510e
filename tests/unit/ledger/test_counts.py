"""Counts and their equations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrate.ledger.counts import Counts, TargetCounts, targets_from_text

numbers = st.integers(-(10**12), 10**12)
target_counts = st.builds(TargetCounts, numbers, numbers, numbers, numbers, numbers, numbers)
counts = st.builds(
    Counts, numbers, numbers, numbers, numbers, numbers, numbers, st.dictionaries(st.sampled_from("abc"), target_counts)
)


def _plain(value: Counts) -> tuple[object, ...]:
    """Without targets in which nothing happened."""
    targets = {name: each for name, each in value.targets.items() if each != TargetCounts()}
    return (value.read, value.mapped, value.filtered, value.rejected, value.pending, value.warnings, targets)


@given(counts, counts, counts)
def test_sums_do_not_depend_on_order(one: Counts, two: Counts, three: Counts) -> None:
    """Counts add up in any order and grouping, and an empty one changes nothing."""
    assert _plain((one + two) + three) == _plain(one + (three + two))
    assert _plain(one + Counts()) == _plain(one)


@given(counts)
def test_targets_survive_the_ledger(value: Counts) -> None:
    """The text of the per-target counts gives them back."""
    assert targets_from_text(value.targets_text()) == dict(value.targets)


@given(numbers, numbers, numbers, numbers, st.integers(1, 100))
def test_a_swallowed_row_is_seen(mapped: int, filtered: int, rejected: int, pending: int, lost: int) -> None:
    """`read` equals the sum of all classes, or the counts do not add up."""
    read = mapped + filtered + rejected + pending
    assert Counts(read, mapped, filtered, rejected, pending).adds_up
    assert not Counts(read + lost, mapped, filtered, rejected, pending).adds_up


def test_each_ungrouped_target_accounts_for_every_mapped_row() -> None:
    """Written, updated, identical and kept rows of an ungrouped target are the mapped ones; a grouped one has its own number."""
    value = Counts(10, 10, targets={"t": TargetCounts(4, 3, 2, 1, deleted=7), "g": TargetCounts(written=2, groups=2)})
    assert value.targets_add_up(frozenset({"t"}))
    assert not value.targets_add_up(frozenset({"t", "g"}))
    assert not value.targets_add_up(frozenset({"t", "not counted at all"}))


def test_groups_are_shown_for_grouped_targets_only() -> None:
    """The JSON of a target has `groups` only where `one_row_per` is."""
    assert "groups" in TargetCounts(groups=3).to_json(grouped=True)
    assert "groups" not in TargetCounts().to_json(grouped=False)
