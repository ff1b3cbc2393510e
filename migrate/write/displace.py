"""Take back everything that some units of a run wrote, so that another unit, earlier in source order, can have a key of theirs.

Only the last phase does this, alone. A unit is taken back whole, with the units that found a row of it identical, and with those whose rows
point at one of its rows. All of them wait again afterwards, complete, at their own places in source order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import row_digests
from migrate.ledger.counts import Counts, TargetCounts
from migrate.stores.port import ORDINAL, TargetSession
from migrate.values import Key
from migrate.write.claims import Claim, Claims, Unit
from migrate.write.restore import Step, put_back, writable
from migrate.write.rows import UNIT
from migrate.write.target import WriteTarget
from migrate.write.undo import Op, UndoChunk, encode_undo
from migrate.write.units import UNIT_ORDINAL, UNIT_POSITION, UNIT_RANGE, UNIT_ROWS, Units, half_digests, undo_subject


class NotDisplaceable(Exception):
    """A row of the unit cannot be taken back: rows that this run does not hold point at it."""


@dataclass(slots=True)
class TakenBack:
    """Units that wait again, with their rows as they stood; what the ledger has to record of it."""

    waiting: list[tuple[Unit, dict[str, pa.Table]]] = field(default_factory=list)
    undo: list[UndoChunk] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    removed: dict[str, SetDigest] = field(default_factory=dict)


_BACKWARDS = {Op.INSERT: Op.DELETE, Op.UPDATE: Op.RESTORE, Op.IDENTICAL: Op.RELEASE, Op.KEPT: Op.RELEASE}


class Displacer:
    """Takes units back through one session. `unit_types`: Arrow types of the unit key columns, in order."""

    def __init__(
        self,
        session: TargetSession,
        targets: Sequence[WriteTarget],
        claims: Claims,
        unit_types: Mapping[str, pa.DataType],
    ) -> None:
        self._session = session
        self._targets = tuple(targets)
        self._claims = claims
        self._unit_types = dict(unit_types)

    def take_back(self, units: Sequence[Unit]) -> TakenBack:
        """Take back these units and whoever hangs on them. Raises NotDisplaceable, after which the caller rolls back to its savepoint."""
        everyone = self._closure(units)
        result = TakenBack()
        rows: dict[int, dict[str, pa.Table]] = {number: {} for number in range(len(everyone))}
        for target in reversed(self._targets):
            mine = [(number, claim) for number, unit in enumerate(everyone) for claim in self._of_unit(target, unit)]
            for own in rows.values():
                own[target.name] = _no_rows(target)
            if mine:
                self._take_rows_back(target, mine, rows, result)
        moved = sum(unit.rows for unit in everyone)
        result.counts = result.counts + Counts(mapped=-moved, pending=moved)
        result.waiting = [(unit, rows[number]) for number, unit in enumerate(everyone)]
        return result

    def _closure(self, units: Sequence[Unit]) -> list[Unit]:
        """The units, those that found a row of theirs identical or newer, those whose rows point at one, and those with what one gave up."""
        everyone: list[Unit] = []
        queue = list(units)
        while queue:
            unit = queue.pop()
            if any(unit.same_as(other) for other in everyone):
                continue
            everyone.append(unit)
            for target in self._targets:
                for claim in self._of_unit(target, unit):
                    if claim.op in {Op.INSERT, Op.UPDATE}:
                        queue += self._sharers(target, claim.target_key)
                    if claim.op is Op.INSERT:
                        queue += self._dependents(target, claim.target_key)
                    if claim.op is Op.UPDATE and claim.before is not None:
                        queue += self._successors(target, claim.before)
        return sorted(everyone, key=lambda unit: (unit.order, unit.ordinal))

    def _of_unit(self, target: WriteTarget, unit: Unit) -> list[Claim]:
        return self._claims.of_unit(self._session, target.name, unit)

    def _sharers(self, target: WriteTarget, key: Key) -> list[Unit]:
        held = self._claims.held(self._session, target.name, target.key_table([key]))
        return [claim.unit for each in held.values() for claim in (*each.claims, *each.kept)]

    def _successors(self, target: WriteTarget, before: Mapping[str, object]) -> list[Unit]:
        """Units whose rows have a unique value that this row gave up when it was updated, and has to get back."""
        found: list[Unit] = []
        for unique in target.unique_fields[1:]:
            if any(before[name] is None for name in unique):
                continue
            wanted = pa.table({name: pa.array([before[name]], target.shape.column(name).type.arrow) for name in unique})
            rows = self._session.fetch(target.shape, unique, wanted, lock=True, columns=target.key)
            held = self._claims.held(self._session, target.name, rows.select(target.key))
            found += [claim.unit for each in held.values() for claim in each.claims]
        return found

    def _dependents(self, parent: WriteTarget, key: Key) -> list[Unit]:
        found: list[Unit] = []
        for child in self._targets:
            for foreign_key in child.shape.foreign_keys:
                if foreign_key.parent != parent.name:
                    continue
                pointed_at = foreign_key.parent_columns
                row = self._session.fetch(
                    parent.shape, parent.key, parent.key_table([key]), lock=False, columns=pointed_at
                )
                wanted = row.select(pointed_at).rename_columns(list(foreign_key.columns))
                rows = self._session.fetch(child.shape, foreign_key.columns, wanted, lock=True, columns=child.key)
                held = self._claims.held(self._session, child.name, rows.select(child.key))
                if len([each for each in held.values() if each.claims]) < rows.num_rows:
                    raise NotDisplaceable(f"rows of {child.name} that this run did not write point at {key!r}")
                found += [claim.unit for each in held.values() for claim in each.claims]
        return found

    def _take_rows_back(
        self,
        target: WriteTarget,
        mine: list[tuple[int, Claim]],
        rows: dict[int, dict[str, pa.Table]],
        result: TakenBack,
    ) -> None:
        keys = target.key_table([claim.target_key for _, claim in mine])
        stored = self._session.fetch(target.shape, target.key, keys, lock=True).sort_by(ORDINAL)
        content = stored.select(target.fields)
        for row, at in enumerate(stored[ORDINAL].to_pylist()):
            number, claim = mine[at]
            own = content.slice(row, 1) if claim.mapped is None else _one_row(target, claim.mapped)
            rows[number][target.name] = pa.concat_tables([rows[number][target.name], own])
        claims = [claim for _, claim in mine]
        self._restore(target, claims)
        result.undo += self._records(target, claims, stored)
        counted = [at for at in stored[ORDINAL].to_pylist() if claims[at].op is not Op.KEPT]
        digests = row_digests(stored, target.contract).take(pa.array(counted, pa.int64()))
        result.removed[target.name] = SetDigest.from_row_digests(digests)
        result.counts = result.counts + Counts(targets={target.name: _backwards_counts(target, claims)})

    def _restore(self, target: WriteTarget, claims: list[Claim]) -> None:
        """Delete what was inserted, and put back what was updated."""
        inserted = [claim.target_key for claim in claims if claim.op is Op.INSERT]
        images = [claim.before for claim in claims if claim.op is Op.UPDATE and claim.before is not None]
        columns = [target.shape.column(name) for name in writable(target.shape)]
        rows = pa.table({c.name: pa.array([image[c.name] for image in images], c.type.arrow) for c in columns})
        stuck = put_back(
            self._session,
            [
                Step("delete", target.shape, target.key, target.key_table(inserted)),
                Step("update", target.shape, target.key, rows),
            ],
        )
        if stuck is not None:
            raise NotDisplaceable(f"a row of {target.name} cannot be taken back: {stuck.why.message}") from stuck.why

    def _records(self, target: WriteTarget, claims: list[Claim], stored: pa.Table) -> list[UndoChunk]:
        row_of = {at: row for row, at in enumerate(stored[ORDINAL].to_pylist())}
        ops = [_BACKWARDS[claim.op] for claim in claims]
        images = pa.array([row_of.get(at) if op is not Op.RELEASE else None for at, op in enumerate(ops)], pa.int64())
        names = list(self._unit_types)
        columns: dict[str, pa.Array | pa.ChunkedArray] = {
            f"unit_{name}": pa.array([claim.unit.key[place] for claim in claims], self._unit_types[name])
            for place, name in enumerate(names)
        }
        columns["ordinal"] = pa.array([claim.unit.ordinal for claim in claims], pa.int64())
        columns["unit_range"] = pa.array([claim.unit.range_no for claim in claims], pa.int64())
        columns["position"] = pa.array([claim.unit.position for claim in claims], pa.int64())
        columns["unit_rows"] = pa.array([claim.unit.rows for claim in claims], pa.int64())
        columns |= {
            f"key_{name}": column for name, column in _columns(target.key_table([c.target_key for c in claims]))
        }
        columns["op"] = pa.array([int(op) for op in ops], pa.int8())
        columns["digest"] = self._digests_left(target, claims, ops)
        columns |= {f"before_{name}": stored[name].take(images) for name in target.shape.names}
        return list(encode_undo(undo_subject(target, tuple(names)), pa.table(columns)))

    def _digests_left(self, target: WriteTarget, claims: list[Claim], ops: list[Op]) -> pa.Array:
        """Of restored rows only: the digest of the row as it is again."""
        restored = [at for at, op in enumerate(ops) if op is Op.RESTORE]
        left: list[bytes | None] = [None] * len(ops)
        if restored:
            stored = self._session.fetch(
                target.shape, target.key, target.key_table([claims[at].target_key for at in restored]), lock=False
            )
            for at, digest in zip(
                stored[ORDINAL].to_pylist(), half_digests(row_digests(stored, target.covered)).to_pylist(), strict=True
            ):
                left[restored[at]] = digest
        return pa.array(left, pa.binary(16))


def units_waiting(
    waiting: Sequence[tuple[Unit, Mapping[str, pa.Table]]],
    unit_types: Mapping[str, pa.DataType],
    targets: Sequence[WriteTarget],
) -> Units:
    """One `Units` value of single waiting units, in the order given."""
    names = tuple(unit_types)
    columns: dict[str, pa.Array] = {
        UNIT: pa.array(range(len(waiting)), pa.int64()),
        UNIT_ROWS: pa.array([unit.rows for unit, _ in waiting], pa.int64()),
    }
    columns |= {
        name: pa.array([unit.key[place] for unit, _ in waiting], unit_types[name]) for place, name in enumerate(names)
    }
    columns[UNIT_ORDINAL] = pa.array([unit.ordinal for unit, _ in waiting], pa.int64())
    columns[UNIT_RANGE] = pa.array([unit.range_no for unit, _ in waiting], pa.int64())
    columns[UNIT_POSITION] = pa.array([unit.position for unit, _ in waiting], pa.int64())
    rows = {
        target.name: pa.concat_tables(
            [_numbered(target, number, rows[target.name]) for number, (_, rows) in enumerate(waiting)]
            or [_numbered(target, 0, _no_rows(target))]
        )
        for target in targets
    }
    return Units(pa.table(columns), rows, names)


def _numbered(target: WriteTarget, number: int, rows: pa.Table) -> pa.Table:
    return rows.select(target.fields).add_column(0, UNIT, pa.array([number] * rows.num_rows, pa.int64()))


def _no_rows(target: WriteTarget) -> pa.Table:
    return pa.schema([(name, target.shape.column(name).type.arrow) for name in target.fields]).empty_table()


def _one_row(target: WriteTarget, row: Mapping[str, object]) -> pa.Table:
    return pa.table({name: pa.array([row[name]], target.shape.column(name).type.arrow) for name in target.fields})


def _columns(table: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    return list(zip(table.column_names, table.columns, strict=True))


def _backwards_counts(target: WriteTarget, claims: Sequence[Claim]) -> TargetCounts:
    def of(op: Op) -> int:
        return -sum(claim.op is op for claim in claims)

    groups = -len(claims) if target.grouped else 0
    return TargetCounts(of(Op.INSERT), of(Op.UPDATE), of(Op.IDENTICAL), of(Op.KEPT), 0, groups)
