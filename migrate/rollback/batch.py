"""Take one batch back in one transaction: all of its rows, or none where somebody changed one since.

Rows are locked in the order of every writer, parents before children and keys in order, before any is changed; then they are changed in the
reverse order. Counts and digests of the batch are taken back with them, and its pending units.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from migrate.checksum.set_digest import SetDigest
from migrate.errors import RowsChanged, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.runs import Entry
from migrate.rollback.images import Flags, Net, missing_columns, net_of, stands, untold_columns
from migrate.rollback.records import undo_of
from migrate.rollback.request import Request
from migrate.stores.port import ANOMALY, ORDINAL, TargetSession
from migrate.stores.typed_keys import dump_key, key_text, load_key
from migrate.values import TableShape
from migrate.write.restore import Step, put_back, replaced, writable
from migrate.write.transaction import BatchTransaction

SHOWN = 20
"""Rows that a refusal names in its text; all of them are in its `rows`."""
_RULE: Final = "ROLLBACK"
_STAYS: Final = "not taken back: "
"""What the findings about rows that stay have in common."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A row that stays as it is: why, what was recorded of it before the run's change (None: it was not there), and what is there now."""

    target: str
    key: str
    why: str
    before: dict[str, Any] | None
    found: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The key as people read it."""
        return key_text(load_key(self.key))

    def to_json(self) -> dict[str, Any]:
        """As it goes into JSON documents."""
        return {
            "target": self.target,
            "key": self.key,
            "why": self.why,
            "before": _plain(self.before),
            "found": _plain(self.found),
        }


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table that a batch changed: what was recorded of them, what is stored, and which are as they were left."""

    shape: TableShape
    net: Net
    stored: pa.Table
    same: Flags

    def changed(self) -> list[Standing]:
        """The rows that somebody changed since."""
        return [self.standing(int(at), "changed since") for at in np.flatnonzero(~self.same)]

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
    """Takes batches back through one session, one transaction each. `shapes`: the target tables, parents first."""

    def __init__(self, ledger: Ledger, run: str, shapes: Mapping[str, TableShape], request: Request) -> None:
        self._ledger = ledger
        self._run = run
        self._shapes = dict(shapes)
        self._changed = request.changed
        self._whole = request.whole

    def hold(self, session: TargetSession, entry: Entry) -> list[Rows]:
        """Lock the rows of this batch, and hold them against its records; changes nothing. The caller began a transaction.

        Raises RowsChanged where rows stand in the way and the caller wants that refused; StateError for undo records that cannot be used.
        """
        locked = self.rows_of(session, entry, lock=True)
        staying = [row for each in locked for row in each.changed()]
        if staying and self._changed == "refuse":
            raise refusal(self._run, entry, staying)
        return locked

    def take_back(
        self, transaction: BatchTransaction, session: TargetSession, entry: Entry, locked: Sequence[Rows]
    ) -> None:
        """Put the rows of this batch back as they were; rows that stay become findings. The caller finishes the transaction.

        Raises RowsChanged where the database holds rows fast and the caller wants that refused.
        """
        staying = [row for each in locked for row in each.changed()]
        staying += self._put_back(session, entry, locked)
        self._forget_pending(session, entry)
        record = transaction.record
        record.counts = record.counts + -entry.counts
        record.add_digests({name: SetDigest.parse(text) for name, text in entry.removed.items()})
        record.remove_digests({name: SetDigest.parse(text) for name, text in entry.digests.items()})
        if staying:
            transaction.add_findings(_findings(staying))
            record.counts = record.counts + Counts(warnings=len(staying))

    def rows_of(self, session: TargetSession, entry: Entry, *, lock: bool) -> list[Rows]:
        """The rows of this batch, each held against the record of how it was left; `lock`: locked, in the order of every writer."""
        chunks = undo_of(self._ledger, session, self._run, entry)
        gone = [name for name in chunks if name not in self._shapes]
        if gone:
            raise StateError(
                f"batch {entry.pass_no}/{entry.range_no} cannot be taken back: table {gone[0]} is not there any more",
                where=f"run {self._run}",
            )
        return [
            self._held(session, net_of(chunks[name]), shape, lock=lock)
            for name, shape in self._shapes.items()
            if name in chunks
        ]

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
            by_name[step.shape.name].standing(_place(by_name[step.shape.name].net, step), f"held fast: {why.message}")
            for step, why in stuck.steps
        ]
        if not self._whole:
            # What points at the row may be the run's own: with the row left behind, nothing would take it back any more.
            raise refusal(self._run, entry, staying, next_step=_HELD_BY_OTHERS)
        if self._changed == "refuse":
            raise refusal(self._run, entry, staying)
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


_LOOK = "nothing of this batch was touched; look at these rows, then roll back again, or leave them as they are: --changed skip"
_HELD_BY_OTHERS = (
    "nothing of this batch was touched; other rows point at these: give the command again with the batches that wrote those, or take all of"
    " the run back: migrate rollback without --pass and --batch"
)


def refusal(run: str, entry: Entry, rows: Sequence[Standing], *, next_step: str = _LOOK) -> RowsChanged:
    """Why a batch is not taken back, with the names of the rows."""
    shown = "".join(f"\n  {row.target} {row.name}: {row.why}" for row in rows[:SHOWN])
    more = f"\n  … and {len(rows) - SHOWN} more (--json names all)" if len(rows) > SHOWN else ""
    return RowsChanged(
        f"batch {entry.pass_no}/{entry.range_no} is not taken back, rows of it are not as the run left them: {len(rows)}{shown}{more}",
        [row.to_json() for row in rows],
        where=f"run {run}",
        next_step=next_step,
    )


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


def rows_that_stayed(ledger: Ledger, run: str, pass_no: int) -> tuple[Standing, ...]:
    """The rows that the batches of a rollback left, newest batch first, as the ledger has them: an attempt that died left rows too."""
    finding = ledger.tables.finding
    query = (
        sa.select(finding.c.target, finding.c.unit_key, finding.c.reason, finding.c.value)
        .where(finding.c.run == run, finding.c.pass_no == pass_no, finding.c.rule == _RULE)
        .order_by(finding.c.range_no.desc(), finding.c.entry_no)
    )
    with ledger.reading() as connection:
        return tuple(
            Standing(row.target, row.unit_key, row.reason.removeprefix(_STAYS), **json.loads(row.value))
            for row in connection.execute(query)
        )


def _findings(rows: Sequence[Standing]) -> pa.Table:
    names = ("level", "unit_key", "target", "field", "rule", "reason", "value")
    entries = [
        {
            "level": "warn",
            "unit_key": row.key,
            "target": row.target,
            "field": None,
            "rule": _RULE,
            "reason": f"{_STAYS}{row.why}",
            "value": json.dumps({"before": _plain(row.before), "found": _plain(row.found)}, ensure_ascii=False),
        }
        for row in rows
    ]
    return pa.Table.from_pylist(entries, pa.schema([(name, pa.string()) for name in names]))


def _plain(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A row for JSON: numbers of any size and times as text."""
    if row is None:
        return None
    return {
        name: value
        if value is None or isinstance(value, str | bool | int)
        else value.hex()
        if isinstance(value, bytes)
        else str(value)
        for name, value in row.items()
    }
