"""Try again what may succeed: deadlocks, lock time-outs, lost connections, with capped, jittered waits that a stop ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from migrate.engine.events import Listener, Waiting
from migrate.engine.stop import StopToken
from migrate.errors import EnvironmentFault, Interrupted, TransientFault

T = TypeVar("T")

ATTEMPTS: Final = 12
"""Tries of one step before the run gives up with exit 3; with the waits between them about two minutes."""

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 20.0


@dataclass(frozen=True, slots=True)
class Retries:
    """For one mapping: who hears of each wait, and what ends it early."""

    mapping: str
    stop: StopToken
    listen: Listener

    def persist(
        self, step: Callable[[], T], what: str, after_fault: Callable[[TransientFault], None] = lambda _fault: None
    ) -> tuple[T, int]:
        """What a step returns, and at which attempt; `after_fault` mends what a fault broke.

        Raises EnvironmentFault with the last fault when none of the attempts succeeds, Interrupted when it is stopped while it waits.
        """
        attempt = 1
        while True:
            try:
                return step(), attempt
            except TransientFault as fault:
                after_fault(fault)
                self._wait(fault, attempt, what)
            attempt += 1

    def _wait(self, fault: TransientFault, attempt: int, what: str) -> None:
        if attempt >= ATTEMPTS:
            raise EnvironmentFault(
                f"{what} failed {attempt} times, the last time with: {fault.message}",
                where=fault.where,
                next_step="nothing of it was written; see to the database, then run the same command again",
            ) from fault
        # Full jitter: workers that failed together must not come back together.
        seconds = random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt))  # noqa: S311 - not a secret
        self.listen(Waiting(self.mapping, f"{what} again, attempt {attempt + 1}: {fault.message}", seconds))
        if self.stop.wait(seconds):
            raise Interrupted(
                f"stopped before {what} was tried again", next_step="run the same command again"
            ) from fault
