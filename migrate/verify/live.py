"""Verification while both sides still change: what differs is read again, and only what stays different is a difference.

A change that has reached one side and not yet the other looks like a difference, and is none a moment later. What no look confirms is
counted as settled, never as equal rows that nobody saw: every look reads both sides whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from migrate.verify.verdict import Live, Verification

LOOKS: Final = 5
"""Looks at most: a key that differs in each of them stays different."""

MOST_KEYS: Final = 500_000
"""Keys (32 bytes, about 100 in memory) that are remembered between two looks; where more differ, it is not haste, and nothing is read again."""

Keys: TypeAlias = Mapping[str, AbstractSet[bytes]]
"""By target, the digests of keys that differ."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One look: what it found, and which keys differ; None where rows could not be compared."""

    verification: Verification
    keys: Keys | None


def settled(look: Callable[[Keys | None], Looked]) -> Verification:
    """Look until nothing settles any more. `look` gets the keys that differed before, and reports no others; None at first."""
    first = last = look(None)
    looks, keys, differed, seconds = 1, first.keys, _count(first.keys), first.verification.seconds
    while last.verification.verdict == "DIFFERENT" and keys is not None and looks < LOOKS and differed <= MOST_KEYS:
        last = look(keys)
        looks, seconds = looks + 1, seconds + last.verification.seconds
        if last.keys == keys:
            break
        keys = last.keys
    return replace(
        last.verification,
        began=first.verification.began,
        seconds=seconds,
        live=Live(looks, 0 if last.keys is None else differed - _count(last.keys)),
    )


def _count(keys: Keys | None) -> int:
    return sum(len(each) for each in (keys or {}).values())
