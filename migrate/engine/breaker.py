"""Limits that pause a run at a batch border. Pure: counts in, a reason out."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrate.ledger.counts import Counts
from migrate.mapping.model import Amount, Limits


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Of a run that has a sample only: its batches, of which each may be small; rows of all, and of a batch of a run of all."""

    batches: int
    all_rows: int
    batch_rows: int


@dataclass(slots=True)
class Breaker:
    """Judges what this attempt has done since the last resume. `sample`: that is a sample, so what it is to show is whether a run of all would pause."""

    limits: Limits
    sample: SampleSize | None = None
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
            return self._told(f"{found} {what}", f"are over the limit of {limit.count}", "")
        if limit.share is None or self.seen.read == 0 or not self._share_counts():
            return None
        if found > limit.share * self.seen.read:
            share = 100 * found / self.seen.read
            return self._told(
                f"{found} {what} in {self.seen.read} rows read",
                f"are {share:.2f}%, over the limit of {limit.share * 100:f}%",
                " if the other rows are like these",
            )
        return None

    def _share_counts(self) -> bool:
        """Whether enough was read: the first batches, or in a sample as many rows as these would have, or all that it has."""
        first = self.limits.first_batches
        if self.sample is None:
            return self.batches >= first
        # Not before the end of a batch, whatever `first_batches` says.
        rows = max(first, 1) * self.sample.batch_rows
        enough = self.seen.read >= rows or self.batches >= self.sample.batches
        # A run of all that has not so many batches is never paused by a share.
        return enough and self.sample.all_rows > (first - 1) * self.sample.batch_rows

    def _told(self, found: str, over: str, supposed: str) -> str:
        if self.sample is None:
            return f"{found} since the last resume {over}"
        # A row whose parent is none of the sample is rejected here, and not where all rows are.
        missing = "" if self.seen.rejected == 0 else ", unless it is parents outside of the sample that are missing"
        return (
            f"{found} of the sample {over}: a run of all {self.sample.all_rows} rows would be paused{supposed}{missing}"
        )
