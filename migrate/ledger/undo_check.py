"""Holds the undo chunks of a ledger against the digests that their batches recorded, which the seals cover."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Final

import sqlalchemy as sa

from migrate.ledger.connection import Ledger

PRUNED: Final = "prune"
"""The kind of the event that is committed before the first undo record of a run goes."""

BatchNo = tuple[int, int]


def chunk_digest(header: Mapping[str, str | int | bytes], payload: bytes) -> str:
    """64 hex digits over a chunk and over what finds it: `target`, `rows`, `low_unit`, `high_unit`, `key_filter`.

    An altered token or filter would hide what a unit wrote as surely as an altered record.
    """
    parts = {
        name: hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value for name, value in header.items()
    }
    text = json.dumps({**parts, "payload": hashlib.sha256(payload).hexdigest()}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def undo_findings(ledger: Ledger, run: str) -> Iterator[str]:
    """What does not hold. A payload may have been pruned, but not in silence, and not changed; a chunk may not be missing."""
    named = dict(_named(ledger, run))
    may_be_gone = is_pruned(ledger, run)
    seen: dict[BatchNo, list[str]] = {}
    undo = ledger.tables.undo
    header = (undo.c.target, undo.c.rows, undo.c.low_unit, undo.c.high_unit, undo.c.key_filter)
    query = (
        sa.select(undo.c.pass_no, undo.c.range_no, undo.c.chunk_no, undo.c.sha256, undo.c.payload, *header)
        .where(undo.c.run == run)
        .order_by(undo.c.pass_no, undo.c.range_no, undo.c.chunk_no)
        .execution_options(stream_results=True, max_row_buffer=1)
    )
    with ledger.reading() as connection:
        for row in connection.execute(query).mappings():
            batch = (row["pass_no"], row["range_no"])
            seen.setdefault(batch, []).append(row["sha256"])
            if row["payload"] is not None:
                found = {column.name: _plain(row[column.name]) for column in header}
                payload = _plain(row["payload"])
                if not isinstance(payload, bytes) or chunk_digest(found, payload) != row["sha256"]:
                    yield f"undo chunk {row['chunk_no']} of batch {batch[0]}/{batch[1]} of run {run} was changed"
            elif not may_be_gone:
                yield f"undo chunk {row['chunk_no']} of batch {batch[0]}/{batch[1]} of run {run} was emptied, and no event says so"
    for batch in {**named, **seen}:
        if named.get(batch, []) != seen.get(batch, []):
            yield f"undo of batch {batch[0]}/{batch[1]} of run {run} is not what the batch recorded"


def is_pruned(ledger: Ledger, run: str) -> bool:
    """Were undo records of this run dropped, or was that begun?"""
    event = ledger.tables.event
    with ledger.reading() as connection:
        found = connection.execute(
            sa.select(event.c.event_no).where(event.c.run == run, event.c.kind == PRUNED).limit(1)
        )
        return found.one_or_none() is not None


def _plain(value: object) -> str | int | bytes:
    if isinstance(value, str | int):
        return value
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _named(ledger: Ledger, run: str) -> Iterator[tuple[BatchNo, list[str]]]:
    """The digests that each batch recorded; none for a record that was made unreadable, which is a finding of its own."""
    applied = ledger.tables.applied
    query = (
        sa.select(applied.c.pass_no, applied.c.range_no, applied.c.undo)
        .where(applied.c.run == run)
        .order_by(applied.c.pass_no, applied.c.range_no)
    )
    with ledger.reading() as connection:
        for row in connection.execute(query):
            try:
                yield (row.pass_no, row.range_no), json.loads(row.undo)
            except (ValueError, TypeError, RecursionError):
                continue
