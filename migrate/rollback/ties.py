"""Which batches of a run hang together: with one of them gone, the entry of another would not be true any more.

Three things tie them:

- *Rows.* A later batch changed a row of this one, or found it identical or newer, and counted it.
- *The last phase.* Its entries moved counts of units that batches had left pending; what it took in is not there to wait again. All of a
  pass's last phase and all batches whose units it settled go together.
- *Replays.* What a replay read again was rejected by this batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from migrate.checksum.vectorised import key_hashes
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Entry, Pass, read_passes
from migrate.rollback.records import Chunk, undo_of
from migrate.stores.port import TargetSession
from migrate.write.undo import Op, may_contain

_LOOKS = (int(Op.IDENTICAL), int(Op.KEPT))
"""Operations that only looked at a row, and counted it."""


@dataclass(frozen=True, slots=True)
class _Touched:
    """Rows of one table that a batch has records about: hashes of their keys, and whether it did more than look at them."""

    keys: npt.NDArray[np.uint64]
    changed: npt.NDArray[np.bool_]

    def meets(self, later: _Touched) -> bool:
        """Has the later batch a row of this one at which either of them did more than look?"""
        return bool(
            np.isin(later.keys, self.keys[self.changed]).any() or np.isin(later.keys[later.changed], self.keys).any()
        )


class Ties:
    """The ties of one run among `standing`, its batches that no rollback has taken back."""

    def __init__(self, ledger: Ledger, run: str, standing: Sequence[Entry]) -> None:
        self._ledger = ledger
        self._run = run
        self._standing = tuple(standing)
        self._passes: Mapping[int, Pass] = {each.number: each for each in read_passes(ledger, run)}
        self._waiting = _waiting(ledger, run)

    def closure(self, chosen: Sequence[Entry]) -> list[Entry]:
        """The chosen batches and all that can go only with them, oldest first. Raises StateError for undo records that cannot be used."""
        together = {each.applied_seq: each for each in chosen}
        fresh = list(chosen)
        session = self._ledger.store.session()
        try:
            session.begin()
            while fresh:
                found = [*self._settled_with(fresh), *self._replayed(fresh), *self._touching(session, fresh, together)]
                fresh = list({each.applied_seq: each for each in found if each.applied_seq not in together}.values())
                together |= {each.applied_seq: each for each in fresh}
        finally:
            session.rollback()
            session.close()
        return [each for each in self._standing if each.applied_seq in together]

    def _settled_with(self, fresh: Sequence[Entry]) -> Iterator[Entry]:
        for number in {each.pass_no for each in fresh}:
            mine = [each for each in self._standing if each.pass_no == number]
            if any(each.range_no < 0 for each in mine):
                together = [each for each in mine if each.range_no < 0 or self._was_settled(each)]
                concerned = {each.applied_seq for each in together} & {each.applied_seq for each in fresh}
                yield from together if concerned else ()

    def _was_settled(self, entry: Entry) -> bool:
        """Did the last phase take in units that this batch had left pending?"""
        return entry.counts.pending != self._waiting.get((entry.pass_no, entry.range_no), 0)

    def _replayed(self, fresh: Sequence[Entry]) -> Iterator[Entry]:
        refused = [each.applied_seq for each in fresh if each.counts.rejected > 0 and self._is(each, "full")]
        for each in self._standing:
            if refused and self._is(each, "replay") and self._passes[each.pass_no].after_seq >= min(refused):
                yield each

    def _is(self, entry: Entry, kind: str) -> bool:
        return self._passes[entry.pass_no].kind == kind

    def _touching(
        self, session: TargetSession, fresh: Sequence[Entry], together: Mapping[int, Entry]
    ) -> Iterator[Entry]:
        """Later batches that have a row of a fresh one."""
        others = [each for each in self._standing if each.applied_seq not in together]
        for entry in fresh:
            later = [each for each in others if each.applied_seq > entry.applied_seq]
            if not later:
                continue
            rows = self._touched(session, entry)
            for other in later:
                if self._may_meet(session, rows, other) and _meet(rows, self._touched(session, other)):
                    yield other

    def _may_meet(self, session: TargetSession, rows: Mapping[str, _Touched], other: Entry) -> bool:
        """By the filters of the other's chunks, which cost less than its records; false is certain."""
        undo = self._ledger.tables.undo
        filters = session.execute(
            sa.select(undo.c.target, undo.c.key_filter).where(
                undo.c.run == self._run, undo.c.pass_no == other.pass_no, undo.c.range_no == other.range_no
            )
        )
        return any(
            target in rows and may_contain(bytes(key_filter), rows[target].keys).any() for target, key_filter in filters
        )

    def _touched(self, session: TargetSession, entry: Entry) -> dict[str, _Touched]:
        chunks = undo_of(self._ledger, session, self._run, entry)
        return {target: _touched_by(records) for target, records in chunks.items()}


def _meet(rows: Mapping[str, _Touched], later: Mapping[str, _Touched]) -> bool:
    return any(target in rows and rows[target].meets(touched) for target, touched in later.items())


def _touched_by(chunks: Sequence[Chunk]) -> _Touched:
    keys, changed = [], []
    for subject, records in chunks:
        columns = records.select([f"key_{name}" for name in subject.key])
        keys.append(key_hashes(columns, tuple(columns.column_names)))
        changed.append(~np.isin(np.asarray(records["op"]), _LOOKS))
    return _Touched(np.concatenate(keys), np.concatenate(changed))


def _waiting(ledger: Ledger, run: str) -> dict[tuple[int, int], int]:
    """Source rows of the units that wait, by the batch (pass, range) that left them."""
    table = ledger.tables.pending
    query = (
        sa.select(table.c.pass_no, table.c.range_no, sa.func.sum(table.c.rows).label("waiting"))
        .where(table.c.run == run)
        .group_by(table.c.pass_no, table.c.range_no)
    )
    with ledger.reading() as connection:
        return {(row.pass_no, row.range_no): int(row.waiting) for row in connection.execute(query)}
