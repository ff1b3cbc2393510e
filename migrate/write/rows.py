"""Write the mapped rows of one target table inside of an open transaction, and say what became of each.

First everything is inserted at once. Only when the database refuses are rows told apart: those already there, the same or different; those
whose parent is missing; those that another constraint refuses, found by halving. Nothing is ever overwritten or skipped unseen.
A row that cannot be written is *set aside* with its reason; the caller takes its whole unit back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import key_digests, row_digests
from migrate.errors import ConstraintViolation
from migrate.stores.port import ANOMALY, ORDINAL, TargetSession
from migrate.values import Key, TableShape
from migrate.write.claims import Claims
from migrate.write.orphans import Orphans, orphan_reason
from migrate.write.scope import rows_in_scope
from migrate.write.target import WriteTarget, precedes
from migrate.write.undo import Op

UNIT = "_unit"

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Aside:
    """A unit that cannot be written now. `pending`: the last phase may still settle it; otherwise it is a reject."""

    unit: int
    pending: bool
    target: str
    field: str | None
    rule: str
    reason: str


@dataclass(slots=True)
class Written:
    """What became of `rows` (sorted as written): `ops[i]` of row i, 0 where set aside; `digests` (32 bytes each) of the mapped columns.

    `before`: whole stored rows from before an update, `before_at[j]` the position of the row that replaced the j-th.
    """

    rows: pa.Table
    digests: pa.Array
    ops: npt.NDArray[np.int8]
    before: pa.Table | None = None
    before_at: Positions = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    aside: list[Aside] = field(default_factory=list)


class RowWriter:
    """Writes rows of one target for one batch transaction.

    `parents` are the shapes of the tables that the target's foreign keys name.
    """

    def __init__(
        self, session: TargetSession, target: WriteTarget, claims: Claims, parents: dict[str, TableShape]
    ) -> None:
        self._session = session
        self._target = target
        self._claims = claims
        self._orphans = Orphans(session, target, parents)

    def write(self, rows: pa.Table, *, expect_conflicts: bool) -> Written:
        """Write `rows` (`_unit` and the target's fields). `expect_conflicts` saves the attempt to insert all at once."""
        rows = rows.sort_by([(name, "ascending") for name in (*self._target.key, UNIT)])
        written = Written(rows, row_digests(rows, self._target.contract), np.zeros(rows.num_rows, dtype=np.int8))
        everything = self._with_key(written)
        if not expect_conflicts and self._try_insert(written, everything) is None:
            written.ops[everything] = Op.INSERT
            return written
        first_of = self._first_of_key(written)
        firsts = everything[first_of[everything] == everything]
        self._settle_existing(written, firsts)
        for position in np.setdiff1d(everything, firsts).tolist():
            self._judge_repeat(written, int(first_of[position]), position)
        return written

    def _with_key(self, written: Written) -> Positions:
        """All positions but those with NULL in the target key: the database would let it come again and again, and no one could find it."""
        complete = np.ones(written.rows.num_rows, dtype=np.bool_)
        for name in self._target.key:
            column = written.rows[name]
            if column.null_count:
                valid = np.asarray(pc.is_valid(column))
                for position in np.flatnonzero(complete & ~valid).tolist():
                    self._set_aside(
                        written, position, "KEY", f"the target key is NULL in {name}: such a row could come twice"
                    )
                complete &= valid
        return np.flatnonzero(complete)

    def _try_insert(self, written: Written, positions: Positions) -> ConstraintViolation | None:
        """Insert the rows at `positions`; the violation if the database refused any, with none of them written."""
        if len(positions) == 0:
            return None
        self._session.savepoint("rows")
        try:
            self._session.insert(self._target.shape, self._take(written, positions))
        except ConstraintViolation as violation:
            self._session.rollback_to("rows")
            return violation
        return None

    def _take(self, written: Written, positions: Positions) -> pa.Table:
        rows = written.rows.select(self._target.fields)
        return rows if len(positions) == rows.num_rows else rows.take(pa.array(positions))

    def _first_of_key(self, written: Written) -> Positions:
        """For each position the one of the first row, in source order, with the same target key."""
        keys = key_digests(written.rows, self._target.contract).cast(pa.binary())
        codes = np.asarray(pc.dictionary_encode(keys).indices)
        _, first_at, which = np.unique(codes, return_index=True, return_inverse=True)
        return first_at[which].astype(np.int64)

    def _judge_repeat(self, written: Written, first: int, again: int) -> None:
        """A row whose target key an earlier row of the same chunk has; that one's fate is known."""
        units = written.rows[UNIT]
        if written.digests[first] == written.digests[again]:
            # Same content, same fate: what refused the first would refuse this one.
            if written.ops[first]:
                written.ops[again] = written.ops[first] if written.ops[first] == Op.KEPT else Op.IDENTICAL
            else:
                fate = next(aside for aside in written.aside if aside.unit == units[first].as_py())
                written.aside.append(replace(fate, unit=units[again].as_py()))
        elif units[first] == units[again]:
            self._set_aside(
                written, again, "KEY", f"two rows of one unit have the target key {self._key(written, again)}"
            )
        else:
            reason = f"another source unit has the target key {self._key(written, again)}"
            self._set_aside(written, again, "CONFLICT", reason, pending=True)

    def _settle_existing(self, written: Written, positions: Positions) -> None:
        """Compare with the stored rows of the same keys, then insert and update what is left to."""
        new, update = self._classify(written, positions)
        self._insert_by_halves(written, new)
        self._update_by_halves(written, update)

    def _classify(self, written: Written, positions: Positions) -> tuple[Positions, Positions]:
        """(new, to be updated); the identical, kept and conflicting ones are marked."""
        target = self._target
        keys = written.rows.select(target.key).take(pa.array(positions))
        stored = self._session.fetch(target.shape, target.key, keys, lock=True)
        if stored.num_rows == 0:
            return positions, positions[:0]
        at = positions[np.asarray(stored[ORDINAL])]
        differing = self._mark_identical(written, stored, at)
        update = self._judge_conflicts(written, stored.take(pa.array(differing)), at[differing])
        return np.setdiff1d(positions, at), update

    def _mark_identical(self, written: Written, stored: pa.Table, at: Positions) -> Positions:
        """Rows of `stored` that are not what is to be written."""
        same = pc.equal(row_digests(stored, self._target.contract), written.digests.take(pa.array(at)))
        usable = pc.and_(pc.fill_null(same, False), pc.is_null(stored[ANOMALY]))
        identical = np.asarray(pc.and_(usable, self._in_scope(stored)))
        written.ops[at[identical]] = Op.IDENTICAL
        return np.flatnonzero(~identical)

    def _judge_conflicts(self, written: Written, stored: pa.Table, at: Positions) -> Positions:
        """Stored rows with other content: by this run, or there before it. Returns the positions to update, before-images kept."""
        if stored.num_rows == 0:
            return at
        key = self._target.key
        held = self._held(written, stored)
        claimed = {row for row in held if not self._is_older(written, stored, int(at[row]), row)}
        same_key = np.asarray(
            pc.equal(
                key_digests(stored, self._target.contract),
                key_digests(written.rows.take(pa.array(at)), self._target.contract),
            )
        )
        in_scope = np.asarray(self._in_scope(stored))
        replaced: list[int] = []
        for row, position in enumerate(at.tolist()):
            if row in claimed:
                reason = f"another source unit of this run wrote the target key {self._key(written, position)} with other content"
                self._set_aside(written, position, "CONFLICT", reason, pending=True)
            elif not same_key[row]:
                there = self._target.shown([stored[name][row].as_py() for name in key])
                reason = f"the target key {self._key(written, position)} is, under the target's collation, that of the row {there}"
                self._set_aside(written, position, "CONFLICT", reason, pending=row in held)
            elif self._replaces(written, stored, position, row, in_scope=bool(in_scope[row])):
                replaced.append(row)
        self._keep_before(written, stored.take(pa.array(replaced, pa.int64())), at[replaced])
        return at[replaced]

    def _held(self, written: Written, stored: pa.Table) -> set[int]:
        """Which of the `stored` rows a unit of this run holds, so that source order decides and not `on_conflict`."""
        touched = self._claims.held(self._session, self._target.name, stored.select(self._target.key))
        held = {row for row, holding in touched.items() if holding.decides(self._target.mode)}
        # What this very call wrote has no undo record yet; a row of it stands in the way when only the collation holds two keys equal.
        mine = pa.array(np.isin(written.ops, (int(Op.INSERT), int(Op.UPDATE))))
        own = key_digests(written.rows.filter(mine), self._target.contract)
        found = pc.is_in(key_digests(stored, self._target.contract), value_set=own)
        return held | set(np.flatnonzero(np.asarray(found)).tolist())

    def _is_older(self, written: Written, stored: pa.Table, position: int, row: int) -> bool:
        """True under `newer` when the stored version is greater: the row is kept, whichever unit wrote it."""
        version = self._target.version_field
        if version is None:
            return False
        return precedes(stored[version][row].as_py(), written.rows[version][position].as_py())

    def _replaces(self, written: Written, stored: pa.Table, position: int, row: int, *, in_scope: bool) -> bool:
        """Apply the mapping's `on_conflict` to one row that was there before the run."""
        target = self._target
        if stored[ANOMALY][row].as_py() is not None:
            self._set_aside(
                written, position, "CONFLICT", f"the row there cannot be read: {stored[ANOMALY][row].as_py()}"
            )
        elif target.mode == "newer" and target.version_field is not None:
            ours = written.rows[target.version_field][position].as_py()
            theirs = stored[target.version_field][row].as_py()
            if precedes(ours, theirs):
                return True
            if precedes(theirs, ours):
                written.ops[position] = Op.KEPT
            else:
                # Pending: should a unit of a greater version come, this one is not in conflict but older, and kept.
                what = f"a row with the same {target.version_field} {ours}"
                self._conflict(written, stored, position, row, what, pending=True)
        elif not in_scope:
            self._conflict(written, stored, position, row, "a row outside of the mapping's scope")
        elif target.mode == "update":
            return True
        elif target.mode == "keep":
            written.ops[position] = Op.KEPT
        else:
            self._conflict(written, stored, position, row, "a row that is there already")
        return False

    def _conflict(
        self, written: Written, stored: pa.Table, position: int, row: int, what: str, *, pending: bool = False
    ) -> None:
        differing = [
            f"{name}: {stored[name][row].as_py()!r} there, {written.rows[name][position].as_py()!r} here"
            for name in self._target.fields
            if stored[name][row] != written.rows[name][position]
        ]
        reason = f"the target key {self._key(written, position)} belongs to {what}, with {'; '.join(differing[:5])}"
        self._set_aside(written, position, "CONFLICT", reason, pending=pending)

    def _keep_before(self, written: Written, stored: pa.Table, at: Positions) -> None:
        if stored.num_rows == 0:
            return
        images = stored.select(self._target.shape.names)
        written.before = images if written.before is None else pa.concat_tables([written.before, images])
        written.before_at = np.concatenate([written.before_at, at])

    def _insert_by_halves(self, written: Written, positions: Positions) -> None:
        violation = self._try_insert(written, positions)
        if violation is None:
            written.ops[positions] = Op.INSERT
            return
        if len(positions) == 1:
            self._judge_refused(written, int(positions[0]), violation)
            return
        if violation.kind == "foreign_key":
            left = self._set_orphans_aside(written, positions)
            if len(left) < len(positions):
                self._insert_by_halves(written, left)
                return
        if violation.kind == "unique":
            left = self._set_unique_aside(written, positions)
            if len(left) < len(positions):
                self._insert_by_halves(written, left)
                return
        middle = len(positions) // 2
        self._insert_by_halves(written, positions[:middle])
        self._insert_by_halves(written, positions[middle:])

    def _judge_refused(self, written: Written, position: int, violation: ConstraintViolation) -> None:
        """One row that the database refuses by itself."""
        alone = np.array([position], dtype=np.int64)
        if violation.kind == "unique":
            keys = written.rows.select(self._target.key).take(pa.array(alone))
            if self._session.fetch(self._target.shape, self._target.key, keys, lock=True).num_rows:
                # Another writer committed the key since we looked.
                _, update = self._classify(written, alone)
                self._update_by_halves(written, update)
                return
        self._set_refused_aside(written, position, violation)

    def _set_refused_aside(self, written: Written, position: int, violation: ConstraintViolation) -> None:
        """Set one row aside that the database refuses, with the values and the other row that are to blame, where they can be told."""
        alone = np.array([position], dtype=np.int64)
        if violation.kind == "foreign_key" and not len(self._set_orphans_aside(written, alone)):
            return
        if violation.kind == "unique" and not len(self._set_unique_aside(written, alone)):
            return
        pending = violation.kind in {"unique", "foreign_key"}
        rule = {"unique": "CONFLICT", "foreign_key": "PARENT"}.get(violation.kind, "CONSTRAINT")
        self._set_aside(written, position, rule, f"the target refuses the row: {violation.message}", pending=pending)

    def _set_orphans_aside(self, written: Written, positions: Positions) -> Positions:
        """Set aside all rows whose parent is not stored (nor among the rows themselves); the positions that are left."""
        left = positions
        for foreign_key in self._target.shape.foreign_keys:
            if len(left) and set(foreign_key.columns) <= set(self._target.fields):
                orphans = self._orphans.find(written.rows, left, foreign_key)
                for position in orphans.tolist():
                    reason = orphan_reason(written.rows, position, foreign_key)
                    self._set_aside(written, position, "PARENT", reason, pending=True)
                left = np.setdiff1d(left, orphans)
        return left

    def _set_unique_aside(self, written: Written, positions: Positions) -> Positions:
        """Set aside rows whose value of another unique key is stored already; the positions that are left."""
        left = positions
        for unique in self._target.unique_fields[1:]:
            taken = self._taken(written, left, unique)
            for position, holder in taken.items():
                values = ", ".join(f"{name} = {written.rows[name][position].as_py()!r}" for name in unique)
                reason = f"{values} belongs to the row {self._target.shown(holder)} already, and must be unique"
                self._set_aside(written, position, "CONFLICT", reason, pending=True)
            left = np.setdiff1d(left, np.fromiter(taken, dtype=np.int64))
        return left

    def _taken(self, written: Written, positions: Positions, unique: tuple[str, ...]) -> dict[int, Key]:
        """Those of `positions` whose values of `unique` another stored row has, and that row's target key."""
        values = written.rows.select(unique).take(pa.array(positions))
        complete = np.ones(len(positions), dtype=np.bool_)
        for column in values.columns:
            complete &= np.asarray(pc.is_valid(column))
        asked = np.flatnonzero(complete)
        key = self._target.key
        found = self._session.fetch(self._target.shape, unique, values.take(pa.array(asked)), lock=False, columns=key)
        at = positions[asked[np.asarray(found[ORDINAL])]].tolist()
        holders = zip(*(found[name].to_pylist() for name in key), strict=True)
        own = zip(*(written.rows[name].take(pa.array(at, pa.int64())).to_pylist() for name in key), strict=True)
        return {position: holder for position, holder, mine in zip(at, holders, own, strict=True) if holder != mine}

    def _update_by_halves(self, written: Written, positions: Positions) -> None:
        if len(positions) == 0:
            return
        self._session.savepoint("rows")
        try:
            self._session.update(self._target.shape, self._target.key, self._take(written, positions))
        except ConstraintViolation as violation:
            self._session.rollback_to("rows")
            if len(positions) == 1:
                self._set_refused_aside(written, int(positions[0]), violation)
                return
            middle = len(positions) // 2
            self._update_by_halves(written, positions[:middle])
            self._update_by_halves(written, positions[middle:])
            return
        written.ops[positions] = Op.UPDATE

    def _set_aside(self, written: Written, position: int, rule: str, reason: str, *, pending: bool = False) -> None:
        unit = written.rows[UNIT][position].as_py()
        written.aside.append(Aside(unit, pending, self._target.name, None, rule, reason))

    def _key(self, written: Written, position: int) -> str:
        return self._target.shown([written.rows[name][position].as_py() for name in self._target.key])

    def _in_scope(self, stored: pa.Table) -> pa.Array:
        return rows_in_scope(stored, self._target.scope_sql)
