"""The daily inspection: connections, versions, clocks, disk, the log's chain, runs that nobody drives."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from migrate.engine.databases import source_spec_of
from migrate.engine.options import RunOptions
from migrate.engine.summary import summarise
from migrate.errors import MigrateError
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import read_lease
from migrate.ledger.log import seal, seal_others, verify_log
from migrate.ledger.runs import Run, all_runs, now_ms
from migrate.ledger.scratch_tables import tidy_scratch_tables
from migrate.mapping.model import Mapping
from migrate.mapping.reader import read_mapping
from migrate.stores.opening import open_present_target, open_source
from migrate.stores.urls import dialect_of, parse_url, redacted, sqlite_path

CLOCK_SECONDS = 5.0
"""Difference between two clocks that a person should know of: far above network delay, far below any overlap window."""

DISK_BYTES = 2**30

Level = Literal["ok", "finding"]


@dataclass(frozen=True, slots=True)
class Inspection:
    """One thing that was looked at. A `finding` needs a person; `detail` says what was seen, `next_step` what to do."""

    level: Level
    what: str
    detail: str
    next_step: str | None = None


def doctor(paths: Sequence[Path], options: RunOptions) -> list[Inspection]:
    """Inspect the databases of these mappings, or of `options.target`. Every trouble is a finding, none ends the inspection."""
    found: list[Inspection] = []
    targets: dict[str, None] = {}
    if options.target is not None:
        targets[options.target] = None
    for path in paths:
        mapping = read_mapping(path)
        found += _look(f"source of {mapping.name}", partial(_source, mapping, options))
        url = options.target or mapping.target.url
        if url is not None:
            targets[url] = None
    for url in targets:
        found += _look(f"target {redacted(url)}", partial(_target, url, options))
    return found


def _look(what: str, inspect: Callable[[], Iterator[Inspection]]) -> list[Inspection]:
    found: list[Inspection] = []
    try:
        found.extend(inspect())
    except MigrateError as error:
        found.append(Inspection("finding", what, error.message, error.next_step))
    return found


def _source(mapping: Mapping, options: RunOptions) -> Iterator[Inspection]:
    what = f"source of {mapping.name}"
    spec = source_spec_of(mapping, options)
    store = open_source(spec)
    reader = store.reader()
    try:
        versions = ", ".join(f"{name} {value}" for name, value in sorted(store.fingerprint().items()))
        yield Inspection("ok", what, f"can be read: {spec.relation}, {len(store.shape.columns)} columns; {versions}")
        if spec.files is None:
            yield _clock(what, datetime.fromisoformat(reader.now()).replace(tzinfo=UTC).timestamp())
    finally:
        reader.close()


def _target(url: str, options: RunOptions) -> Iterator[Inspection]:
    what = f"target {redacted(url)}"
    store = open_present_target(url, options.ledger_schema)
    try:
        ledger = Ledger(store, options.ledger_schema)
        versions = ", ".join(f"{name} {value}" for name, value in sorted(store.fingerprint().items()))
        yield Inspection("ok", what, f"can be reached: {versions}")
        yield _clock(what, now_ms(ledger) / 1000)
        yield from _disk(what, url)
        if not ledger.exists():
            yield Inspection("ok", what, "has no ledger yet: nothing was run into it")
            return
        yield from _look(what, partial(_seal, what, ledger))
        yield from _chain(what, ledger)
        yield from _runs(what, ledger)
        yield from _look(what, partial(_scratch_tables, what, ledger))
    finally:
        store.close()


def _clock(what: str, theirs: float) -> Inspection:
    apart = theirs - time.time()
    if abs(apart) > CLOCK_SECONDS:
        return Inspection(
            "finding",
            what,
            f"its clock is {apart:+.0f} s from this machine's",
            "set the clocks (NTP) before relying on times",
        )
    return Inspection("ok", what, f"its clock agrees with this machine's within {CLOCK_SECONDS:.0f} s")


def _disk(what: str, url: str) -> Iterator[Inspection]:
    parsed = parse_url(url)
    path = sqlite_path(parsed) if dialect_of(parsed) == "sqlite" else None
    if path is None:
        return
    free = shutil.disk_usage(path.resolve().parent).free
    if free < DISK_BYTES:
        yield Inspection("finding", what, f"{free / 2**20:.0f} MiB are free on its disk", "make room before the run")
    else:
        yield Inspection("ok", what, f"{free / 2**30:.0f} GiB are free on its disk")


def _seal(what: str, ledger: Ledger) -> Iterator[Inspection]:
    """Seal what a process committed before it was killed; who lives seals it himself."""
    idle = [run for run in all_runs(ledger) if not _is_driven(ledger, run)]
    sealed = sum(seal(ledger, run.run) for run in idle) + seal_others(ledger)
    if sealed:
        yield Inspection("ok", what, f"ledger log: {sealed} entries that nobody had sealed are sealed now")


def _scratch_tables(what: str, ledger: Ledger) -> Iterator[Inspection]:
    """Drop those that a check of a backup left since it was killed; name those of which that is not certain."""
    for each in tidy_scratch_tables(ledger):
        if each.state == "dropped":
            yield Inspection("ok", what, f"scratch table {each.name}: dropped now, its check was killed ({each.owner})")
        elif each.state == "used":
            yield Inspection("ok", what, f"scratch table {each.name}: a check of a backup is at work ({each.owner})")
        else:
            whose = "the log knows no check that made it" if each.owner is None else f"made by {each.owner}"
            why = "" if each.why is None else f"; {each.why}"
            yield Inspection(
                "finding",
                what,
                f"scratch table {each.name} is left: {whose}{why}",
                f"if no check of a backup is at work: {each.statement}",
            )


def _is_driven(ledger: Ledger, run: Run) -> bool:
    holding = read_lease(ledger, run.mapping)
    return holding is not None and holding.live and holding.run == run.run


def _chain(what: str, ledger: Ledger) -> Iterator[Inspection]:
    verdict = verify_log(ledger)
    for finding in verdict.findings[:10]:
        yield Inspection("finding", what, f"ledger log, {finding}", "migrate ledger verify")
    if not verdict.findings:
        yield Inspection("ok", what, f"ledger log: {verdict.seals} seals over {verdict.entries} entries hold")


def _runs(what: str, ledger: Ledger) -> Iterator[Inspection]:
    for summary in (summarise(ledger, run) for run in all_runs(ledger)):
        name = f"{summary.mapping}, run {summary.run}"
        counts = summary.counts
        if not counts.adds_up:
            yield Inspection("finding", what, f"{name}: its counts do not add up", "migrate ledger show")
        if summary.state in {"interrupted", "failed", "paused", "rolling_back"}:
            why = f": {summary.reason}" if summary.reason else ""
            yield Inspection(
                "finding", what, f"{name} is {summary.state}{why}", "go on with it: migrate status shows how"
            )
        else:
            yield Inspection(
                "ok", what, f"{name} is {summary.state}: {counts.read:,} read, {counts.rejected:,} rejected"
            )
