"""Two ways are compared by what they take at their best, and not by what their first use costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from migrate.verify.timing import least_seconds


class Hands:
    """A clock that only works move, each by its next number of seconds, and then by the last one again."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.order: list[str] = []

    def now(self) -> float:
        """What the clock shows."""
        return self.seconds

    def work(self, name: str, seconds: Sequence[float]) -> Callable[[], None]:
        """A work that takes so long, time after time."""
        left = list(seconds)

        def done() -> None:
            self.order.append(name)
            self.seconds += left.pop(0) if len(left) > 1 else left[0]

        return done


def test_a_slow_first_time_decides_nothing() -> None:
    """Half a second for imports and plans is in no figure, on whichever side it falls."""
    for slow, quick in (("a", "b"), ("b", "a")):
        hands = Hands()
        works = {slow: hands.work(slow, [0.5, 0.03125]), quick: hands.work(quick, [0.0625])}
        found = dict(zip("ab", least_seconds(works["a"], works["b"], hands.now), strict=True))
        assert found == {slow: 0.03125, quick: 0.0625}


def test_a_busy_moment_decides_nothing() -> None:
    """Both are measured in turns, and of each the least counts."""
    hands = Hands()
    a, b = hands.work("a", [0.0625, 0.25, 0.0625, 0.125]), hands.work("b", [0.0625, 0.03125, 0.25, 0.125])
    assert least_seconds(a, b, hands.now) == (0.0625, 0.03125)
    assert hands.order == ["a", "b"] * 4


def test_what_is_slow_is_measured_once() -> None:
    """A view that takes as long as all of its rows is not read over and over."""
    hands = Hands()
    assert least_seconds(hands.work("a", [9.0]), hands.work("b", [2.0]), hands.now) == (9.0, 2.0)
    assert hands.order == ["a", "b"]
