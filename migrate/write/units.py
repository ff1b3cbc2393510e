"""Write units whole: to all their targets or to none, with the undo records, counts and digests of what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import row_digests
from migrate.ledger.counts import Counts, TargetCounts
from migrate.stores.port import ORDINAL, TargetSession
from migrate.values import TableShape
from migrate.write.claims import Claims
from migrate.write.rows import UNIT, Aside, RowWriter, Written
from migrate.write.target import WriteTarget
from migrate.write.undo import Op, UndoChunk, UndoSubject, encode_undo

UNIT_ROWS = "_rows"
UNIT_ORDINAL = "_ordinal"
UNIT_RANGE = "_range"
UNIT_POSITION = "_position"
_DIGEST = pa.binary(16)
_WRITTEN = (int(Op.INSERT), int(Op.UPDATE), int(Op.IDENTICAL), int(Op.KEPT))


@dataclass(frozen=True, slots=True)
class Units:
    """Mapped units, in source order.

    `table`: `_unit` (int64, ascending), `_rows`, unit key columns, `_ordinal`, and the unit's place in source order: `_range`, `_position`.
    `rows`: per target `_unit` and the target's fields.
    """

    table: pa.Table
    rows: Mapping[str, pa.Table]
    unit_columns: tuple[str, ...]

    @classmethod
    def of_range(
        cls, table: pa.Table, rows: Mapping[str, pa.Table], unit_columns: tuple[str, ...], range_no: int, offset: int
    ) -> Units:
        """Units of one chunk of a range; `offset` is the position of the chunk's unit 0."""
        places = np.asarray(table[UNIT]) + offset
        placed = table.append_column(UNIT_RANGE, pa.array(np.full(table.num_rows, range_no, dtype=np.int64)))
        return cls(placed.append_column(UNIT_POSITION, pa.array(places)), rows, unit_columns)

    def source_rows(self, units: Sequence[int]) -> int:
        """How many source rows these units are."""
        at = self.places(np.asarray(units, dtype=np.int64))
        return int(pc.sum(self.table[UNIT_ROWS].take(pa.array(at))).as_py() or 0)

    def places(self, units: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Row numbers in `table` of these units."""
        return np.searchsorted(np.asarray(self.table[UNIT]), units)


@dataclass(frozen=True, slots=True)
class UnitsWritten:
    """What became of the units. `counts` has mapped, rejected, pending and the targets; `read` and `filtered` are the caller's.

    `aside`: units that were not written, one entry each. `undo`: chunks for the ledger. `digests`: of the rows as mapped, kept ones not.
    """

    counts: Counts
    aside: tuple[Aside, ...]
    undo: tuple[UndoChunk, ...]
    digests: dict[str, SetDigest]


class UnitWriter:
    """Writes units through one session. Belongs to one worker; remembers which targets had conflicts lately."""

    def __init__(self, targets: Sequence[WriteTarget], parents: Mapping[str, TableShape], claims: Claims) -> None:
        self._targets = tuple(targets)
        self._parents = dict(parents)
        self._claims = claims
        self._had_conflicts: dict[str, bool] = {}

    def write(self, session: TargetSession, units: Units) -> UnitsWritten:
        """Write what can be written; the transaction stays open, and holds nothing of the units that are set aside."""
        aside: dict[int, Aside] = {}
        while True:
            session.savepoint("units")
            written = self._attempt(session, units, aside)
            if written is not None:
                break
            session.rollback_to("units")
        undo = [chunk for target in self._targets for chunk in self._undo(session, target, units, written[target.name])]
        digests = {target.name: _set_digest(written[target.name]) for target in self._targets}
        return UnitsWritten(self._counts(units, written, aside), tuple(aside.values()), tuple(undo), digests)

    def _attempt(self, session: TargetSession, units: Units, aside: dict[int, Aside]) -> dict[str, Written] | None:
        """One go over all targets. Adds to `aside`; None when a unit that was set aside had already written something."""
        written: dict[str, Written] = {}
        for target in self._targets:
            rows = _without(units.rows[target.name], aside)
            writer = RowWriter(session, target, self._claims, self._parents)
            result = writer.write(rows, expect_conflicts=self._had_conflicts.get(target.name, False))
            self._had_conflicts[target.name] = bool((result.ops != Op.INSERT).any())
            written[target.name] = result
            fresh = {each.unit: each for each in reversed(result.aside)}
            if fresh:
                aside.update(fresh)
                if any(_touches(each, fresh) for each in written.values()):
                    return None
        return written

    def _counts(self, units: Units, written: Mapping[str, Written], aside: Mapping[int, Aside]) -> Counts:
        pending = units.source_rows([unit for unit, why in aside.items() if why.pending])
        rejected = units.source_rows([unit for unit, why in aside.items() if not why.pending])
        everything = int(pc.sum(units.table[UNIT_ROWS]).as_py() or 0)
        targets = {
            target.name: target_counts(written[target.name].ops, grouped=target.grouped) for target in self._targets
        }
        return Counts(0, everything - pending - rejected, 0, rejected, pending, 0, targets)

    def _undo(self, session: TargetSession, target: WriteTarget, units: Units, written: Written) -> list[UndoChunk]:
        at = np.flatnonzero(written.ops)
        if len(at) == 0:
            return []
        rows = written.rows.take(pa.array(at)) if len(at) < written.rows.num_rows else written.rows
        places = units.places(np.asarray(rows[UNIT]))
        ops = written.ops[at]
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            f"unit_{name}": units.table[name].take(pa.array(places)) for name in units.unit_columns
        }
        columns["ordinal"] = units.table[UNIT_ORDINAL].take(pa.array(places))
        columns["unit_range"] = units.table[UNIT_RANGE].take(pa.array(places))
        columns["position"] = units.table[UNIT_POSITION].take(pa.array(places))
        columns["unit_rows"] = units.table[UNIT_ROWS].take(pa.array(places))
        columns |= {f"key_{name}": rows[name] for name in target.key}
        columns["op"] = pa.array(ops, pa.int8())
        columns["digest"] = self._left_digests(session, target, written, at)
        if written.before is not None:
            order = np.full(written.rows.num_rows, -1, dtype=np.int64)
            order[written.before_at] = np.arange(len(written.before_at))
            images = pa.array(order[at], mask=order[at] < 0)
            columns |= {f"before_{name}": written.before[name].take(images) for name in target.shape.names}
        if (ops == Op.KEPT).any():
            # A kept row is not this run's: what it holds is nobody's concern when the run is taken back.
            columns["digest"] = pc.if_else(pa.array(ops != Op.KEPT), columns["digest"], pa.scalar(None, _DIGEST))
            kept = pa.array(np.arange(len(at)), mask=ops != Op.KEPT)
            columns |= {f"mapped_{name}": rows[name].take(kept) for name in target.fields}
        return list(encode_undo(undo_subject(target, units.unit_columns), pa.table(columns)))

    def _left_digests(
        self, session: TargetSession, target: WriteTarget, written: Written, at: npt.NDArray[np.int64]
    ) -> pa.Array:
        """16 bytes per row of `at`, over the covered columns; read back where the database fills some by itself."""
        if not target.volatile:
            digests = written.digests if len(at) == len(written.digests) else written.digests.take(pa.array(at))
            return half_digests(digests)
        keys = written.rows.select(target.key).take(pa.array(at))
        stored = session.fetch(target.shape, target.key, keys, lock=False)
        found = half_digests(row_digests(stored, target.covered))
        order = np.full(len(at), -1, dtype=np.int64)
        order[np.asarray(stored[ORDINAL])] = np.arange(stored.num_rows)
        return found.take(pa.array(order, mask=order < 0))


def undo_subject(target: WriteTarget, unit_columns: tuple[str, ...]) -> UndoSubject:
    """What the undo records of a target have in common."""
    covered = tuple(name for name, _ in target.covered.columns)
    return UndoSubject(target.name, unit_columns, target.key, covered, target.constants)


def half_digests(digests: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The first 16 of each 32 bytes; NULL stays NULL."""
    array = digests.combine_chunks() if isinstance(digests, pa.ChunkedArray) else digests
    return pc.cast(pc.binary_slice(pc.cast(array, pa.binary()), 0, 16), _DIGEST)


def target_counts(ops: npt.NDArray[np.int8], *, grouped: bool) -> TargetCounts:
    """Counts of what was done to the rows of one target."""
    inserted, updated, identical, kept = (int((ops == op).sum()) for op in _WRITTEN)
    return TargetCounts(inserted, updated, identical, kept, 0, int((ops != 0).sum()) if grouped else 0)


def _set_digest(written: Written) -> SetDigest:
    counted = (written.ops != 0) & (written.ops != Op.KEPT)
    if counted.all():
        return SetDigest.from_row_digests(written.digests)
    return SetDigest.from_row_digests(written.digests.filter(pa.array(counted)))


def _without(rows: pa.Table, aside: Mapping[int, Aside]) -> pa.Table:
    if not aside:
        return rows
    keep = ~np.isin(np.asarray(rows[UNIT]), np.fromiter(aside, dtype=np.int64))
    return rows.filter(pa.array(keep))


def _touches(written: Written, units: Mapping[int, Aside]) -> bool:
    """True when one of these units has a row that was written or found."""
    done = np.asarray(written.rows[UNIT])[written.ops != 0]
    return bool(np.isin(done, np.fromiter(units, dtype=np.int64)).any())
