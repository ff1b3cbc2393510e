"""Runs, passes and key ranges as the ledger records them, and the counts summed from what was applied."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from migrate.errors import DataError
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts, targets_from_text
from migrate.stores.typed_keys import dump_key, load_key
from migrate.values import KeyRange

State = Literal["running", "paused", "interrupted", "failed", "complete", "rolling_back", "rolled_back"]
PassKind = Literal["full", "catch-up", "replay", "rollback", "restore"]


@dataclass(frozen=True, slots=True)
class Run:
    """One row of `migrate_run`. `settings` is what was fixed when the run began (see engine.plan)."""

    run: str
    mapping: str
    fingerprint: str
    epoch: int
    state: State
    reason: str | None
    created_ms: int
    changed_ms: int
    ended_ms: int | None
    source_start: str | None
    settings: dict[str, Any]
    mapping_text: str


@dataclass(frozen=True, slots=True)
class Pass:
    """One row of `migrate_pass`. `lookups`: digest of each table lookup as this pass first read it; `after_seq`: the newest batch when it began."""

    run: str
    number: int
    kind: PassKind
    started_ms: int
    ended_ms: int | None
    lookups: dict[str, str]
    after_seq: int


def new_run_id(now_ms: int) -> str:
    """A readable, sortable, unique name of a run: `20261124T101500-3f9c`."""
    moment = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    return f"{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def now_ms(ledger: Ledger) -> int:
    """The database's clock."""
    with ledger.reading() as connection:
        return int(connection.execute(sa.select(ledger.clock)).scalar_one())


def create_run(ledger: Ledger, run: Run, definition: dict[str, Any]) -> Run:
    """Record a new run, and return it as the ledger has it; the caller holds the lease of its mapping."""
    with ledger.writing() as connection:
        connection.execute(
            sa.insert(ledger.tables.run).values(
                run=run.run,
                mapping=run.mapping,
                fingerprint=run.fingerprint,
                epoch=run.epoch,
                state=run.state,
                created_ms=ledger.clock,
                changed_ms=ledger.clock,
                source_start=run.source_start,
                settings=_json(run.settings),
                definition=_json(definition),
                mapping_text=run.mapping_text,
            )
        )
    return _runs(ledger, ledger.tables.run.c.run == run.run)[0]


def read_run(ledger: Ledger, run: str) -> Run | None:
    """The run of that id, or None."""
    found = _runs(ledger, ledger.tables.run.c.run == run)
    return found[0] if found else None


def read_definition(ledger: Ledger, run: str) -> dict[str, Any]:
    """What decided the rows of a run when it began, or since its mapping was replaced."""
    table = ledger.tables.run
    with ledger.reading() as connection:
        text = connection.execute(sa.select(table.c.definition).where(table.c.run == run)).scalar_one()
    found: dict[str, Any] = json.loads(text)
    return found


def current_run(ledger: Ledger, mapping: str) -> Run | None:
    """The newest run of a mapping: the one that its lease names."""
    lease, run = ledger.tables.lease, ledger.tables.run
    named = sa.select(lease.c.run).where(lease.c.mapping == mapping).scalar_subquery()
    found = _runs(ledger, run.c.run == named)
    return found[0] if found else None


def all_runs(ledger: Ledger, mapping: str | None = None) -> list[Run]:
    """All runs, or those of one mapping, oldest first."""
    table = ledger.tables.run
    return _runs(ledger, sa.true() if mapping is None else table.c.mapping == mapping)


def _runs(ledger: Ledger, which: sa.ColumnElement[bool]) -> list[Run]:
    table = ledger.tables.run
    with ledger.reading() as connection:
        rows = (
            connection.execute(sa.select(table).where(which).order_by(table.c.created_ms, table.c.run)).mappings().all()
        )
    return [
        Run(
            row["run"],
            row["mapping"],
            row["fingerprint"],
            row["epoch"],
            row["state"],
            row["reason"],
            row["created_ms"],
            row["changed_ms"],
            row["ended_ms"],
            row["source_start"],
            json.loads(row["settings"]),
            row["mapping_text"],
        )
        for row in rows
    ]


def set_state(ledger: Ledger, run: str, state: State, reason: str | None = None) -> None:
    """Record how the run stands; only the lease holder calls this, with no batch in flight."""
    table = ledger.tables.run
    ended = ledger.clock if state == "complete" else sa.null()
    with ledger.writing() as connection:
        connection.execute(
            sa.update(table)
            .where(table.c.run == run)
            .values(state=state, reason=reason, changed_ms=ledger.clock, ended_ms=ended)
        )


def adopt_mapping(ledger: Ledger, run: str, fingerprint: str, definition: dict[str, Any], mapping_text: str) -> None:
    """Put another mapping in the place of the run's; the caller has logged the old one."""
    table = ledger.tables.run
    with ledger.writing() as connection:
        connection.execute(
            sa.update(table)
            .where(table.c.run == run)
            .values(fingerprint=fingerprint, definition=_json(definition), mapping_text=mapping_text)
        )


def begin_pass(
    ledger: Ledger, run: str, kind: PassKind, position: str | None, lookups: Mapping[str, str] | None = None
) -> Pass:
    """Record the next pass of a run. `position`: the source's clock before the first read, where catch-up will begin.

    `lookups`: what they held in the pass that this one goes on with.
    """
    applied = ledger.tables.applied
    newest = sa.select(sa.func.coalesce(sa.func.max(applied.c.applied_seq), 0)).where(applied.c.run == run)
    table = ledger.tables.passes
    number = 1 + max((each.number for each in read_passes(ledger, run)), default=0)
    with ledger.writing() as connection:
        connection.execute(
            sa.insert(table).values(
                run=run,
                pass_no=number,
                kind=kind,
                started_ms=ledger.clock,
                position=position,
                lookups=_json(dict(lookups)) if lookups else None,
                after_seq=newest.scalar_subquery(),
            )
        )
    return next(each for each in read_passes(ledger, run) if each.number == number)


def end_pass(ledger: Ledger, run: str, number: int) -> None:
    """Record that a pass is done."""
    table = ledger.tables.passes
    with ledger.writing() as connection:
        connection.execute(
            sa.update(table).where(table.c.run == run, table.c.pass_no == number).values(ended_ms=ledger.clock)
        )


def read_passes(ledger: Ledger, run: str) -> list[Pass]:
    """All passes of a run, in order."""
    table = ledger.tables.passes
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(table).where(table.c.run == run).order_by(table.c.pass_no)).all()
    return [
        Pass(
            row.run,
            row.pass_no,
            row.kind,
            row.started_ms,
            row.ended_ms,
            json.loads(row.lookups or "{}"),
            row.after_seq or 0,
        )
        for row in rows
    ]


def keep_lookups(ledger: Ledger, run: str, number: int, digests: dict[str, str]) -> None:
    """Record what the lookups of a pass held when it first read them."""
    table = ledger.tables.passes
    with ledger.writing() as connection:
        connection.execute(
            sa.update(table).where(table.c.run == run, table.c.pass_no == number).values(lookups=_json(digests))
        )


def add_range(ledger: Ledger, run: str, number: int, key_range: KeyRange) -> None:
    """Commit a range before its batch is handed out; a resume uses it whatever the batch size is then."""
    with ledger.writing() as connection:
        connection.execute(
            sa.insert(ledger.tables.ranges).values(
                run=run,
                pass_no=number,
                range_no=key_range.number,
                after_key=None if key_range.after is None else dump_key(key_range.after),
                upto_key=None if key_range.upto is None else dump_key(key_range.upto),
            )
        )


def read_ranges(ledger: Ledger, run: str, number: int, columns: tuple[str, ...]) -> list[KeyRange]:
    """The committed ranges of a pass, in source order."""
    table = ledger.tables.ranges
    with ledger.reading() as connection:
        rows = connection.execute(
            sa.select(table).where(table.c.run == run, table.c.pass_no == number).order_by(table.c.range_no)
        ).all()
    return [
        KeyRange(
            row.range_no,
            columns,
            None if row.after_key is None else load_key(row.after_key),
            None if row.upto_key is None else load_key(row.upto_key),
        )
        for row in rows
    ]


def applied_ranges(ledger: Ledger, run: str, number: int) -> frozenset[int]:
    """Numbers of the ranges of a pass whose batches are committed."""
    table = ledger.tables.applied
    with ledger.reading() as connection:
        found = connection.execute(sa.select(table.c.range_no).where(table.c.run == run, table.c.pass_no == number))
        return frozenset(row.range_no for row in found)


_SUMMED = ("rows_read", "rows_mapped", "rows_filtered", "rows_rejected", "rows_pending", "warnings")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one committed batch counted.

    `digests`, `removed`: per target the set digest of rows mapped, and of rows taken back; `undo`: SHA-256 of each undo chunk.
    """

    applied_seq: int
    pass_no: int
    range_no: int
    counts: Counts
    digests: dict[str, str]
    removed: dict[str, str]
    undo: tuple[str, ...]
    took_ms: int
    applied_ms: int


def read_entries(ledger: Ledger, run: str, number: int | None = None, after_seq: int = 0) -> list[Entry]:
    """The committed batches of a run (or one pass), in the order in which they changed the target."""
    table = ledger.tables.applied
    which = [table.c.run == run, table.c.applied_seq > after_seq]
    if number is not None:
        which.append(table.c.pass_no == number)
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(table).where(*which).order_by(table.c.applied_seq)).mappings().all()
    return [entry_from_row(row) for row in rows]


def entry_from_row(row: sa.RowMapping) -> Entry:
    """An entry from a row of `migrate_applied`; raises DataError where somebody made it unreadable."""
    read, mapped, filtered, rejected, pending, warnings = (int(row[name]) for name in _SUMMED)
    try:
        targets, digests, undo = targets_from_text(row["targets"]), json.loads(row["digests"]), json.loads(row["undo"])
        added, removed = digests["added"], digests["removed"]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"batch {row['pass_no']}/{row['range_no']} of run {row['run']} cannot be read: its entry was changed",
            where=f"migrate_applied, applied_seq {row['applied_seq']}",
            next_step="`migrate ledger verify` names all that was changed",
        ) from error
    return Entry(
        row["applied_seq"],
        row["pass_no"],
        row["range_no"],
        Counts(read, mapped, filtered, rejected, pending, warnings, targets),
        added,
        removed,
        tuple(undo),
        row["took_ms"],
        row["applied_ms"],
    )


def total(entries: Sequence[Entry]) -> Counts:
    """The sum over entries."""
    result = Counts()
    for entry in entries:
        result = result + entry.counts
    return result


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
