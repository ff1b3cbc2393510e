"""`verify`: is the target what the mapping makes of the source? Read and computed anew, to the last row, column and cause.

1. Both sides are scanned once, at the same time; rows are summed up by the first bits of their key digest, under a nonce.
2. Where sums differ, both sides are scanned again for the rows of those buckets, which are compared by key and content.
3. What the replay itself explains is no difference. What could not be looked at is *not verified*, and never equal.
4. While both sides still change (`live`), all of it again for what differs, until nothing settles any more.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run
from migrate.errors import EnvironmentFault, InputError
from migrate.mapping.totals import compile_totals
from migrate.stores.urls import parse_url, redacted
from migrate.units import count_text, rows_text
from migrate.verify.both import Watch, unwatched, walk_both
from migrate.verify.claims import Standing
from migrate.verify.compare import Compared, Comparison, Listing, MappingRules, Subject
from migrate.verify.contests import Contests
from migrate.verify.findings import Evidence, Findings
from migrate.verify.halves import can_be_halved, half_written
from migrate.verify.ledger import Log, log_of
from migrate.verify.live import Keys, Looked, settled
from migrate.verify.notes import Note, NotVerified
from migrate.verify.pieces import SOURCE, Pieces, pieces_of
from migrate.verify.replay import Replay
from migrate.verify.rows import Kept, Parts
from migrate.verify.scans import Keep, SourceScan, TargetScan, attending, kept_again, kept_nowhere, let_meet
from migrate.verify.second_driver import second_opinion
from migrate.verify.source_totals import SourceTotals
from migrate.verify.spread import at_once_here
from migrate.verify.sql_scan import Scan
from migrate.verify.state import StateAt
from migrate.verify.stored import Stored
from migrate.verify.totals import Totals
from migrate.verify.units import Unit, UnitFields, UnitSet, with_units
from migrate.verify.verdict import Coverage, Verification, unsteady
from migrate.write.target import WriteTarget

MOST_DIFFERENCES = 100


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """`source`, `target`, `ledger_schema` as for a run. `most_differences`: how many are listed; counts are exact all the same.

    `scan`: who sums up the rows of the target, this process or the database. `live`: both sides still change. `state`: a file that keeps what is
    summed up, for the case that the verification is killed. `only_keys`, by target: the digests of
    those keys whose stored rows are looked at, where the source is a sample; default: all within the scope.
    """

    source: str | None = None
    target: str | None = None
    ledger_schema: str | None = None
    most_differences: int = MOST_DIFFERENCES
    allow_empty: bool = False
    scan: Scan = "auto"
    live: bool = False
    state: StateAt | None = None
    only_keys: Mapping[str, pa.Array] | None = None


def verify(path: Path, options: VerifyOptions, watch: Watch = unwatched) -> Verification:
    """Compare the mapped source with the target. `watch` hears how far it is, and may raise to stop.

    Raises MappingErrors or InputError for a mapping that cannot be meant, EnvironmentFault when a database is out of reach at the start. What
    fails later makes the verdict NOT_VERIFIED.
    """
    run_options = RunOptions(source=options.source, target=options.target, ledger_schema=options.ledger_schema)
    (plan,) = plan_run([path], run_options)
    return verify_plan(plan, options, watch)


def verify_plan(
    plan: Plan, options: VerifyOptions, watch: Watch = unwatched, keep: Keep = kept_nowhere
) -> Verification:
    """As `verify`, for a mapping that is planned already; URLs of `options` are those of the plan. `keep` gets the very rows that are verified."""
    if options.live and options.state is not None:
        raise InputError(
            "--state belongs to sides that stand still", next_step="leave out --live, or verify without --state"
        )
    if options.live:
        return settled(lambda keys: _Verifier(plan, options, watch, keep, keys).look())
    return _Verifier(plan, options, watch, keep).look().verification


@dataclass(frozen=True, slots=True)
class _Opened:
    """Both sides, and what is kept of them."""

    replay: Replay
    own: SourceTotals
    stored: dict[str, Stored]
    pieces: Pieces


class _Verifier:
    """One look at both sides; `only` are the keys that differed before, and no others are reported then."""

    def __init__(self, plan: Plan, options: VerifyOptions, watch: Watch, keep: Keep, only: Keys | None = None) -> None:
        self._plan = plan
        self._keep = keep
        self._only = only
        self._options = options
        self._watch = watch
        self._state = None if options.state is None else options.state.open(plan)
        self._nonce = secrets.token_hex(16) if self._state is None else self._state.nonce
        self._findings = Findings(plan, options.allow_empty)
        self._refused: AbstractSet[Unit] = frozenset()
        self._log = Log()
        versions = ((target.name, target.version_field) for target in plan.targets)
        versioned = tuple((name, version) for name, version in versions if version is not None)
        self._fields = UnitFields(plan.program.unit_columns, versioned)

    def look(self) -> Looked:
        """Scan, compare, explain, and say what that means."""
        clock = time.monotonic()
        compared: dict[str, Compared] | None = None
        log = self._log = log_of(self._plan)
        self._findings.add_log(log)
        with ExitStack() as open_now:
            replay = open_now.enter_context(closing(Replay(self._plan)))
            began = replay.now()
            stored = {
                target.name: open_now.enter_context(closing(self._stored(target))) for target in self._plan.targets
            }
            totals = compile_totals(self._plan.mapping, self._plan.target_shapes)
            # Who keeps the rows or chooses among them has to see them.
            seen = self._keep is not kept_nowhere or self._options.only_keys is not None
            how = "stream" if seen else self._options.scan
            scan = TargetScan(self._plan, self._nonce, totals, how, self._keep)
            target = open_now.enter_context(closing(scan))
            pieces = pieces_of(self._state, self._plan, replay, stored)
            chosen = self._scan(lambda: None, lambda: target.choose(stored, pieces))
            own = SourceTotals(self._plan, totals, replay.sums_reader())
            source = open_now.enter_context(
                closing(SourceScan(self._plan, self._nonce, totals, target.sorting, own.read()))
            )
            if self._state is None:
                # What is kept of one side has to be whole by itself.
                let_meet(source, target, self._nonce)
            said: tuple[Note, ...] = ()
            if chosen and self._sum_up(_Opened(replay, own, stored, pieces), source, target):
                try:
                    said = self._own_sums(own, source, replay)
                    compared = self._rows(replay, stored, source, target)
                except EnvironmentFault as error:
                    self._findings.not_verified.append(NotVerified(Note.of("rows_that_differ"), error.message))
                self._findings.conclude(Evidence(source, target, compared, self._refused, log))
                if self._state is not None and compared is not None:
                    self._state.remove()
            coverage = (self._source_coverage(source, said), *target.coverage)
        keys = None if compared is None else {name: found.keys for name, found in compared.items() if found.keys}
        return Looked(self._verification(log, began, time.monotonic() - clock, coverage), keys)

    def _stored(self, target: WriteTarget) -> Stored:
        keys = self._options.only_keys
        return Stored(target, self._plan.target_url, None if keys is None else keys[target.name])

    def _sum_up(self, opened: _Opened, source: SourceScan, target: TargetScan) -> bool:
        """The first walk over both sides; false, with the reason noted, when one of them could not be walked to its end."""

        # Whatever keeps one side from being walked, the other one does not wait for it.
        def walk_source() -> None:
            with attending(source.meetings, "source"):
                asking = opened.own.asked_ahead(opened.replay, self._watch)
                with nullcontext(self._watch) if opened.pieces.found(SOURCE) is not None else asking as watch:
                    source.walk(opened.replay, watch, pool, opened.pieces)

        def walk_target() -> None:
            with attending(target.meetings, "target"):
                target.walk(opened.stored, self._watch, pool, opened.pieces)

        with ThreadPoolExecutor(2 * at_once_here(), "verify-rows") as pool:
            return self._scan(walk_source, walk_target)

    def _own_sums(self, own: SourceTotals, source: SourceScan, replay: Replay) -> tuple[Note, ...]:
        """What the source was asked about its own sums; what these say against the reading is noted."""
        answers = own.answers(source.read, source.totals)
        if answers.agree:
            return tuple(own.said(answers, source.read))
        if own.again(replay, self._watch) != answers:
            self._findings.not_verified += unsteady(("source",), Note.of("the_target"))
            return (Note.of("not_asked_moved"),)
        doubts = own.differences(answers)
        self._findings.not_verified += [NotVerified(Note.of("the_source"), each) for each in doubts]
        return tuple(answers.notes)

    def _source_coverage(self, source: SourceScan, said: tuple[Note, ...]) -> Coverage:
        """How the source was read; what a second driver says against it is noted."""
        seen = Coverage("source", self._plan.source.relation, "stream", "replayed", notes=said)
        seen = kept_again(seen) if source.kept else seen
        opinion = second_opinion(self._plan, source.sample)
        if opinion is None:
            return seen
        if opinion.differs is not None:
            self._findings.not_verified.append(NotVerified(Note.of("the_source"), opinion.differs))
        if opinion.unable is not None:
            return replace(seen, detail=Note.of("second_unable", why=opinion.unable))
        return replace(
            seen, detail=Note.of("second_read", rows=rows_text(opinion.rows), count=count_text(opinion.rows))
        )

    def _scan(self, source: Callable[[], None], target: Callable[[], None]) -> bool:
        """Walk both sides; false, with the reason noted, when one of them could not be walked to its end."""
        faults = walk_both(source, target)
        self._findings.not_verified += faults
        return not faults

    def _rows(
        self, replay: Replay, stored: dict[str, Stored], source: SourceScan, target: TargetScan
    ) -> dict[str, Compared] | None:
        """Compare the rows of all buckets that differ; None when they could not be read a second time."""
        with ExitStack() as folders:
            parts = {
                each.name: folders.enter_context(
                    Parts(source.sums[each.name], target.sums[each.name], target.unread[each.name].buckets)
                )
                for each in self._plan.targets
            }
            if not any(each.count for each in parts.values()):
                return {}
            if not self._scan(lambda: self._keep_source(replay, parts), lambda: self._keep_target(stored, parts)):
                return None
            standing = Contests(self._plan, self._fields, replay, self._nonce).standing(parts)
            self._refused = standing.refused
            return self._compare(parts, standing, replay, source.totals)

    def _compare(
        self, parts: dict[str, Parts], standing: Standing, replay: Replay, totals: Totals
    ) -> dict[str, Compared]:
        """Compare what should stand in each target with what does."""
        refused = UnitSet(standing.refused, self._fields.columns)
        halves: dict[str, pa.Table] = {}
        if refused and can_be_halved(self._plan):
            halves = half_written(self._plan, refused, replay, parts, self._fields)
        found = {}
        for each in self._plan.targets:
            if parts[each.name].count or each.name in halves:
                comparison = self._comparison(each, refused, standing, totals)
                found[each.name] = comparison.compare(parts[each.name])
                if each.name in halves:
                    comparison.add_halves(halves[each.name])
        return found

    def _comparison(self, target: WriteTarget, refused: UnitSet, standing: Standing, totals: Totals) -> Comparison:
        rules = MappingRules(
            target.name,
            self._fields,
            refused,
            standing.holders,
            self._log.rejects,
            lambda rows: totals.add(target.name, rows, -1),
            lambda rows: totals.add(target.name, rows),
        )
        subject = Subject(target.contract, target.key, target.version_field)
        only = None if self._only is None else self._only.get(target.name, frozenset())
        return Comparison(subject, rules, Listing(self._options.most_differences, self._options.live, only))

    def _keep_source(self, replay: Replay, parts: dict[str, Parts]) -> None:
        for mapped in replay.chunks():
            self._watch("source", mapped.rows_read)
            for target in self._plan.targets:
                if parts[target.name].count:
                    rows = with_units(mapped, target.name, self._fields)
                    parts[target.name].encode("source", rows, target.contract, self._nonce)

    def _keep_target(self, stored: dict[str, Stored], parts: dict[str, Parts]) -> None:
        for target in self._plan.targets:
            if parts[target.name].count:
                for chunk in stored[target.name].chunks():
                    self._watch("target", chunk.rows.num_rows)
                    kept: tuple[tuple[Kept, pa.Table], ...] = (("target", chunk.rows), ("unread", chunk.unread))
                    for side, rows in kept:
                        parts[target.name].encode(side, rows, target.contract, self._nonce)

    def _verification(self, log: Log, began: str, seconds: float, coverage: tuple[Coverage, ...]) -> Verification:
        found = self._findings
        return Verification(
            verdict=found.verdict,
            rules=tuple(found.rules),
            not_verified=tuple(found.not_verified),
            targets=found.targets,
            totals=tuple(found.totals),
            groups=found.groups,
            rejects=found.rejects,
            mapping=self._plan.name,
            run=log.run,
            source=_source_of(self._plan),
            target=redacted(parse_url(self._plan.target_url)),
            nonce=self._nonce,
            began=began,
            seconds=seconds,
            coverage=coverage,
            run_state=log.state,
            unfinished=log.trouble,
        )


def _source_of(plan: Plan) -> str:
    """The source as people know it: database and table, or files."""
    if plan.source.url is None:
        return plan.source.relation
    return f"{redacted(parse_url(plan.source.url))} · {plan.source.relation}"
