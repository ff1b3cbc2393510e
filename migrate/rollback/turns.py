"""Whose turn it is to change rows. A rollback rests on one order: a batch changes rows only when every newer one is committed.

What comes before that is most of the work and changes nothing: claim, locks, the comparison of each row with its record. So the next batch may
do it meanwhile, and waits here with its rows locked.
"""

from __future__ import annotations

import threading


class Over(Exception):
    """The turn will not come: a newer batch was not taken back."""


class Turns:
    """Places from 0, newest batch first; each passes the turn on when its batch is committed."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._place = 0
        self._in_trouble = False
        self._over = False

    def reached(self, place: int) -> bool:
        """Wait for the turn with locks in hand. False: let go of them first, they may be what the batch whose turn it is waits for. Raises Over."""
        return self._wait(place, patient=False)

    def wait(self, place: int) -> None:
        """Wait for the turn with nothing in hand. Raises Over."""
        self._wait(place, patient=True)

    def trouble(self, place: int) -> None:
        """A batch failed, and is going to be tried again."""
        with self._moved:
            self._in_trouble = self._in_trouble or place == self._place
            self._moved.notify_all()

    def pass_on(self, place: int) -> None:
        """The batch of this place is committed: wait for its turn, and give it to the next. Raises Over."""
        with self._moved:
            self._wait(place, patient=True)
            self._place, self._in_trouble = place + 1, False
            self._moved.notify_all()

    def end(self) -> None:
        """No turn comes any more."""
        with self._moved:
            self._over = True
            self._moved.notify_all()

    def _wait(self, place: int, *, patient: bool) -> bool:
        with self._moved:
            self._moved.wait_for(lambda: self._over or self._place == place or (self._in_trouble and not patient))
            if self._over:
                raise Over
            return self._place == place
