"""What a run tells whoever listens: frozen events, one class per thing that happens.

Events are for people and logs; nothing depends on their being heard. They come from several threads: a listener must be quick and thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from migrate.ledger.counts import Counts

Phase = Literal["batches", "replay", "settle", "finish", "rollback", "restore"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins or is resumed; `rows_expected` is an estimate of all source rows, or None; `done` what earlier attempts did."""

    mapping: str
    run: str
    resumed: bool
    rows_expected: int | None
    done: Counts


@dataclass(frozen=True, slots=True)
class BatchDone:
    """One batch was committed. `seconds` is what it took, waiting included; `attempts` is 1 unless it was tried again."""

    mapping: str
    run: str
    number: int
    counts: Counts
    seconds: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run, or one worker of it, waits, and why. `seconds` is how long at most, None when it cannot be told."""

    mapping: str
    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should read: a takeover, a lookup that changed, sequences that were advanced. `level`: info or warning."""

    mapping: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase of the run begins: `batches`, or `replay` of rejected units; `settle` (pending units); `finish`; `rollback` of batches; `restore` of a backup."""

    mapping: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run stopped in `state` (complete, paused, interrupted, failed, rolled_back); `reason` says why unless complete or rolled back."""

    mapping: str
    run: str
    state: str
    counts: Counts
    seconds: float
    reason: str | None = None


Event = RunStarted | BatchDone | Waiting | Notice | PhaseStarted | RunEnded
Listener = Callable[[Event], None]
