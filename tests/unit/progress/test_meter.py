"""Rate, time left and waits are what the events say, and unknown where they say nothing."""

from __future__ import annotations

import pytest

from migrate.engine.events import BatchDone, Event, PhaseStarted, RunEnded, RunStarted, Waiting
from migrate.ledger.counts import Counts
from migrate.progress.meter import Meter, Progress


def started(expected: int | None, *, done: int = 0) -> RunStarted:
    """The begin of a run."""
    return RunStarted("m", "r", done > 0, expected, Counts(read=done, mapped=done))


def batch(rows: int, *, rejected: int = 0) -> BatchDone:
    """A batch of so many rows."""
    return BatchDone("m", "r", 1, Counts(read=rows, mapped=rows - rejected, rejected=rejected), 0.5, 1)


def metered(*events: tuple[float, Event]) -> Progress:
    """The progress after events at these times."""
    meter = Meter()
    return [meter.take(event, now) for now, event in events][-1]


def test_counts_of_batches_add_to_those_of_earlier_attempts() -> None:
    """A resumed run shows what was done before together with what is done now."""
    progress = metered((0, started(100, done=40)), (1, batch(10, rejected=2)))
    assert (progress.counts.read, progress.counts.mapped, progress.counts.rejected, progress.before) == (50, 48, 2, 40)
    assert progress.share == 0.5


def test_the_rate_is_that_of_recent_batches() -> None:
    """Batches older than the window do not count; earlier attempts never do."""
    progress = metered((0, started(None, done=999)), (5, batch(5000)), (50, batch(600)), (60, batch(300)))
    assert progress.rate(60) == pytest.approx(900 / 30)


def test_the_rate_falls_while_nothing_is_committed() -> None:
    """Standing still shows: the same rows over a longer time, then none."""
    progress = metered((0, started(None)), (4, batch(400)))
    assert progress.rate(4) == pytest.approx(100)
    assert progress.rate(20) == pytest.approx(20)
    assert progress.rate(40) == 0


def test_no_rate_before_there_is_one() -> None:
    """In the first seconds, and without a batch, nobody knows the rate."""
    assert metered((0, started(None)), (1, batch(10))).rate(1.5) is None
    assert metered((0, started(None))).rate(10) is None


def test_time_left_is_unknown_without_an_honest_base() -> None:
    """No total, a total that was passed, no rate, or another phase: no time left is shown."""
    assert metered((0, started(1000)), (5, batch(500))).seconds_left(5) == pytest.approx(5)
    assert metered((0, started(None)), (5, batch(500))).seconds_left(5) is None
    assert metered((0, started(400)), (5, batch(500))).seconds_left(5) is None
    assert metered((0, started(1000)), (5, batch(500))).seconds_left(60) is None
    assert metered((0, started(1000)), (5, batch(500)), (6, PhaseStarted("m", "settle"))).seconds_left(6) is None


def test_an_estimate_that_was_passed_is_no_share() -> None:
    """The bar never shows more than all of it; a complete run is all of it."""
    assert metered((0, started(400)), (5, batch(500))).share is None
    assert metered((0, started(400)), (5, RunEnded("m", "r", "complete", Counts(read=500), 5))).share == 1


def test_a_wait_is_shown_until_a_batch_is_done() -> None:
    """An endless wait ends with the next batch of the mapping."""
    progress = metered((0, started(None)), (1, Waiting("m", "lock on invoice")))
    assert progress.waiting(100) == "lock on invoice"
    progress.add_batch(batch(1), 101)
    assert progress.waiting(101) is None


def test_a_wait_of_known_length_ends_by_itself() -> None:
    """A throttled run shows its reason through the batches, and for a second at least; then no more."""
    progress = metered((0, started(None)), (1, Waiting("m", "throttled", 0.1)), (1.1, batch(1)))
    assert progress.waiting(1.5) == "throttled"
    assert progress.waiting(2.5) is None


def test_an_ended_run_waits_for_nothing() -> None:
    """The last wait of a run does not stay on the screen."""
    progress = metered(
        (0, started(None)), (1, Waiting("m", "lock")), (2, RunEnded("m", "r", "paused", Counts(), 2, "limit"))
    )
    assert (progress.waiting(2), progress.state, progress.reason) == (None, "paused", "limit")


def test_tries_are_counted() -> None:
    """A batch that took three attempts counts two retries."""
    meter = Meter()
    meter.take(started(None), 0)
    assert meter.take(BatchDone("m", "r", 1, Counts(), 1.0, 3), 1).retries == 2


def test_a_restore_does_not_know_how_far_it_is() -> None:
    """Rows that are as in the backup are not written, so that all its rows are no measure: neither share nor time left is shown."""
    progress = metered((0, started(1000)), (1, PhaseStarted("m", "restore")), (5, batch(10)))
    assert (progress.share, progress.seconds_left(5), progress.counts.read) == (None, None, 10)
    assert progress.rate(5) == pytest.approx(2)
