"""How a run stands, as the ledger tells it: the value behind `status` and behind the JSON of `run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrate.checksum.set_digest import SetDigest
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.lease import Holding, read_lease
from migrate.ledger.log import read_events
from migrate.ledger.runs import (
    Entry,
    Pass,
    Run,
    now_ms,
    read_entries,
    read_passes,
    read_ranges,
    total,
)
from migrate.ledger.standing import open_ranges

_BEGINNINGS = frozenset({"begin", "resume", "rollback", "restore"})
_ENDING = frozenset({"rolling_back", "rolled_back"})
"""States in which nothing is to be done again."""
_BY_OPERATORS = frozenset({"pause", "resume-allowed", "throttle"})


@dataclass(frozen=True, slots=True)
class PassSummary:
    """One pass of a run."""

    number: int
    kind: str
    counts: Counts
    planned: int
    done: int
    ended: bool


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run with all its passes.

    `planned` batches are those whose ranges are known; `all_known` tells whether there will be more. `seconds` is the time in which
    a process worked on it, over all attempts. `grouped` names the targets that have `one_row_per`. `reopened` batches were taken back, and
    no pass has begun with them again.
    """

    mapping: str
    run: str
    state: str
    reason: str | None
    fingerprint: str
    counts: Counts
    passes: tuple[PassSummary, ...]
    digests: dict[str, str]
    seconds: float
    rows_per_second: int
    recent_rows_per_second: float | None
    all_known: bool
    rows_expected: int | None
    grouped: frozenset[str]
    holder: str | None
    throttle_rows: int | None
    reopened: int = 0

    @property
    def planned(self) -> int:
        """Batches with a known range, over all passes, and those that are to be done once more."""
        return sum(each.planned for each in self.passes) + self.reopened

    @property
    def done(self) -> int:
        """Committed batches, over all passes."""
        return sum(each.done for each in self.passes)

    def to_json(self) -> dict[str, object]:
        """The entry that INTERFACE promises, and what goes beyond it: reason, fingerprint, each pass."""
        return {
            "mapping": self.mapping,
            "run": self.run,
            "state": self.state,
            "reason": self.reason,
            "fingerprint": self.fingerprint,
            "rows": _rows(self.counts),
            "warnings": self.counts.warnings,
            "targets": {
                name: counts.to_json(grouped=name in self.grouped)
                for name, counts in sorted(self.counts.targets.items())
            },
            "batches": {"planned": self.planned, "done": self.done},
            "passes": len(self.passes),
            "by_pass": [
                {
                    "pass": each.number,
                    "kind": each.kind,
                    "rows": _rows(each.counts),
                    "batches": {"planned": each.planned, "done": each.done},
                }
                for each in self.passes
            ],
            "digests": self.digests,
            "seconds": round(self.seconds, 3),
            "rows_per_second": self.rows_per_second,
        }


def summarise(ledger: Ledger, run: Run, pass_no: int | None = None) -> RunSummary:
    """Read one run from the ledger, or what one pass of it did."""
    entries = [each for each in read_entries(ledger, run.run) if pass_no in {None, each.pass_no}]
    passes = [each for each in read_passes(ledger, run.run) if pass_no in {None, each.number}]
    holding = read_lease(ledger, run.mapping)
    counts = total(entries)
    seconds = _seconds(ledger, run, entries, holding)
    ranges = {each.number: read_ranges(ledger, run.run, each.number, ()) for each in passes}
    full = [each.number for each in passes if each.kind == "full"]
    mine = holding if holding is not None and holding.run == run.run else None
    return RunSummary(
        mapping=run.mapping,
        run=run.run,
        state=_state(run, mine),
        reason=(mine.steering.pause_reason if mine else None) or run.reason,
        fingerprint=run.fingerprint,
        counts=counts,
        passes=tuple(
            _pass(each, entries, len(ranges[each.number]), newest=each.number == max(full, default=0))
            for each in passes
        ),
        digests=_digests(entries),
        seconds=seconds,
        rows_per_second=round(counts.read / seconds) if seconds > 0 else 0,
        recent_rows_per_second=_recent_rate(entries),
        all_known=any(ranges[number] and ranges[number][-1].upto is None for number in full),
        rows_expected=run.settings.get("rows_expected"),
        grouped=frozenset(run.settings.get("grouped", ())),
        holder=str(mine.holder) if mine and mine.live else None,
        throttle_rows=mine.steering.throttle_rows if mine else None,
        reopened=0 if pass_no is not None or run.state in _ENDING else _reopened(ledger, run.run, full, entries),
    )


def _reopened(ledger: Ledger, run: str, full: Sequence[int], entries: Sequence[Entry]) -> int:
    """How many ranges are open that the newest full pass does not have to do, or has done."""
    newest = max(full, default=0)
    done = {entry.range_no for entry in entries if entry.pass_no == newest}
    planned = {each.number for each in read_ranges(ledger, run, newest, ())}
    return sum(number not in planned or number in done for number in open_ranges(ledger, run))


def _rows(counts: Counts) -> dict[str, int]:
    return {
        "read": counts.read,
        "mapped": counts.mapped,
        "filtered": counts.filtered,
        "rejected": counts.rejected,
        "pending": counts.pending,
    }


def _pass(each: Pass, entries: Sequence[Entry], ranges: int, *, newest: bool) -> PassSummary:
    mine = [entry for entry in entries if entry.pass_no == each.number]
    done = sum(entry.range_no >= 0 for entry in mine)
    # Only a full pass plans by ranges, and what it left open a newer one has to do; what another has to do shows itself while it is done.
    planned = ranges if each.kind == "full" and newest else done
    return PassSummary(each.number, each.kind, total(mine), planned, done, each.ended_ms is not None)


def _state(run: Run, holding: Holding | None) -> str:
    """A run that says it is running while nobody holds it was interrupted."""
    if run.state == "running" and (holding is None or not holding.live):
        return "interrupted"
    if run.state == "interrupted" and holding is not None and holding.steering.pause_reason is not None:
        return "paused"
    return run.state


def _seconds(ledger: Ledger, run: Run, entries: Sequence[Entry], holding: Holding | None) -> float:
    """Time in which some process worked on the run: each attempt from its begin to its last word, waiting for people left out."""
    events = [
        (event["at_ms"], event["kind"] in _BEGINNINGS)
        for event in read_events(ledger, run.run)
        if event["kind"] not in _BY_OPERATORS
    ]
    marks = sorted(events + [(entry.applied_ms, False) for entry in entries])
    if run.state == "running" and holding is not None and holding.run == run.run and holding.live:
        marks.append((now_ms(ledger), False))
    worked, began, last = 0, run.created_ms, run.created_ms
    for at, begins in marks:
        if begins:
            worked, began = worked + last - began, at
        last = at
    return (worked + last - began) / 1000


def _recent_rate(entries: Sequence[Entry]) -> float | None:
    """Rows per second over the last batches of the newest pass, the honest basis of an ETA; None until two are there."""
    newest = max((entry.pass_no for entry in entries), default=0)
    recent = [entry for entry in entries if entry.range_no >= 0 and entry.pass_no == newest][-20:]
    span = recent[-1].applied_ms - recent[0].applied_ms if len(recent) > 1 else 0
    if span <= 0:
        return None
    return sum(entry.counts.read for entry in recent[1:]) * 1000 / span


def _digests(entries: Sequence[Entry]) -> dict[str, str]:
    sums: dict[str, SetDigest] = {}
    for entry in entries:
        for name, text in entry.digests.items():
            sums[name] = sums.get(name, SetDigest()) + SetDigest.parse(text)
    for entry in entries:
        for name, text in entry.removed.items():
            sums[name] = sums[name] - SetDigest.parse(text)
    return {name: str(digest) for name, digest in sorted(sums.items())}
