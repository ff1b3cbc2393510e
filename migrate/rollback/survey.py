"""What a rollback would take back and what stands in its way, looked at without writing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from migrate.checksum.vectorised import key_hashes
from migrate.errors import StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.runs import Entry, total
from migrate.rollback.again import Stayed
from migrate.rollback.batch import BatchRollback, Rows
from migrate.rollback.held import Holder, held_rows
from migrate.rollback.request import Request
from migrate.rollback.staying import Standing
from migrate.stores.port import TargetSession
from migrate.values import TableShape


@dataclass(frozen=True, slots=True)
class Survey:
    """A rollback before it is done: the run, its batches newest first, the tables, and the rows in the way (empty where nobody looked).

    `stayed`: rows that earlier rollbacks of it left; `again`: their batches, newest first, where one of those rows can go by now.
    """

    mapping: str
    run: str
    state: str
    entries: tuple[Entry, ...]
    shapes: Mapping[str, TableShape]
    in_the_way: tuple[Standing, ...] = ()
    stayed: Stayed = field(default_factory=Stayed)
    again: tuple[Entry, ...] = ()

    @property
    def any(self) -> bool:
        """Is there anything to take back?"""
        return bool(self.entries or self.again)

    @property
    def counts(self) -> Counts:
        """What the batches counted when they were written."""
        return total(self.entries)


def require_still(run: str, shapes: Mapping[str, TableShape]) -> None:
    """Raise StateError for a table that changes rows by itself, as no target may when a run begins: more would change than goes back."""
    for name, shape in shapes.items():
        cascading = [f"foreign key {key.name} cascades" for key in shape.foreign_keys if key.cascades]
        for obstacle in (*shape.obstacles, *cascading):
            raise StateError(
                f"{name} cannot be rolled back as it is now: {obstacle}",
                where=f"run {run}, table {name}",
                next_step="drop or disable it for the rollback, and put it back afterwards",
            )


def rows_in_the_way(ledger: Ledger, seen: Survey, holding: Sequence[Holder]) -> list[Standing]:
    """Rows of the batches that are not as the run left them, and those of the newest batch that has any at which rows of `holding` point.

    Not those of all batches: where another mapping's rows are still there, that is nearly every row, and one says what is to be done.

    Only the newest change of each row is held against what is stored: with it gone, the row is what the batch before it left.
    Raises StateError for undo records that cannot be used.
    """
    known = {name: np.empty(0, dtype=np.uint64) for name in seen.shapes}
    found: list[Standing] = []
    for session, _, rows in _rows(ledger, seen):
        changed = _newest(rows, known)
        named = {row.key for row in changed}
        held = [row for row in held_rows(session, rows, holding) if row.key not in named]
        holding = () if held else holding
        found += [*changed, *held]
    return found


def first_held(ledger: Ledger, seen: Survey, holding: Sequence[Holder]) -> list[Standing]:
    """The rows of the newest batch that has any at which rows of `holding` point; nothing is read where there is no such table."""
    if holding:
        for session, _, rows in _rows(ledger, seen):
            if found := list(held_rows(session, rows, holding)):
                return found
    return []


def can_go_by_now(
    ledger: Ledger,
    run: str,
    stayed: Stayed,
    entries: Sequence[Entry],
    shapes: Mapping[str, TableShape],
    holding: Sequence[Holder],
) -> list[Standing]:
    """Of the rows of these batches that stayed: those that are as the run left them again, or as they were before it for want of them.

    Not those at which rows of `holding` point. `shapes`: the tables of the batches.
    """
    seen = Survey("", run, "", tuple(entries), shapes, stayed=stayed)
    stuck = {
        (entry.applied_seq, row.target, row.key)
        for session, entry, rows in _rows(ledger, seen)
        for row in (*rows.changed(), *held_rows(session, rows, holding))
    }
    return [
        row
        for entry in entries
        for row in stayed.rows[entry.applied_seq]
        if (entry.applied_seq, row.target, row.key) not in stuck
    ]


def _rows(ledger: Ledger, seen: Survey) -> Iterator[tuple[TargetSession, Entry, Rows]]:
    """The rows of batch after batch, not locked, and the session that can look further, in one transaction for each batch."""
    batches = BatchRollback(ledger, seen.run, seen.shapes, Request(), seen.stayed.rows)
    session = ledger.store.session()
    try:
        for entry in seen.entries:
            session.begin()
            try:
                for rows in batches.rows_of(session, entry, lock=False):
                    yield session, entry, rows
            finally:
                session.rollback()
    finally:
        session.close()


def _newest(rows: Rows, seen: dict[str, npt.NDArray[np.uint64]]) -> list[Standing]:
    """The changed rows that no newer batch has changed; the table's keys count as seen from here on."""
    name, keys = rows.shape.name, _hashes(rows.net.keys)
    new = ~np.isin(keys, seen[name])
    seen[name] = np.union1d(seen[name], keys)
    return [rows.standing(int(at), rows.since(int(at))) for at in np.flatnonzero(~rows.same & new)]


def _hashes(keys: pa.Table) -> npt.NDArray[np.uint64]:
    return key_hashes(keys, tuple(keys.column_names))
