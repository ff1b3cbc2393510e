"""A work beside a walk: what either raises ends both, as if one had been done after the other."""

from __future__ import annotations

import threading

import pytest

from migrate.verify.beside import beside
from migrate.verify.both import Watch


class Boom(Exception):
    """What a test raises."""


def unheard(_side: str, _rows: int) -> None:
    """Nobody listens."""


def test_both_hear_and_both_end() -> None:
    """The work runs while the block does, both are heard, and the block is left only when the work is over."""
    calls: list[tuple[str, int]] = []
    inside, over = threading.Event(), threading.Event()

    def work(watch: Watch) -> None:
        watch("source", 0)
        assert inside.wait(60)
        over.set()

    with beside(work, lambda side, rows: calls.append((side, rows))) as watch:
        watch("source", 5)
        inside.set()
    assert over.is_set()
    assert sorted(calls) == [("source", 0), ("source", 5)]


def test_what_the_work_raises_stops_the_walk() -> None:
    """A walk that has far to go yet stops where it next tells how far it is, with what the work raised."""
    error = Boom()

    def work(_watch: Watch) -> None:
        raise error

    def walk() -> None:
        with beside(work, unheard) as watch:
            while True:
                watch("source", 1)

    with pytest.raises(Boom) as caught:
        walk()
    assert caught.value is error


def test_what_the_work_raises_last_is_raised_too() -> None:
    """A walk that is at its end waits for the work, and its success does not hide that the work failed."""
    walked = threading.Event()

    def work(_watch: Watch) -> None:
        assert walked.wait(60)
        raise Boom

    with pytest.raises(Boom), beside(work, unheard):
        walked.set()


def test_a_walk_that_fails_stops_the_work() -> None:
    """The work is stopped where it next tells that it goes on, is over when the error arrives, and it is the walk's error that does."""
    over = threading.Event()

    def work(watch: Watch) -> None:
        try:
            while True:
                watch("source", 0)
        finally:
            over.set()

    error = Boom()
    with pytest.raises(Boom) as caught, beside(work, unheard):
        raise error
    assert (caught.value is error, over.is_set()) == (True, True)
