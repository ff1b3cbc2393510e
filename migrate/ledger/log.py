"""The hash-chained log of a ledger: events, and seals over what was applied.

What is committed is sealed in small transactions: when a run pauses, stops, is complete or taken over, and by `doctor`. A seal lists its entries one by one, never "all above the last number", which
would skip what commits late. A seal hashes the one before it; its number is the primary key, so that who loses the race tries again.
Nothing sealed is updated: `verify_log` finds any entry, undo chunk, event or seal that was changed, and any that is missing inside the chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from migrate.errors import TransientFault
from migrate.ledger.connection import Ledger
from migrate.ledger.undo_check import undo_findings

FIRST = "0" * 64
ABOUT_BACKUPS = "backup-"
"""How the kinds of events begin that stand under the name of a backup in the place of a run."""
REHEARSING = "rehearsing"
REHEARSED = "rehearsed"
"""The kinds of the events that stand under the name of a rehearsal in the place of a run: it begins, and what it came to."""
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Something in the log that does not hold; `seal_no` is 0 where no seal in particular says so."""

    seal_no: int
    what: str

    def __str__(self) -> str:
        return f"seal {self.seal_no}: {self.what}" if self.seal_no else self.what


@dataclass(frozen=True, slots=True)
class LogVerdict:
    """What `verify_log` found: `entries` sealed and checked, `unsealed` waiting for the next seal."""

    seals: int
    entries: int
    unsealed: int
    findings: tuple[LogFinding, ...]


def add_event(ledger: Ledger, mapping: str, run: str | None, kind: str, detail: Mapping[str, object]) -> int:
    """Append an event, what a person or a takeover did to a run; its number."""
    text = _canonical(detail)
    with ledger.writing() as connection:
        added = connection.execute(
            sa.insert(ledger.tables.event).values(mapping=mapping, run=run, kind=kind, detail=text, at_ms=ledger.clock)
        )
        number: Any = added.inserted_primary_key
        return int(number[0])


def read_events(ledger: Ledger, run: str) -> list[dict[str, Any]]:
    """The events of a run, oldest first."""
    table = ledger.tables.event
    with ledger.reading() as connection:
        rows = (
            connection.execute(sa.select(table).where(table.c.run == run).order_by(table.c.event_no)).mappings().all()
        )
    return [{**row, "detail": json.loads(row["detail"])} for row in rows]


def seal(ledger: Ledger, run: str) -> int:
    """Seal what is committed of a run and not sealed yet; how many entries that were.

    Raises TransientFault when others were faster each time; what they sealed of other runs stays, this run waits for its next seal.
    """
    for _ in range(_ATTEMPTS):
        # The place in the chain is looked up first: whoever seals the same entries meanwhile takes it.
        number, previous = _last(ledger)
        entries = _unsealed(ledger, run)
        if not entries:
            return 0
        listed = _canonical(entries)
        sealed = sa.insert(ledger.tables.seal).values(
            seal_no=number + 1,
            run=run,
            entries=listed,
            previous=previous,
            hash=seal_hash(previous, number + 1, run, listed),
            sealed_ms=ledger.clock,
        )
        if ledger.insert_if_new(sealed):
            return len(entries)
    raise TransientFault(
        f"could not seal run {run}: others took the next place in the log {_ATTEMPTS} times",
        next_step="run the same command again",
    )


def seal_others(ledger: Ledger) -> int:
    """Seal what of backups and rehearsals whoever logged it was killed before sealing; how many entries that were."""
    event = ledger.tables.event
    query = sa.select(event.c.run).where(_of_no_run(event.c.kind), event.c.run.is_not(None)).distinct()
    with ledger.reading() as connection:
        names = [row.run for row in connection.execute(query)]
    return sum(seal(ledger, name) for name in names)


def verify_log(ledger: Ledger) -> LogVerdict:
    """Check the whole chain of a ledger, and every sealed entry and undo chunk against it."""
    table = ledger.tables.seal
    with ledger.reading() as connection:
        seals = connection.execute(sa.select(table).order_by(table.c.seal_no)).mappings().all()
    findings: list[LogFinding] = []
    runs = _run_names(ledger)
    present = {run: {entry[:2]: entry[2] for entry in _entries(ledger, run)} for run in runs}
    present |= _of_others(ledger, runs)
    previous, expected, sealed = FIRST, 1, 0
    for row in seals:
        findings += _check_seal(row, expected, previous)
        entries = _listed(row["entries"]) or []
        findings += _check_entries(row["seal_no"], present.get(row["run"], {}), entries)
        sealed += len(entries)
        previous = row["hash"]
        # SQLite lets a text stand where the number was.
        expected = row["seal_no"] + 1 if isinstance(row["seal_no"], int) else expected + 1
    for run in runs:
        findings += [LogFinding(0, what) for what in undo_findings(ledger, run)]
    unsealed = sum(len(_unsealed(ledger, run)) for run in present)
    return LogVerdict(len(seals), sealed, unsealed, tuple(findings))


def _check_seal(row: sa.RowMapping, expected: int, previous: str) -> Iterable[LogFinding]:
    number = row["seal_no"]
    if number != expected:
        yield LogFinding(number, f"seal {expected} is missing before it")
    if row["previous"] != previous:
        yield LogFinding(number, "does not continue the seal before it")
    if row["hash"] != seal_hash(row["previous"], number, row["run"], row["entries"]):
        yield LogFinding(number, "was changed: its hash does not fit its content")
    if _listed(row["entries"]) is None:
        yield LogFinding(number, "was changed: its list of entries cannot be read")


def _check_entries(number: int, present: dict[tuple[str, int], str], listed: list[list[Any]]) -> Iterable[LogFinding]:
    for kind, seq, digest in listed:
        found = present.get((kind, seq))
        if found is None:
            yield LogFinding(number, f"{kind} {seq} was removed")
        elif found != digest:
            yield LogFinding(number, f"{kind} {seq} was changed")


def _listed(entries: Any) -> list[list[Any]] | None:
    """The entries that a seal lists; None for a list that somebody made unreadable."""
    try:
        found = json.loads(entries)
    except (ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, list) and all(map(_is_entry, found)) else None


def _is_entry(listed: object) -> bool:
    return isinstance(listed, list) and [type(each) for each in listed] == [str, int, str]


def _run_names(ledger: Ledger) -> list[str]:
    with ledger.reading() as connection:
        return [row.run for row in connection.execute(sa.select(ledger.tables.run.c.run))]


def _of_others(ledger: Ledger, runs: Iterable[str]) -> dict[str, dict[tuple[str, int], str]]:
    """The events about backups and rehearsals by what stands in the place of a run: nothing else may stand there without one."""
    table, known = ledger.tables.event, frozenset(runs)
    query = sa.select(table).where(_of_no_run(table.c.kind), table.c.run.is_not(None))
    found: dict[str, dict[tuple[str, int], str]] = {}
    with ledger.reading() as connection:
        for row in connection.execute(query.order_by(table.c.event_no)).mappings():
            if row["run"] not in known:
                found.setdefault(row["run"], {})["event", row["event_no"]] = entry_digest(row)
    return found


def _of_no_run(kind: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return kind.startswith(ABOUT_BACKUPS) | kind.in_((REHEARSING, REHEARSED))


def _last(ledger: Ledger) -> tuple[int, str]:
    table = ledger.tables.seal
    with ledger.reading() as connection:
        row = connection.execute(
            sa.select(table.c.seal_no, table.c.hash).order_by(table.c.seal_no.desc()).limit(1)
        ).one_or_none()
    return (0, FIRST) if row is None else (row.seal_no, row.hash)


def _unsealed(ledger: Ledger, run: str) -> list[list[Any]]:
    table = ledger.tables.seal
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(table.c.entries).where(table.c.run == run)).all()
    sealed = {(kind, seq) for row in rows for kind, seq, _ in _listed(row.entries) or []}
    return [list(entry) for entry in _entries(ledger, run) if entry[:2] not in sealed]


def _entries(ledger: Ledger, run: str) -> list[tuple[str, int, str]]:
    """(kind, number, SHA-256 of the row) of everything of a run that is to be sealed."""
    found: list[tuple[str, int, str]] = []
    applied, event = ledger.tables.applied, ledger.tables.event
    with ledger.reading() as connection:
        for kind, table, number in (("batch", applied, applied.c.applied_seq), ("event", event, event.c.event_no)):
            rows = connection.execute(sa.select(table).where(table.c.run == run).order_by(number)).mappings()
            found += [(kind, row[number], entry_digest(row)) for row in rows]
    return found


def entry_digest(row: Mapping[Any, Any]) -> str:
    """SHA-256 of the row of an entry, as a seal lists it."""
    return _digest(dict(row))


def seal_hash(previous: str, number: int, run: str | None, entries: str) -> str:
    """The hash of a seal, which chains it to the one before."""
    return _digest([previous, number, run, entries])


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _digest(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_foreign)
    return hashlib.sha256(text.encode()).hexdigest()


def _foreign(value: object) -> dict[str, str]:
    """Stands for what the toolkit never writes into a ledger, such as bytes for a text: an object, which no value of a column looks like."""
    return {type(value).__name__: value.hex() if isinstance(value, bytes | bytearray | memoryview) else repr(value)}
