"""Row counts of a batch, pass or run, and the equation that they must satisfy.

Pure. Counts are signed, so that a later phase can move rows from one class to another; a run's counts are the sum over its entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class TargetCounts:
    """What became of the rows mapped to one target table; `groups` counts units of a grouped target, else 0."""

    written: int = 0
    updated: int = 0
    identical: int = 0
    kept: int = 0
    deleted: int = 0
    groups: int = 0

    def __add__(self, other: TargetCounts) -> TargetCounts:
        return TargetCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __neg__(self) -> TargetCounts:
        return TargetCounts(*(-getattr(self, f.name) for f in fields(self)))

    def to_json(self, *, grouped: bool) -> dict[str, int]:
        """The INTERFACE form: `groups` only for a grouped target."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        if not grouped:
            del found["groups"]
        return found


@dataclass(frozen=True, slots=True)
class Counts:
    """Source rows by what became of them. `read = mapped + filtered + rejected + pending`, always."""

    read: int = 0
    mapped: int = 0
    filtered: int = 0
    rejected: int = 0
    pending: int = 0
    warnings: int = 0
    targets: Mapping[str, TargetCounts] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        names = [*self.targets, *(name for name in other.targets if name not in self.targets)]
        nothing = TargetCounts()
        return Counts(
            self.read + other.read,
            self.mapped + other.mapped,
            self.filtered + other.filtered,
            self.rejected + other.rejected,
            self.pending + other.pending,
            self.warnings + other.warnings,
            {name: self.targets.get(name, nothing) + other.targets.get(name, nothing) for name in names},
        )

    def __neg__(self) -> Counts:
        return Counts(
            -self.read,
            -self.mapped,
            -self.filtered,
            -self.rejected,
            -self.pending,
            -self.warnings,
            {name: -counts for name, counts in self.targets.items()},
        )

    @property
    def adds_up(self) -> bool:
        """True when nothing was swallowed."""
        return self.read == self.mapped + self.filtered + self.rejected + self.pending

    def targets_add_up(self, ungrouped: frozenset[str]) -> bool:
        """True when each ungrouped target accounts for every mapped row exactly once; one that is not counted accounts for none."""
        found = (self.targets.get(name, TargetCounts()) for name in ungrouped)
        return all(each.written + each.updated + each.identical + each.kept == self.mapped for each in found)

    def targets_text(self) -> str:
        """The per-target counts as canonical JSON, for the ledger."""
        return json.dumps(
            {name: counts.to_json(grouped=True) for name, counts in sorted(self.targets.items())}, separators=(",", ":")
        )


def targets_from_text(text: str) -> dict[str, TargetCounts]:
    """Inverse of `Counts.targets_text`."""
    return {name: TargetCounts(**counts) for name, counts in json.loads(text).items()}
