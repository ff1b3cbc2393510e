"""Rehearse mappings on a copy of their target: run, verify, take back, look whether all is as it was.

copy the tables that the mappings write, point at or look up (or take the database that the user names)
digest every row within the scopes
run and verify each mapping, all of its source or a sample; take all back, the last first
digest again: the same as before
enter what was found, and how long it took, into the log of the target itself

Nothing of the target changes but its log. A rehearsal that finds something wrong is entered as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from migrate.backup.tables import kept_rows
from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import key_digests, row_digests
from migrate.engine.databases import as_typed
from migrate.engine.events import BatchDone, Event, Listener, Notice, PhaseStarted
from migrate.engine.loop import WORKERS
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run, refuse_unplanned
from migrate.engine.preflight import in_key_order
from migrate.engine.run import run
from migrate.engine.start import begins_anew
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary
from migrate.errors import InputError, Interrupted, Paused, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.log import REHEARSED, REHEARSING, add_event, read_events, seal
from migrate.ledger.runs import current_run, new_run_id, now_ms
from migrate.ledger.tables import ledger_tables
from migrate.rehearsal.estimate import Pace
from migrate.rehearsal.sample import Wanted, keys_of, samples_of
from migrate.rollback.request import Request
from migrate.rollback.rollback import rollback
from migrate.stores.copies import copied
from migrate.stores.opening import open_present_target, open_target
from migrate.stores.port import TargetStore
from migrate.stores.urls import expand, parse_url, redacted
from migrate.values import SourceSample, TableShape
from migrate.verify.verdict import Verdict, Verification
from migrate.verify.verify import VerifyOptions, verify_plan


@dataclass(frozen=True, slots=True)
class Asked:
    """`on`: the URL of a copy that the user made (default: one is made here). `sample`: how much of each source (default: all)."""

    on: str | None = None
    sample: Wanted | None = None


@dataclass(slots=True)
class Rehearsed:
    """What the rehearsal of one mapping came to. `restored`: whether the rollback left every row as it was; `seconds` by step.

    `paces`: how the rows of a sample went, by step. `place`: the copy, as people know it. `sample`: the part of the source that was rehearsed, None for all. `rest_untouched`: whether the run left the rows
    within the scope as they were that are none of the sample, which its verification does not look at.
    """

    rehearsal: str
    plan: Plan = field(repr=False)
    place: str
    summary: RunSummary
    verification: Verification
    sample: SourceSample | None = None
    rest_untouched: bool = True
    restored: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict, repr=False)

    @property
    def verdict(self) -> Verdict:
        """That of the verification of the run."""
        return self.verification.verdict

    @property
    def exit_code(self) -> int:
        """0 as it should be, 1 differences or a rollback that left another state, 6 not verified."""
        return self.verification.exit_code if self.restored and self.rest_untouched else 1

    @property
    def full_rows(self) -> int:
        """How many rows the whole source has."""
        return self.summary.counts.read if self.sample is None else self.sample.of

    @property
    def paced_rows(self) -> int:
        """From how many of its rows a sample tells what all would take; 0 where these are too few."""
        return min(self.paces[step].rows for step in PACED)

    @property
    def full_seconds(self) -> dict[str, float] | None:
        """What each step would take with all of the source, by the pace of the sample; None where that has too few rows.

        Looking again goes by the rows that are in the target already.
        """
        if self.sample is None:
            return self.seconds
        full = {step: self.paces[step].at_size(self.seconds[step], self.full_rows) for step in PACED}
        told = {step: value for step, value in full.items() if value is not None}
        return {**self.seconds, **told} if len(told) == len(PACED) else None

    def to_json(self) -> dict[str, Any]:
        """The evidence: as it is entered into the log, and printed."""
        run_json = self.summary.to_json()
        return {
            "mapping": self.plan.name,
            "rehearsal": self.rehearsal,
            "on": self.place,
            "fingerprint": self.plan.fingerprint,
            "rows": run_json["rows"],
            "targets": run_json["targets"],
            "digests": run_json["digests"],
            "verdict": self.verdict,
            "restored": self.restored,
            "whole": self.sample is None,
            "sample": None if self.sample is None else self._sample_json(self.sample),
            "seconds": _rounded(self.seconds),
            "at_full_size": self._full_json(),
        }

    def _full_json(self) -> dict[str, Any]:
        seconds = self.full_seconds
        return {
            "rows": self.full_rows,
            "seconds": None if seconds is None else _rounded(seconds),
            "from_rows": self.summary.counts.read if self.sample is None else self.paced_rows,
        }

    def _sample_json(self, sample: SourceSample) -> dict[str, Any]:
        return {
            "rows": self.summary.counts.read,
            "of": self.full_rows,
            "ranges": len(sample.ranges),
            "rest_untouched": self.rest_untouched,
        }


PACED: Final = ("run", "verify", "rollback")
"""The steps that take longer with more rows of the source."""


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}


def rehearse(
    paths: Sequence[Path], options: RunOptions, asked: Asked, *, stop: StopToken, listen: Listener
) -> list[Rehearsed]:
    """Rehearse these mappings together, in the order of their foreign keys.

    Raises:
        InputError: a mapping or URL is wrong, the tables cannot be copied here, or there is no sample of a source without a key.
        StateError: refused as `run` would be, the copy is not like the target, or has a run of its own that would be taken back.
        Paused, Interrupted, EnvironmentFault: as `run`; there is no evidence then.
    """
    plans = plan_run(paths, options)
    for plan in plans:
        refuse_unplanned(plan)
    url = _one_target(plans)
    store = open_target(url, options.ledger_schema)
    try:
        ledger = Ledger(store, options.ledger_schema)
        ledger.create()
        rehearsal = new_run_id(now_ms(ledger))
        samples = {} if asked.sample is None else samples_of(plans, asked.sample)
        with _place(ledger, plans, rehearsal, asked.on, listen) as place:
            trial = _Trial(replace(options, target=place, ledger_schema=None, no_backup=True), samples, stop, listen)
            where = "a copy beside the target" if asked.on is None else redacted(parse_url(asked.on))
            done = trial.rehearse(rehearsal, plans, where)
        for each in done:
            add_event(ledger, each.plan.name, rehearsal, REHEARSED, each.to_json())
        seal(ledger, rehearsal)
        return done
    finally:
        store.close()


def _one_target(plans: Sequence[Plan]) -> str:
    urls = {parse_url(plan.target_url): plan.target_url for plan in plans}
    if len(urls) > 1:
        raise InputError(
            "these mappings write into different databases", next_step="rehearse those of one target at a time"
        )
    return next(iter(urls.values()))


@contextmanager
def _place(ledger: Ledger, plans: Sequence[Plan], name: str, on: str | None, listen: Listener) -> Iterator[str]:
    """The URL of the copy on which the rehearsal takes place."""
    if on is not None:
        place = expand(on)
        _require_another(ledger, plans[0].name, name, place)
        yield place
        return
    store = ledger.store
    tables = _tables(store, plans)
    listen(Notice(plans[0].name, "info", f"rehearsal: copying {', '.join(tables)}"))
    records = [table.name for table in ledger_tables().metadata.sorted_tables]
    with copied(store, plans[0].target_url, tables, name.replace("-", "_").lower(), records) as place:
        yield place


def _require_another(ledger: Ledger, mapping: str, rehearsal: str, place: str) -> None:
    """Raise InputError where `place` is the target itself. One database has many URLs: what is logged here must not be seen there."""
    add_event(ledger, mapping, rehearsal, REHEARSING, {"on": redacted(parse_url(place))})
    seal(ledger, rehearsal)
    schema = ledger.tables.metadata.schema
    store = open_present_target(place, schema)
    try:
        there = Ledger(store, schema)
        if there.exists() and read_events(there, rehearsal):
            raise InputError("--on names the target itself", next_step="name a copy of it, or leave --on out")
    finally:
        store.close()


def _tables(store: TargetStore, plans: Sequence[Plan]) -> list[str]:
    """All tables that the mappings write, point at, or look up; parents first."""
    wanted = [name for plan in plans for name in plan.target_shapes]
    wanted += [each.target_table for plan in plans for each in plan.mapping.lookups.values() if each.target_table]
    shapes: dict[str, TableShape] = {}
    while wanted:
        name = wanted.pop()
        shape = None if name in shapes else store.describe(name)
        if shape is not None:
            shapes[name] = shape
            wanted += [key.parent for key in shape.foreign_keys]
    return list(in_key_order(shapes))


_STOPPED: Final = (
    "only the copy was written, and nothing is rehearsed: mend the rows or the mapping, or raise its `limits`, and rehearse again;"
    " a share of few rows is soon reached, so a larger sample may do"
)


class _Trial:
    """Run, verify, take back, on the copy that `options` name as target."""

    def __init__(
        self, options: RunOptions, samples: Mapping[str, SourceSample], stop: StopToken, listen: Listener
    ) -> None:
        self._options = replace(options, samples=samples)
        self._stop = stop
        self._heard = listen
        self._seconds: dict[str, dict[str, float]] = {}
        self._paces: dict[str, dict[str, Pace]] = {}
        self._pace = Pace()
        self._settling: float | None = None

    def rehearse(self, rehearsal: str, originals: Sequence[Plan], place: str) -> list[Rehearsed]:
        """All mappings forth, then all of them back."""
        plans = plan_run([plan.mapping.path for plan in originals], self._options)
        _require_alike(originals, plans)
        for plan in plans:
            _require_new_run(plan, self._options)
        before = {plan.name: self._digests(plan) for plan in plans}
        done = [self._forth(rehearsal, plan, place) for plan in plans]
        for plan in reversed(plans):
            with self._timed(plan, "rollback"):
                rollback(plan.mapping.path, self._options, Request(), stop=self._stop, listen=self._listen)
        for each in done:
            with self._timed(each.plan, "verify_again"):
                each.restored = self._digests(each.plan) == before[each.plan.name]
        return done

    def _forth(self, rehearsal: str, plan: Plan, place: str) -> Rehearsed:
        """Run and verify one mapping; of a sample, also whether what is none of it was left alone."""
        keys = keys_of(plan) if plan.name in self._options.samples else None
        rest = None if keys is None else self._digests(plan, keys)
        with self._timed(plan, "run"):
            summary = self._run(plan)
        with self._timed(plan, "verify"):
            found = verify_plan(plan, VerifyOptions(only_keys=keys), self._watch)
        return Rehearsed(
            rehearsal,
            plan,
            place,
            summary,
            found,
            self._options.samples.get(plan.name),
            rest is None or self._digests(plan, keys) == rest,
            seconds=self._seconds[plan.name],
            paces=self._paces[plan.name],
        )

    def _run(self, plan: Plan) -> RunSummary:
        try:
            (summary,) = run([plan.mapping.path], self._options, stop=self._stop, listen=self._listen)
        except (Paused, Interrupted) as stopped:
            # What a run says would be done to the target itself, where nothing was rehearsed yet.
            stopped.next_step = _STOPPED
            raise
        return summary

    def _digests(self, plan: Plan, but: Mapping[str, pa.Array] | None = None) -> dict[str, tuple[str, int]]:
        """By table: the set digest of its rows within the scope, all columns, and how many rows cannot be read. `but`: without rows of these keys."""
        contracts = {target.name: target.contract for target in plan.targets}
        found = {}
        for rows in kept_rows(plan.mapping, plan.target_url):
            total, unread = SetDigest(), 0
            for chunk in rows.chunks():
                inside, broken = rows.split(chunk)
                if but is not None:
                    keys = key_digests(inside, contracts[rows.table.name])
                    inside = inside.filter(pc.invert(pc.is_in(keys, value_set=but[rows.table.name])))
                self._watch("target", inside.num_rows)
                total = total + SetDigest.from_row_digests(row_digests(inside, rows.table.contract))
                unread += broken.num_rows
            found[rows.table.name] = (str(total), unread)
        return found

    def _listen(self, event: Event) -> None:
        now = time.monotonic()
        match event:
            case BatchDone():
                self._pace.add(now, event.counts.read)
            case PhaseStarted(phase="settle"):
                self._settling = now
            case PhaseStarted(phase="finish") if self._settling is not None:
                self._pace.settling, self._settling = now - self._settling, None
        self._heard(event)

    def _watch(self, side: str, rows: int) -> None:
        if side == "source":
            self._pace.add(time.monotonic(), rows)
        if self._stop.is_set:
            raise Interrupted("stopped before the end: nothing is rehearsed", next_step="run the same command again")

    @contextmanager
    def _timed(self, plan: Plan, step: str) -> Iterator[None]:
        self._listen(Notice(plan.name, "info", f"rehearsal: {step.replace('_', ' ')}"))
        self._pace = self._paces.setdefault(plan.name, {}).setdefault(step, Pace(self._options.workers or WORKERS))
        began = time.monotonic()
        yield
        self._seconds.setdefault(plan.name, {})[step] = time.monotonic() - began


def _require_alike(originals: Sequence[Plan], copies: Sequence[Plan]) -> None:
    """A rehearsal says something only about a target that decides the rows in the same way."""
    for original, copy in zip(originals, copies, strict=True):
        if original.fingerprint != copy.fingerprint:
            raise StateError(
                f"the copy is not like the target of {original.name}: its tables, keys or version differ (fingerprint {copy.fingerprint[:12]}, not {original.fingerprint[:12]})",
                next_step="make the copy anew, from the same version of the database",
            )


def _require_new_run(plan: Plan, options: RunOptions) -> None:
    """What is taken back in the end has to be what the rehearsal wrote: a copy that has the target's ledger too has its run."""
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        run = current_run(ledger, plan.name) if ledger.exists() else None
        if run is not None and not begins_anew(ledger, plan):
            raise StateError(
                f"the copy has run {run.run} of {plan.name}, which is {run.state.replace('_', ' ')}: the rehearsal would take that one back",
                where=redacted(plan.target_url),
                next_step=f"take it back there first: migrate rollback {as_typed(plan.mapping.path, options)}; or drop the ledger of the copy",
            )
    finally:
        store.close()
