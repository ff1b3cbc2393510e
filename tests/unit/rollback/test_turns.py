"""The order in which batches change rows, whatever order their threads come in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.rollback.turns import Over, Turns


@given(st.permutations(range(5)))
def test_batches_change_rows_in_their_order(arrivals: list[int]) -> None:
    """Each waits until all before it have passed the turn on."""
    turns, changed = Turns(), []

    def batch(place: int) -> None:
        assert turns.reached(place)
        changed.append(place)
        turns.pass_on(place)

    with ThreadPoolExecutor(len(arrivals)) as pool:
        for done in [pool.submit(batch, place) for place in arrivals]:
            done.result()
    assert changed == sorted(arrivals)


def test_one_that_waits_with_locks_lets_go_when_the_one_before_it_is_in_trouble() -> None:
    """It is told so, comes back with nothing in hand, and has its turn once that one is through; the next one waits as ever."""
    turns = Turns()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turns.reached, 1)
        turns.trouble(0)
        assert waiting.result() is False
        patient = pool.submit(turns.wait, 1)
        assert not patient.done()
        turns.pass_on(0)
        patient.result()
    assert turns.reached(1)


def test_trouble_of_one_that_has_not_its_turn_is_its_own() -> None:
    """Nobody waits for its locks."""
    turns = Turns()
    turns.trouble(1)
    assert turns.reached(0)
    turns.pass_on(0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turns.reached, 2)
        turns.pass_on(1)
        assert waiting.result()


@pytest.mark.parametrize("wait", [Turns.reached, Turns.wait, Turns.pass_on])
def test_after_a_failure_nobody_has_a_turn(wait: object) -> None:
    """Those that wait, and those that come later, are sent away."""
    turns, arrived = Turns(), threading.Event()

    def come() -> None:
        arrived.set()
        wait(turns, 1)  # type: ignore[operator]

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(come)
        arrived.wait()
        turns.end()
        with pytest.raises(Over):
            waiting.result()
    with pytest.raises(Over):
        come()
