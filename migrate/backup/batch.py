"""One batch of a restore: rows of one part of one table, compared under lock before any is written, inside of one batch transaction.

What the database refuses for the sake of rows that other batches have yet to change is left over, for the next round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.backup.tables import KeptTable, fitted
from migrate.checksum.vectorised import key_digests, row_digests
from migrate.errors import ConstraintViolation
from migrate.ledger.counts import TargetCounts
from migrate.stores.port import ANOMALY, ORDINAL, TargetSession
from migrate.stores.typed_keys import key_text
from migrate.values import TableShape
from migrate.write.restore import Step, put_back, replaced, writable
from migrate.write.scope import rows_in_scope

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A row that is not as the backup has it, and why."""

    table: str
    key: str
    why: str

    def to_json(self) -> dict[str, str]:
        """As it goes into JSON documents."""
        return {"target": self.table, "key": self.key, "why": self.why}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch came to: rows inserted, overwritten and deleted, and rows that are left over."""

    counts: TargetCounts
    left: tuple[LeftOver, ...] = ()

    @property
    def changed(self) -> int:
        """Rows that the batch changed."""
        return self.counts.written + self.counts.updated + self.counts.deleted


@dataclass(frozen=True, slots=True)
class _Stored:
    """Stored rows under exactly the keys that were asked for. `at`: which key; `inside`: of the scope for certain.

    `unread`: in part, and `unsure`: so that the scope cannot be told.
    """

    rows: pa.Table
    at: npt.NDArray[np.int64]
    inside: Flags
    unread: Flags
    unsure: Flags


@dataclass(frozen=True, slots=True)
class RestoredTable:
    """A table that is restored: as the backup knows it, and as the session that writes it does."""

    kept: KeptTable
    shape: TableShape

    def delete(self, session: TargetSession, keys: pa.Table) -> Outcome:
        """Delete the rows with these keys that are still there and inside of the scope."""
        stored = self._locked(session, self._sorted(keys))
        # Of a row that moved out of the scope meanwhile nobody here is in charge; of one that cannot be told, a person decides.
        unknown = stored.rows.filter(pa.array(stored.unsure))
        gone = self._keys(stored.rows.filter(pa.array(stored.inside)))
        stuck = _stuck(session, [Step("delete", self.shape, self.kept.key, gone)])
        doubtful = self._left(unknown, "cannot be read, and may be a row of others")
        return Outcome(TargetCounts(deleted=gone.num_rows - len(stuck)), (*self._named(stuck), *doubtful))

    def write(self, session: TargetSession, rows: pa.Table) -> Outcome:
        """Bring these whole rows of the backup into the table: insert those that are not there, overwrite those that differ."""
        rows = self._sorted(rows)
        stored = self._locked(session, rows)
        backed_up = row_digests(rows, self.kept.contract).take(pa.array(stored.at))
        found = row_digests(stored.rows, self.kept.contract)
        same = np.asarray(pc.fill_null(pc.equal(backed_up, found), False)).astype(np.bool_) & ~stored.unread
        absent = np.ones(rows.num_rows, np.bool_)
        absent[stored.at] = False
        ours = stored.inside | stored.unsure
        update = self._writable(rows.take(pa.array(stored.at[~same & ours])))
        insert = self._writable(rows.filter(pa.array(absent)))
        steps = [Step("update", self.shape, self.kept.key, update), Step("insert", self.shape, self.kept.key, insert)]
        stuck = _stuck(session, steps)
        held = self._left(rows.take(pa.array(stored.at[~same & ~ours])), "a row outside of the scope has its key")
        inserted, updated = (
            step.rows.num_rows - sum(each.how == step.how for each, _ in stuck) for step in reversed(steps)
        )
        return Outcome(TargetCounts(written=inserted, updated=updated), (*self._named(stuck), *held))

    def _locked(self, session: TargetSession, rows: pa.Table) -> _Stored:
        keys = rows.select(list(self.kept.key))
        found = session.fetch(self.shape, self.kept.key, self._keys(keys), lock=True)
        at = np.asarray(found[ORDINAL])
        stored = fitted(found, self.kept.shape.columns)
        asked = key_digests(keys, self.kept.contract).take(pa.array(at))
        # The database may hold other keys equal than we do: a row under one of those is another row.
        exact = np.asarray(pc.fill_null(pc.equal(key_digests(stored, self.kept.contract), asked), False)).astype(
            np.bool_
        )
        stored, at = stored.filter(pa.array(exact)), at[exact]
        anomaly = found[ANOMALY].filter(pa.array(exact))
        unread = np.asarray(pc.is_valid(anomaly)).astype(np.bool_)
        inside = np.asarray(rows_in_scope(stored, self.kept.scope)).astype(np.bool_)
        unsure = np.zeros(len(at), np.bool_)
        broken = stored.append_column(ANOMALY, anomaly).filter(pa.array(unread))
        unsure[unread] = np.asarray(self.kept.perhaps_inside(broken)).astype(np.bool_)
        return _Stored(stored, at, inside, unread, unsure & ~inside)

    def _sorted(self, rows: pa.Table) -> pa.Table:
        # As every writer has them: locks are taken in the order of the keys.
        return rows.sort_by([(name, "ascending") for name in self.kept.key])

    def _keys(self, rows: pa.Table) -> pa.Table:
        return fitted(rows, [self.shape.column(name) for name in self.kept.key])

    def _writable(self, rows: pa.Table) -> pa.Table:
        return fitted(rows, [self.shape.column(name) for name in writable(self.shape)])

    def _named(self, stuck: Sequence[Refused]) -> list[LeftOver]:
        return [
            each for step, why in stuck for each in self._left(step.rows, f"the database refuses it: {why.message}")
        ]

    def _left(self, rows: pa.Table, why: str) -> list[LeftOver]:
        keys = zip(*(rows[name].to_pylist() for name in self.kept.key), strict=True)
        return [LeftOver(self.kept.name, key_text(key), why) for key in keys]


Refused = tuple[Step, ConstraintViolation]


def _stuck(session: TargetSession, steps: Sequence[Step]) -> tuple[Refused, ...]:
    """The steps of one row each that the database refuses, whatever it was tried; all others are done."""
    stuck = put_back(session, steps)
    return () if stuck is None or replaced(session, stuck) else stuck.steps
