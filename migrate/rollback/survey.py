"""What a rollback would take back and what stands in its way, looked at without writing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from migrate.checksum.vectorised import key_hashes
from migrate.errors import StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.runs import Entry, total
from migrate.rollback.batch import BatchRollback, Rows, Standing
from migrate.rollback.request import Request
from migrate.values import TableShape


@dataclass(frozen=True, slots=True)
class Survey:
    """A rollback before it is done: the run, its batches newest first, the tables, and the rows in the way (empty where nobody looked)."""

    mapping: str
    run: str
    state: str
    entries: tuple[Entry, ...]
    shapes: Mapping[str, TableShape]
    in_the_way: tuple[Standing, ...] = ()

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


def rows_in_the_way(
    ledger: Ledger, run: str, entries: Sequence[Entry], shapes: Mapping[str, TableShape]
) -> list[Standing]:
    """Rows of these batches (newest first) that are not as the run left them.

    Only the newest change of each row is held against what is stored: with it gone, the row is what the batch before it left.
    Raises StateError for undo records that cannot be used.
    """
    batches = BatchRollback(ledger, run, shapes, Request())
    seen = {name: np.empty(0, dtype=np.uint64) for name in shapes}
    found: list[Standing] = []
    session = ledger.store.session()
    try:
        for entry in entries:
            session.begin()
            try:
                for rows in batches.rows_of(session, entry, lock=False):
                    found += _newest(rows, seen)
            finally:
                session.rollback()
    finally:
        session.close()
    return found


def _newest(rows: Rows, seen: dict[str, npt.NDArray[np.uint64]]) -> list[Standing]:
    """The changed rows that no newer batch has changed; the table's keys count as seen from here on."""
    name, keys = rows.shape.name, _hashes(rows.net.keys)
    new = ~np.isin(keys, seen[name])
    seen[name] = np.union1d(seen[name], keys)
    return [rows.standing(int(at), "changed since") for at in np.flatnonzero(~rows.same & new)]


def _hashes(keys: pa.Table) -> npt.NDArray[np.uint64]:
    return key_hashes(keys, tuple(keys.column_names))
