"""Take one batch back in one transaction: all of its rows, or none where somebody changed one since.

Rows are locked in the order of every writer, parents before children and keys in order, before any is changed; then they are changed in the
reverse order. Counts and digests of the batch are taken back with them, and its pending units.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from migrate.checksum.set_digest import SetDigest
from migrate.errors import StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.runs import Entry
from migrate.rollback.images import Flags, Net, missing_columns, net_of, stands, untold_columns
from migrate.rollback.records import undo_of
from migrate.rollback.request import Request
from migrate.rollback.staying import CHANGED, DELETED, HELD, Standing, findings, refusal
from migrate.stores.port import ANOMALY, ORDINAL, TargetSession
from migrate.stores.typed_keys import dump_key
from migrate.values import TableShape
from migrate.write.restore import Step, put_back, replaced, writable
from migrate.write.transaction import BatchTransaction


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table that a batch changed: what was recorded of them, what is stored, and which are as they were left."""

    shape: TableShape
    net: Net
    stored: pa.Table
    same: Flags

    @property
    def gone(self) -> Flags:
        """Which rows the batch left, and are not there."""
        gone = self.net.is_left.copy()
        gone[np.asarray(self.stored[ORDINAL])] = False
        return gone

    def changed(self) -> list[Standing]:
        """The rows that somebody changed or deleted since."""
        return [self.standing(int(at), self.since(int(at))) for at in np.flatnonzero(~self.same)]

    def since(self, at: int) -> str:
        """What became of a row that is not as it was left."""
        return DELETED if self.gone[at] else CHANGED

    def only(self, keys: Collection[str]) -> Rows:
        """Those with these keys, but for rows that are not there and were not there before: they are back, whoever took them away."""
        wanted = np.asarray([_key_text(self.net.keys, at) in keys for at in range(len(self.same))], dtype=np.bool_)
        wanted &= ~(self.gone & ~self.net.was_there)
        at = np.asarray(self.stored[ORDINAL])
        stored = self.stored.filter(pa.array(wanted[at]))
        places = pa.array((np.cumsum(wanted) - 1)[at[wanted[at]]].astype(np.int64))
        stored = stored.set_column(stored.column_names.index(ORDINAL), ORDINAL, places)
        return Rows(self.shape, self.net.only(wanted), stored, self.same[wanted])

    def standing(self, at: int, why: str) -> Standing:
        """The row at this place, as one that stays."""
        there = self.stored.filter(pc.equal(self.stored[ORDINAL], at))
        found = there.select(self.shape.names).to_pylist()
        # What cannot be read is NULL in `found`: without a word it would pass for one.
        unread = [f"{why}; not to be read: {each}" for each in there[ANOMALY].to_pylist() if each is not None]
        before = self.net.before(self.shape.names).slice(at, 1).to_pylist() if self.net.was_there[at] else []
        return Standing(
            self.shape.name,
            _key_text(self.net.keys, at),
            unread[0] if unread else why,
            before[0] if before else None,
            found[0] if found else None,
        )


class BatchRollback:
    """Takes batches back through one session, one transaction each. `shapes`: the target tables, parents first.

    `stayed`, by `applied_seq`: batches that are back but for these rows, of which only those that can go by now are touched.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: str,
        shapes: Mapping[str, TableShape],
        request: Request,
        stayed: Mapping[int, Sequence[Standing]] = MappingProxyType({}),
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._shapes = dict(shapes)
        self._changed = request.changed
        self._whole = request.whole
        self._stayed = stayed

    def hold(self, session: TargetSession, entry: Entry) -> list[Rows]:
        """Lock the rows of this batch, and hold them against its records; changes nothing. The caller began a transaction.

        Raises RowsChanged where rows stand in the way and the caller wants that refused; StateError for undo records that cannot be used.
        """
        locked = self.rows_of(session, entry, lock=True)
        staying = [row for each in locked for row in each.changed()]
        if staying and self._refuses(entry):
            raise refusal(self._run, _name(entry), staying)
        return locked

    def take_back(
        self, transaction: BatchTransaction, session: TargetSession, entry: Entry, locked: Sequence[Rows]
    ) -> None:
        """Put the rows of this batch back as they were; rows that stay become findings. The caller finishes the transaction.

        Raises RowsChanged where the database holds rows fast and the caller wants that refused.
        """
        staying = [row for each in locked for row in each.changed()]
        staying += self._put_back(session, entry, locked)
        record, stayed = transaction.record, self._stayed.get(entry.applied_seq, ())
        if not stayed:
            self._forget_pending(session, entry)
            record.counts = record.counts + -entry.counts
            record.add_digests({name: SetDigest.parse(text) for name, text in entry.removed.items()})
            record.remove_digests({name: SetDigest.parse(text) for name, text in entry.digests.items()})
        if staying:
            transaction.add_findings(findings(staying))
        # Each row that stays is warned of once, however often it is tried.
        record.counts = record.counts + Counts(warnings=len(staying) - len(stayed))

    def _refuses(self, entry: Entry) -> bool:
        """Rows that stayed once were left on purpose; they are no reason to refuse what is tried again."""
        return self._changed == "refuse" and entry.applied_seq not in self._stayed

    def rows_of(self, session: TargetSession, entry: Entry, *, lock: bool) -> list[Rows]:
        """The rows of this batch, each held against the record of how it was left; `lock`: locked, in the order of every writer."""
        chunks = undo_of(self._ledger, session, self._run, entry)
        gone = [name for name in chunks if name not in self._shapes]
        if gone:
            raise StateError(
                f"batch {entry.pass_no}/{entry.range_no} cannot be taken back: table {gone[0]} is not there any more",
                where=f"run {self._run}",
            )
        found = [
            self._held(session, net_of(chunks[name]), shape, lock=lock)
            for name, shape in self._shapes.items()
            if name in chunks
        ]
        if entry.applied_seq not in self._stayed:
            return found
        keys: dict[str, set[str]] = {}
        for row in self._stayed[entry.applied_seq]:
            keys.setdefault(row.target, set()).add(row.key)
        return [each.only(keys[each.shape.name]) for each in found if each.shape.name in keys]

    def _held(self, session: TargetSession, net: Net, shape: TableShape, *, lock: bool) -> Rows:
        missing = missing_columns(net.subject, shape)
        if missing:
            raise StateError(
                f"{shape.name} has no column {missing[0]} any more: whether its rows are as they were left cannot be told",
                where=f"run {self._run}",
                next_step="put the column back, then roll back again",
            )
        untold = untold_columns(net, shape)
        if untold:
            raise StateError(
                f"{shape.name} has a new column {untold[0]}, whose default is no constant: whether somebody wrote to it cannot be told",
                where=f"run {self._run}",
                next_step="drop the column, with what is in it, then roll back again",
            )
        stored = session.fetch(shape, net.subject.key, net.keys, lock=lock)
        return Rows(shape, net, stored, stands(net, shape, stored))

    def _put_back(self, session: TargetSession, entry: Entry, locked: Sequence[Rows]) -> list[Standing]:
        """Change the rows that are as they were left; those that the database holds fast stay, or all of the batch is refused."""
        changes = [step for each in reversed(locked) for step in _removals(each)]
        returns = [_returns(each) for each in locked]
        stuck = put_back(session, [*changes, *returns])
        if stuck is None or replaced(session, stuck):
            return []
        by_name = {each.shape.name: each for each in locked}
        staying = [
            by_name[step.shape.name].standing(_place(by_name[step.shape.name].net, step), f"{HELD}: {why.message}")
            for step, why in stuck.steps
        ]
        if not self._whole:
            # What points at the row may be the run's own: with the row left behind, nothing would take it back any more.
            raise refusal(self._run, _name(entry), staying, next_step=_HELD_BY_OTHERS)
        if self._refuses(entry):
            raise refusal(self._run, _name(entry), staying)
        return staying

    def _forget_pending(self, session: TargetSession, entry: Entry) -> None:
        pending = self._ledger.tables.pending
        session.execute(
            sa.delete(pending).where(
                pending.c.run == self._run,
                pending.c.pass_no == entry.pass_no,
                pending.c.range_no == entry.range_no,
            )
        )


_HELD_BY_OTHERS = (
    "nothing of this batch was touched; other rows point at these: give the command again with the batches that wrote those, or take all of"
    " the run back: migrate rollback without --pass and --batch"
)


def _name(entry: Entry) -> str:
    return f"batch {entry.pass_no}/{entry.range_no}"


def _removals(locked: Rows) -> list[Step]:
    """What the batch inserted goes, what it updated gets its former content."""
    net, shape = locked.net, locked.shape
    inserted = net.is_left & ~net.was_there & locked.same
    updated = net.is_left & net.was_there & locked.same
    return [
        Step("delete", shape, net.subject.key, net.keys.filter(pa.array(inserted))),
        Step("update", shape, net.subject.key, net.before(writable(shape)).filter(pa.array(updated))),
    ]


def _returns(locked: Rows) -> Step:
    """What the batch took away comes back."""
    net = locked.net
    gone = ~net.is_left & net.was_there & locked.same
    rows = net.before(writable(locked.shape)).filter(pa.array(gone))
    return Step("insert", locked.shape, net.subject.key, rows)


def _place(net: Net, step: Step) -> int:
    wanted = tuple(step.rows[name][0].as_py() for name in step.key)
    keys = zip(*(column.to_pylist() for column in net.keys.columns), strict=True)
    return next(at for at, key in enumerate(keys) if key == wanted)


def _key_text(keys: pa.Table, at: int) -> str:
    return dump_key(tuple(column[at].as_py() for column in keys.columns))
