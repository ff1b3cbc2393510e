"""Limits that pause a run at a batch border. Pure: counts in, a reason out."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrate.ledger.counts import Counts
from migrate.mapping.model import Amount, Limits


@dataclass(slots=True)
class Breaker:
    """Judges what this attempt has done since the last resume."""

    limits: Limits
    seen: Counts = field(default_factory=Counts)
    batches: int = 0

    def add(self, counts: Counts) -> str | None:
        """Take a finished batch into account; why the run must pause, or None."""
        self.batches += 1
        return self.add_settled(counts)

    def add_settled(self, counts: Counts) -> str | None:
        """The same for what the last phase settled: rejects like others, but no batch of rows read."""
        self.seen = self.seen + counts
        return self._over("rejects", self.seen.rejected, self.limits.rejects) or self._over(
            "warnings", self.seen.warnings, self.limits.warnings
        )

    def _over(self, what: str, found: int, limit: Amount | None) -> str | None:
        if limit is None:
            return None
        if limit.count is not None and found > limit.count:
            return f"{found} {what} since the last resume are over the limit of {limit.count}"
        if limit.share is None or self.batches < self.limits.first_batches or self.seen.read == 0:
            return None
        if found > limit.share * self.seen.read:
            share = 100 * found / self.seen.read
            return (
                f"{found} {what} in {self.seen.read} rows read since the last resume are {share:.2f}%, "
                f"over the limit of {limit.share * 100:f}%"
            )
        return None
