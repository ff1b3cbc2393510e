"""Which unit of a run holds a target row: found in the undo records, inside of the asking transaction.

A row that stands in the way of a unit is one of two things: it was there before the run (the mapping's `on_conflict` decides), or another unit
of the same run wrote it or found it identical (then source order decides, in the last phase). The undo records tell which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from migrate.checksum.vectorised import key_hashes
from migrate.ledger.connection import Ledger
from migrate.ledger.standing import taken_back
from migrate.stores.port import TargetSession
from migrate.values import Key
from migrate.write.target import Mode
from migrate.write.undo import Op, UndoSubject, cut_high, cut_low, decode_undo, may_contain, unit_tokens

_CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Unit:
    """A source unit: its key, its rank among equal keys, where it stands in source order, and of how many source rows it is."""

    key: Key
    ordinal: int
    range_no: int
    position: int
    rows: int

    @property
    def order(self) -> tuple[int, int]:
        """Sorts units in source order."""
        return self.range_no, self.position

    def same_as(self, other: Unit) -> bool:
        """True for the same source unit, wherever it stands."""
        return self.key == other.key and self.ordinal == other.ordinal


@dataclass(frozen=True, slots=True)
class Claim:
    """What a unit did to one target row.

    `before` is the whole row as it was, by column, or None; `mapped` the row that the unit would have written, of a kept one.
    """

    unit: Unit
    target: str
    target_key: Key
    op: Op
    digest: bytes | None
    before: dict[str, object] | None
    mapped: dict[str, object] | None = None


@dataclass(slots=True)
class Held:
    """The live claims on one target row: `claims[0]` set its content (or found it so before the run), the others found it identical.

    `kept`: units that found other content and left it. Both empty once everything was taken back.
    """

    claims: list[Claim] = field(default_factory=list)
    kept: list[Claim] = field(default_factory=list)

    def decides(self, mode: Mode) -> bool:
        """Does source order decide between the holders and another unit with other content, and not the mapping's `on_conflict`?

        A row that was there before the run and was only found identical is kept under `keep`, as it would be without its finders.
        """
        return bool(self.claims) and not (mode == "keep" and self.claims[0].op is Op.IDENTICAL)

    def add(self, claim: Claim) -> None:
        """Take the next record of the row's history into account."""
        if claim.op in {Op.INSERT, Op.UPDATE}:
            self.claims = [claim]
        elif claim.op is Op.IDENTICAL:
            self.claims.append(claim)
        elif claim.op is Op.KEPT:
            self.kept.append(claim)
        elif claim.op in {Op.DELETE, Op.RESTORE}:
            self.claims = []
        else:
            self.claims = [other for other in self.claims if not other.unit.same_as(claim.unit)]
            self.kept = [other for other in self.kept if not other.unit.same_as(claim.unit)]


_ChunkId = tuple[int, int, int]


class Claims:
    """The claims of one run. Belongs to one worker; asks through the worker's own session, so that it sees its own transaction.

    Batches that were taken back claim nothing. Which those are does not change while this lives: a rollback needs the lease.
    """

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._tables = ledger.tables
        self._gone: frozenset[tuple[int, int]] | None = None
        self._undo = ledger.tables.undo
        self._applied = ledger.tables.applied
        self._run = run
        self._filters: dict[_ChunkId, bytes] = {}
        self._cached_bytes = 0

    def held(self, session: TargetSession, target: str, keys: pa.Table) -> dict[int, Held]:
        """For each position in `keys` (target key columns) that this run touched: what it holds there now. Others are missing."""
        found: dict[int, Held] = {}
        if keys.num_rows == 0:
            return found
        hashes = key_hashes(keys, tuple(keys.column_names))
        wanted: dict[Key, list[int]] = {}
        for position, key in enumerate(_tuples(keys)):
            wanted.setdefault(key, []).append(position)
        for chunk, key_filter in self._chunks(session, target):
            if not may_contain(key_filter, hashes).any():
                continue
            subject, records = self._decode(session, chunk)
            chunk_keys = records.select([f"key_{name}" for name in subject.key])
            among = np.flatnonzero(np.isin(key_hashes(chunk_keys, tuple(chunk_keys.column_names)), hashes))
            for claim in _claims(subject, records.take(pa.array(among))):
                for position in wanted.get(claim.target_key, ()):
                    found.setdefault(position, Held()).add(claim)
        return found

    def of_unit(self, session: TargetSession, target: str, unit: Unit) -> list[Claim]:
        """The live claims of this unit on rows of `target`, kept ones too, in the order of their first writing."""
        undo = self._undo
        token = unit_tokens(pa.table({str(number): pa.array([value]) for number, value in enumerate(unit.key)}))[
            0
        ].as_py()
        rows = session.execute(
            sa.select(undo.c.pass_no, undo.c.range_no, undo.c.chunk_no)
            .where(
                undo.c.run == self._run,
                undo.c.target == target,
                undo.c.low_unit <= cut_high(token),
                undo.c.high_unit >= cut_low(token),
            )
            .order_by(undo.c.pass_no, undo.c.range_no, undo.c.chunk_no)
        )
        keys: list[pa.Table] = []
        gone = self._taken_back(session)
        for chunk in rows:
            if (chunk[0], chunk[1]) in gone:
                continue
            subject, records = self._decode(session, chunk)
            of_it = records.filter(_is_unit(subject, records, unit))
            keys.append(of_it.select([f"key_{name}" for name in subject.key]))
        if not keys:
            return []
        distinct = pa.concat_tables(keys)
        distinct = distinct.group_by(distinct.column_names, use_threads=False).aggregate([])
        held = self.held(session, target, distinct)
        live = (claim for _, each in sorted(held.items()) for claim in (*each.claims, *each.kept))
        return [claim for claim in live if claim.unit.same_as(unit)]

    def _chunks(self, session: TargetSession, target: str) -> Iterator[tuple[_ChunkId, bytes]]:
        """All chunks of a target with their filters, in the order in which they changed it; the open transaction's own come last."""
        undo, applied = self._undo, self._applied
        of_batch = (
            (applied.c.run == undo.c.run)
            & (applied.c.pass_no == undo.c.pass_no)
            & (applied.c.range_no == undo.c.range_no)
        )
        rows = session.execute(
            sa.select(undo.c.pass_no, undo.c.range_no, undo.c.chunk_no, applied.c.applied_seq)
            .select_from(undo.outerjoin(applied, of_batch))
            .where(undo.c.run == self._run, undo.c.target == target)
        )
        own_last = 2**63
        ordered = sorted(rows, key=lambda row: (own_last if row[3] is None else row[3], row[2]))
        gone = self._taken_back(session)
        for pass_no, range_no, chunk_no, applied_seq in ordered:
            if (pass_no, range_no) in gone:
                continue
            chunk = (pass_no, range_no, chunk_no)
            key_filter = self._filters.get(chunk)
            if key_filter is None:
                key_filter = self._one(session, chunk, undo.c.key_filter)
                if applied_seq is not None:
                    # Only what is committed may be remembered: an open transaction can still vanish.
                    self._remember(chunk, key_filter)
            yield chunk, key_filter

    def _taken_back(self, session: TargetSession) -> frozenset[tuple[int, int]]:
        if self._gone is None:
            rows = session.execute(taken_back(self._tables, self._run))
            self._gone = frozenset((row[0], row[1]) for row in rows)
        return self._gone

    def _remember(self, chunk: _ChunkId, key_filter: bytes) -> None:
        if self._cached_bytes + len(key_filter) <= _CACHE_BYTES:
            self._filters[chunk] = key_filter
            self._cached_bytes += len(key_filter)

    def _decode(self, session: TargetSession, chunk: _ChunkId) -> tuple[UndoSubject, pa.Table]:
        return decode_undo(self._one(session, chunk, self._undo.c.payload))

    def _one(self, session: TargetSession, chunk: _ChunkId, column: sa.Column[bytes]) -> bytes:
        undo = self._undo
        rows = session.execute(
            sa.select(column).where(
                undo.c.run == self._run,
                undo.c.pass_no == chunk[0],
                undo.c.range_no == chunk[1],
                undo.c.chunk_no == chunk[2],
            )
        )
        return bytes(rows[0][0])


def _claims(subject: UndoSubject, records: pa.Table) -> Iterator[Claim]:
    """Python values, since these are the few rows that stand in somebody's way."""
    units = _tuples(records.select([f"unit_{name}" for name in subject.unit_columns]))
    keys = _tuples(records.select([f"key_{name}" for name in subject.key]))
    befores, kept = _images(records, "before_"), _images(records, "mapped_")
    fixed = records.select(["ordinal", "unit_range", "position", "unit_rows", "op", "digest"]).to_pylist()
    for unit, key, row, before, mapped in zip(units, keys, fixed, befores, kept, strict=True):
        op = Op(row["op"])
        holder = Unit(unit, row["ordinal"], row["unit_range"], row["position"], row["unit_rows"])
        keeps_image = op in {Op.UPDATE, Op.DELETE, Op.RESTORE}
        yield Claim(
            holder,
            subject.target,
            key,
            op,
            row["digest"],
            before if keeps_image else None,
            mapped if op is Op.KEPT else None,
        )


def _images(records: pa.Table, prefix: str) -> list[dict[str, object]]:
    """The columns with this prefix, without it, row by row."""
    names = [name for name in records.column_names if name.startswith(prefix)]
    if not names:
        return [{}] * records.num_rows
    found: list[dict[str, object]] = (
        records.select(names).rename_columns([name.removeprefix(prefix) for name in names]).to_pylist()
    )
    return found


def _is_unit(subject: UndoSubject, records: pa.Table, unit: Unit) -> pa.ChunkedArray:
    mask = pc.equal(records["ordinal"], unit.ordinal)
    for name, value in zip(subject.unit_columns, unit.key, strict=True):
        column = records[f"unit_{name}"]
        same = (
            pc.is_null(column)
            if value is None
            else pc.fill_null(pc.equal(column, pa.scalar(value, column.type)), False)
        )
        mask = pc.and_(mask, same)
    return mask


def _tuples(table: pa.Table) -> Iterator[Key]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)
