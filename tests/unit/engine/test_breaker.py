"""Limits that pause a run."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from migrate.engine.breaker import Breaker, SampleSize
from migrate.ledger.counts import Counts
from migrate.mapping.model import Amount, Limits


def rejects(read: int, rejected: int) -> Counts:
    """One batch."""
    return Counts(read=read, mapped=read - rejected, rejected=rejected)


def limits(rejected: str | None = None, warnings: str | None = None, first_batches: str = "5") -> Limits:
    """Limits as a mapping file gives them."""
    given = {"rejects": rejected, "warnings": warnings, "first_batches": first_batches}
    return Limits.model_validate({name: value for name, value in given.items() if value is not None})


def test_no_limit_never_pauses() -> None:
    """Without limits everything may be rejected."""
    breaker = Breaker(limits())
    assert breaker.add(rejects(100, 100)) is None
    assert breaker.seen == rejects(100, 100)


def test_a_number_holds_from_the_first_batch_on() -> None:
    """So many rejects are allowed, one more is over the limit; they are summed over batches."""
    breaker = Breaker(limits("3"))
    assert breaker.add(rejects(10, 2)) is None
    assert breaker.add(rejects(10, 1)) is None
    assert breaker.add(rejects(10, 1)) == "4 rejects since the last resume are over the limit of 3"


def test_a_share_waits_for_the_first_batches() -> None:
    """A share is judged over all rows read, and not before `first_batches` batches, since the first rows prove little."""
    breaker = Breaker(limits("10%", first_batches="3"))
    assert breaker.add(rejects(10, 10)) is None
    assert breaker.add(rejects(10, 0)) is None
    reason = breaker.add(rejects(10, 0))
    assert reason is not None
    assert reason.startswith("10 rejects in 30 rows read since the last resume are 33.33%, over the limit of 10")


def test_exactly_the_share_is_allowed() -> None:
    """The limit itself is not over the limit, computed without rounding."""
    breaker = Breaker(limits("0.5%", first_batches="1"))
    assert breaker.limits.rejects == Amount(share=Decimal("0.005"))
    assert breaker.add(rejects(1000, 5)) is None
    assert breaker.add(rejects(0, 1)) is not None


def test_warnings_have_a_limit_of_their_own() -> None:
    """Warnings pause a run only where the mapping limits them, and are named as such."""
    assert Breaker(limits("1")).add(Counts(read=5, mapped=5, warnings=5)) is None
    reason = Breaker(limits(warnings="2")).add(Counts(read=5, mapped=5, warnings=5))
    assert reason == "5 warnings since the last resume are over the limit of 2"


def test_rejects_of_the_last_phase_count_as_others_do() -> None:
    """What was pending and is rejected in the end adds to the rejects, and neither to the rows read nor to the batches."""
    breaker = Breaker(limits("10%", first_batches="2"))
    settled = Counts(pending=-3, rejected=3)
    assert breaker.add(Counts(read=10, mapped=4, pending=6)) is None
    assert breaker.add_settled(settled) is None
    assert breaker.add(Counts(read=30, mapped=30)) is None
    assert breaker.add_settled(settled) is not None


def test_a_share_of_a_sample_waits_for_as_many_rows_as_a_run_has_in_its_first_batches() -> None:
    """Batches of a sample may be a handful of rows: the share is judged at the rows of the first real batches, not at so many small ones."""
    breaker = Breaker(limits("10%", first_batches="2"), SampleSize(batches=9, all_rows=900, batch_rows=30))
    assert [breaker.add(rejects(10, 5)) for _ in range(5)] == [None] * 5
    reason = breaker.add(rejects(10, 5))
    assert reason == (
        "30 rejects in 60 rows read of the sample are 50.00%, over the limit of 10.0%:"
        " a run of all 900 rows would be paused if the other rows are like these"
        ", unless it is parents outside of the sample that are missing"
    )


def test_a_share_of_a_sample_is_judged_on_the_whole_of_it_at_the_latest() -> None:
    """A sample that is smaller than the first real batches is judged at its end, with what the last phase settles; without `first_batches` too."""
    for first in ("0", "2"):
        breaker = Breaker(limits("10%", first_batches=first), SampleSize(batches=3, all_rows=900, batch_rows=30))
        assert [breaker.add(rejects(5, 1)), breaker.add(rejects(5, 0))] == [None, None]
        assert breaker.add(rejects(5, 0)) is None
        assert breaker.add_settled(Counts(pending=-1, rejected=1)) is not None


def test_a_run_of_all_that_no_share_would_pause_is_not_paused_in_a_sample() -> None:
    """Fewer batches than `first_batches`: a run of all would go to its end, and so does that of a sample; one more, and it would not."""
    small = SampleSize(batches=2, all_rows=60, batch_rows=30)
    for size, paused in ((small, False), (replace(small, all_rows=61), True)):
        breaker = Breaker(limits("10%", first_batches="3"), size)
        assert breaker.add(rejects(5, 5)) is None
        assert (breaker.add(rejects(5, 5)) is not None) == paused


def test_a_number_holds_in_a_sample_from_its_first_row_on() -> None:
    """Its rows are rows of all: a run of all would be paused, whatever the others are like, but for parents that only the sample lacks."""
    breaker = Breaker(limits("3"), SampleSize(batches=8, all_rows=900, batch_rows=30))
    reason = breaker.add(rejects(10, 4))
    assert reason == (
        "4 rejects of the sample are over the limit of 3: a run of all 900 rows would be paused"
        ", unless it is parents outside of the sample that are missing"
    )
