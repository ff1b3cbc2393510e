"""The last phase: settle what no batch could decide, with one writer, so that the result does not depend on how batches were scheduled.

Pending units are taken in source order. A unit whose key an earlier unit holds loses; a unit that finds later ones in its way takes them back
and writes itself, and they wait again at their own places. "Earlier" is a total order: by version under `newer`, then by source order. A unit
can only be displaced by an earlier one, so this ends, in the state that writing unit after unit in that order would have given.

A unit whose parent is missing waits for another round. So does one that lost, where the winner may still go: because the row that it points
at is displaced, or an earlier unit gets its parent, or a greater version comes. When a whole round moves nothing, what is left is rejected.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.stores.port import TargetSession
from migrate.stores.typed_keys import dump_key, load_key
from migrate.values import Key, TableShape
from migrate.write.claims import Claims, Unit
from migrate.write.displace import Displacer, NotDisplaceable, units_waiting
from migrate.write.pending import decode_pending, encode_pending
from migrate.write.rivals import Rivals
from migrate.write.rows import UNIT, Aside
from migrate.write.target import WriteTarget
from migrate.write.transaction import BatchTransaction
from migrate.write.units import UNIT_ORDINAL, UNIT_POSITION, UNIT_RANGE, UNIT_ROWS, Units, UnitsWritten, UnitWriter

PendingId = tuple[int, int, int]
RawOf = Callable[[Sequence[Key]], Mapping[Key, str]]
"""Raw source rows, as JSON text, of units that are rejected late; a unit that is no longer in the source is missing."""


@dataclass(order=True, slots=True)
class _Waiting:
    order: tuple[int, int, int]
    unit: Unit = field(compare=False)
    rows: dict[str, pa.Table] = field(compare=False)
    why: Aside = field(compare=False)


@dataclass(slots=True)
class Settled:
    """What settling one ledger row of pending units came to: was any unit written or rejected; ledger ids of those that wait for another round."""

    moved: bool
    deferred: list[PendingId] = field(default_factory=list)


def next_pending(ledger: Ledger, run: str, passes: Sequence[int], skip: Sequence[PendingId]) -> PendingId | None:
    """The ledger row of these passes whose first unit comes first in source order, other than those in `skip`."""
    table = ledger.tables.pending
    with ledger.reading() as connection:
        rows = connection.execute(
            sa.select(table.c.pass_no, table.c.range_no, table.c.chunk_no)
            .where(table.c.run == run, table.c.pass_no.in_(passes))
            .order_by(table.c.first_range, table.c.first_position, table.c.pass_no, table.c.range_no, table.c.chunk_no)
        ).all()
    skipped = set(skip)
    return next((tuple(row) for row in rows if tuple(row) not in skipped), None)


class Settler:
    """Settles pending units, one ledger row per transaction. The caller begins and finishes the transaction, and holds the lease all the while."""

    def __init__(
        self,
        ledger: Ledger,
        run: str,
        targets: Sequence[WriteTarget],
        parents: Mapping[str, TableShape],
        unit_columns: tuple[str, ...],
        raw_of: RawOf,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._targets = tuple(targets)
        self._parents = dict(parents)
        self._unit_columns = unit_columns
        self._raw_of = raw_of
        # For all transactions: what it remembers is committed, and the filters of all chunks are asked for each row in the way.
        self._claims = Claims(ledger, run)

    def settle(
        self, transaction: BatchTransaction, session: TargetSession, which: PendingId, *, final: bool
    ) -> Settled:
        """Settle the pending units of one ledger row; `final`, after a round that moved nothing, rejects what cannot be written."""
        units, _ = decode_pending(self._take(session, which), self._unit_columns)
        writer = UnitWriter(self._targets, self._parents, self._claims)
        one = _One(_Tools(self._targets, self._claims, writer, self._raw_of), transaction, session, units, final=final)
        one.run()
        return Settled(one.moved, one.keep_deferred())

    def _take(self, session: TargetSession, which: PendingId) -> bytes:
        table = self._ledger.tables.pending
        mine = sa.and_(
            table.c.run == self._run,
            table.c.pass_no == which[0],
            table.c.range_no == which[1],
            table.c.chunk_no == which[2],
        )
        rows = session.execute(sa.select(table.c.payload).where(mine))
        session.execute(sa.delete(table).where(mine))
        return bytes(rows[0][0])


@dataclass(frozen=True, slots=True)
class _Tools:
    """What one ledger row is settled with."""

    targets: tuple[WriteTarget, ...]
    claims: Claims
    writer: UnitWriter
    raw_of: RawOf


class _One:
    """The settling of one ledger row."""

    def __init__(
        self,
        tools: _Tools,
        transaction: BatchTransaction,
        session: TargetSession,
        units: Units,
        *,
        final: bool,
    ) -> None:
        self._targets = tools.targets
        self._transaction = transaction
        self._session = session
        self._units = units
        self._final = final
        self._raw_of = tools.raw_of
        self._writer = tools.writer
        self._types = {name: units.table.schema.field(name).type for name in units.unit_columns}
        linked = {key.parent for target in self._targets for key in target.shape.foreign_keys}
        versioned = any(target.version_field is not None for target in self._targets)
        self._winners_may_go = versioned or any(target.name in linked for target in self._targets)
        self._rivals = Rivals(session, self._targets, tools.claims)
        self._displacer = Displacer(session, self._targets, tools.claims, self._types)
        self._queue: list[_Waiting] = []
        self.deferred: list[_Waiting] = []
        self._later: list[_Waiting] = []
        self._rejected: list[tuple[Unit, Aside]] = []
        self.moved = False

    def run(self) -> None:
        """Write all that has nothing in its way, then decide unit by unit."""
        self._count(Counts(pending=-self._units.source_rows(self._units.table[UNIT].to_pylist())))
        result = self._writer.write(self._session, self._units)
        self._keep(result)
        self.moved = len(result.aside) < self._units.table.num_rows
        for waiting in self._single(result.aside):
            self._sort_in(waiting)
        last = max((waiting.order for waiting in self._queue), default=(0, 0, 0))
        while self._queue:
            waiting = heapq.heappop(self._queue)
            if waiting.order > last:
                self._later.append(waiting)
            else:
                self._decide(waiting)
        self._keep_rejects()
        self._save(self._later)

    def keep_deferred(self) -> list[PendingId]:
        """Put the units that wait for another round back into the ledger; their ids there."""
        return self._save(self.deferred)

    def _sort_in(self, waiting: _Waiting) -> None:
        if not waiting.why.pending:
            self._rejected.append((waiting.unit, waiting.why))
            self.moved = True
        elif waiting.why.rule != "PARENT":
            heapq.heappush(self._queue, waiting)
        elif self._final:
            self._reject(waiting, waiting.why.reason)
        else:
            self.deferred.append(waiting)

    def _lose(self, waiting: _Waiting, reason: str) -> None:
        """Another unit comes first."""
        if not self._final and self._winners_may_go:
            waiting.why = replace(waiting.why, reason=reason)
            self.deferred.append(waiting)
        else:
            self._reject(waiting, reason)

    def _decide(self, waiting: _Waiting) -> None:
        """Lose against an earlier unit, or displace all later ones and be written."""
        holders: dict[tuple[Key, int], Unit] = {}
        for rival in self._rivals.of(waiting.unit, waiting.rows):
            if not rival.loses:
                self._lose(waiting, rival.reason)
                return
            holders |= {(claim.unit.key, claim.unit.ordinal): claim.unit for claim in rival.holding.claims}
        before = copy.deepcopy(self._transaction.record)
        self._session.savepoint("displace")
        displaced = self._write_over(waiting, list(holders.values()))
        if displaced is None:
            self._session.rollback_to("displace")
            self._transaction.record = before
            if waiting.why.pending:
                self._sort_in(waiting)
            else:
                self._lose(waiting, waiting.why.reason)
            return
        self.moved = True
        for each in displaced:
            heapq.heappush(self._queue, each)

    def _write_over(self, waiting: _Waiting, holders: list[Unit]) -> list[_Waiting] | None:
        """Units that were displaced, or None when the unit cannot be written after all (`waiting.why` says why)."""
        displaced: list[_Waiting] = []
        if holders:
            try:
                taken = self._displacer.take_back(holders)
            except NotDisplaceable as refusal:
                waiting.why = Aside(0, False, waiting.why.target, None, "CONFLICT", str(refusal))
                return None
            self._count(taken.counts)
            self._transaction.record.remove_digests(taken.removed)
            self._transaction.add_undo(taken.undo)
            reason = f"the earlier source unit {waiting.unit.key!r} has a key of this one"
            why_again = Aside(0, True, waiting.why.target, None, "CONFLICT", reason)
            displaced = [_Waiting((*unit.order, unit.ordinal), unit, rows, why_again) for unit, rows in taken.waiting]
        self._count(Counts(pending=-waiting.unit.rows))
        result = self._writer.write(
            self._session, units_waiting([(waiting.unit, waiting.rows)], self._types, self._targets)
        )
        if result.aside:
            why = result.aside[0]
            # Nothing of this run is in its way any more: a refusal for a key is final.
            waiting.why = why if why.rule == "PARENT" else Aside(0, False, why.target, why.field, why.rule, why.reason)
            return None
        self._keep(result)
        return displaced

    def _reject(self, waiting: _Waiting, reason: str) -> None:
        self._count(Counts(pending=-waiting.unit.rows, rejected=waiting.unit.rows))
        self.moved = True
        why = waiting.why
        self._rejected.append((waiting.unit, Aside(why.unit, False, why.target, why.field, why.rule, reason)))

    def _keep_rejects(self) -> None:
        if not self._rejected:
            return
        raw = self._raw_of([unit.key for unit, _ in self._rejected])
        entries = [
            {
                "unit_key": unit_text(unit.key, unit.ordinal),
                "target": why.target,
                "field": why.field,
                "rule": why.rule,
                "reason": why.reason,
                "value": None,
                "raw": raw.get(unit.key),
            }
            for unit, why in self._rejected
        ]
        self._transaction.add_rejects(pa.Table.from_pylist(entries, REJECT_SCHEMA))

    def _single(self, aside: Sequence[Aside]) -> list[_Waiting]:
        """The units that were set aside, one by one."""
        found: list[_Waiting] = []
        table = self._units.table
        for why in aside:
            at = int(self._units.places(pa.array([why.unit], pa.int64()).to_numpy())[0])
            row = {name: table[name][at].as_py() for name in table.column_names}
            key = tuple(row[name] for name in self._units.unit_columns)
            unit = Unit(key, row[UNIT_ORDINAL], row[UNIT_RANGE], row[UNIT_POSITION], row[UNIT_ROWS])
            rows = {
                name: content.filter(pc.equal(content[UNIT], why.unit)).drop_columns([UNIT])
                for name, content in self._units.rows.items()
            }
            found.append(_Waiting((*unit.order, unit.ordinal), unit, rows, why))
        return found

    def _save(self, waiting: list[_Waiting]) -> list[PendingId]:
        ordered = sorted(waiting)
        units = units_waiting([(each.unit, each.rows) for each in ordered], self._types, self._targets)
        aside = [
            Aside(number, True, each.why.target, None, each.why.rule, each.why.reason)
            for number, each in enumerate(ordered)
        ]
        return self._transaction.add_pending(encode_pending(units, aside))

    def _count(self, counts: Counts) -> None:
        self._transaction.record.counts = self._transaction.record.counts + counts

    def _keep(self, result: UnitsWritten) -> None:
        self._count(result.counts)
        self._transaction.record.add_digests(result.digests)
        self._transaction.add_undo(result.undo)


REJECT_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("unit_key", "target", "field", "rule", "reason", "value", "raw")]
)


def unit_text(key: Key, ordinal: int) -> str:
    """How rejects and findings name a unit: its typed key, and its rank where several units have that key."""
    return dump_key(key) if ordinal == 0 else f"{dump_key(key)}#{ordinal}"


def unit_key(text: str) -> Key:
    """The key of a unit from its text."""
    return load_key(text if text.endswith("]") else text.rpartition("#")[0])
