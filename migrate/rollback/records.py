"""Read the undo records of a batch back, and refuse those that are missing, pruned or altered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from migrate.errors import StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Entry
from migrate.ledger.undo_check import chunk_digest
from migrate.stores.port import TargetSession
from migrate.write.undo import UndoSubject, decode_undo

Chunk = tuple[UndoSubject, pa.Table]


def undo_of(ledger: Ledger, session: TargetSession, run: str, entry: Entry) -> dict[str, list[Chunk]]:
    """The undo chunks of a committed batch by target table, in the order in which they were written.

    Raises StateError for a chunk that is missing, was pruned, or is not what the batch recorded (its SHA-256 covers all of it).
    """
    undo = ledger.tables.undo
    columns = [undo.c[name] for name in ("target", "rows", "low_unit", "high_unit", "key_filter", "sha256", "payload")]
    rows = session.execute(
        sa.select(*columns)
        .where(undo.c.run == run, undo.c.pass_no == entry.pass_no, undo.c.range_no == entry.range_no)
        .order_by(undo.c.chunk_no)
    )
    _require_listed(run, entry, [row[5] for row in rows])
    found: dict[str, list[Chunk]] = {}
    for number, row in enumerate(rows):
        found.setdefault(row[0], []).append(_decoded(run, entry, number, row))
    return found


def require_undo(ledger: Ledger, run: str, entries: Sequence[Entry]) -> None:
    """Raise StateError for the first batch whose undo chunks are not all there; a glance at their list, the records are not read."""
    undo = ledger.tables.undo
    query = (
        sa.select(undo.c.pass_no, undo.c.range_no, undo.c.sha256, undo.c.payload.is_(None).label("pruned"))
        .where(undo.c.run == run)
        .order_by(undo.c.pass_no, undo.c.range_no, undo.c.chunk_no)
    )
    listed: dict[tuple[int, int], list[str]] = {}
    pruned: set[tuple[int, int]] = set()
    with ledger.reading() as connection:
        for row in connection.execute(query):
            batch = (row.pass_no, row.range_no)
            listed.setdefault(batch, []).append(row.sha256)
            if row.pruned:
                pruned.add(batch)
    for entry in entries:
        batch = (entry.pass_no, entry.range_no)
        _require_listed(run, entry, listed.get(batch, []))
        if batch in pruned:
            raise _unusable(run, entry, "were pruned")


def is_pruned(ledger: Ledger, run: str, entries: Sequence[Entry]) -> bool:
    """Were undo records of one of these batches dropped?"""
    undo, wanted = ledger.tables.undo, {(each.pass_no, each.range_no) for each in entries}
    query = sa.select(undo.c.pass_no, undo.c.range_no).where(undo.c.run == run, undo.c.payload.is_(None))
    with ledger.reading() as connection:
        return any((row.pass_no, row.range_no) in wanted for row in connection.execute(query))


def _require_listed(run: str, entry: Entry, listed: Sequence[str]) -> None:
    if list(entry.undo) != list(listed):
        raise _unusable(run, entry, f"are not those that it recorded ({len(listed)} of {len(entry.undo)} are there)")


def _decoded(run: str, entry: Entry, number: int, row: Sequence[Any]) -> Chunk:
    target, rows, low, high, key_filter, sha256, payload = row
    if payload is None:
        raise _unusable(run, entry, "were pruned")
    header = {
        "target": target,
        "rows": rows,
        "low_unit": bytes(low),
        "high_unit": bytes(high),
        "key_filter": bytes(key_filter),
    }
    if chunk_digest(header, bytes(payload)) != sha256:
        raise _unusable(run, entry, f"were altered: chunk {number} does not have the SHA-256 that was recorded")
    try:
        return decode_undo(bytes(payload))
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise _unusable(run, entry, f"cannot be read: {error}") from error


def _unusable(run: str, entry: Entry, what: str) -> StateError:
    return StateError(
        f"batch {entry.pass_no}/{entry.range_no} cannot be taken back: its undo records {what}",
        where=f"run {run}, migrate_undo",
        next_step="nothing of this batch was touched; `migrate ledger verify` names all that was changed; a backup of the ledger has them",
    )
