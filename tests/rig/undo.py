"""Takes a run back by its undo records alone, in memory: the other half of what `migrate.write.undo` promises.

Batches by descending `applied_seq`, chunks and records from the last to the first. On the way back every record that
says how a row was left is held against the row, under the reference evaluator of CRE/1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import encode_row
from migrate.checksum.vectorised import key_hashes
from migrate.engine.plan import Plan
from migrate.ledger.connection import Ledger
from migrate.stores.opening import open_source, open_target
from migrate.stores.port import ANOMALY
from migrate.values import SourceSpec, TableShape
from migrate.write.undo import Op, UndoSubject, cut_high, cut_low, decode_undo, may_contain, unit_tokens

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass
class Content:
    """All rows of the target tables, by table and key."""

    rows: dict[str, dict[Key, Row]]

    @classmethod
    def read(cls, plan: Plan) -> Content:
        """The target's tables as they are now, typed and whole."""
        found: dict[str, dict[Key, Row]] = {}
        for target in plan.targets:
            reader = open_source(SourceSpec(plan.target_url, table=target.name)).reader()
            try:
                table = reader.lookup(target.shape.names)
            finally:
                reader.close()
            assert table[ANOMALY].null_count == table.num_rows
            listed = table.drop_columns([ANOMALY]).to_pylist()
            found[target.name] = {tuple(row[name] for name in target.key): row for row in listed}
            assert len(found[target.name]) == len(listed), "two rows have one key"
        return cls(found)


NOBODY: Mapping[Key, int] = {}


def taken_back(plan: Plan, run: str, changed: Mapping[Key, int] = NOBODY) -> Content:
    """What the target held before the run, as the undo records of its batches tell it that no rollback has taken back.

    `changed`: keys of rows that somebody changed since, and the last batch before that: older records say nothing about these rows any more.
    Raises AssertionError where a record does not describe the row that it left.
    """
    content = Content.read(plan)
    shapes = {target.name: target.shape for target in plan.targets}
    for chunk in reversed(_chunks(plan, run)):
        subject, records = decode_undo(bytes(chunk.payload))
        for record in reversed(records.to_pylist()):
            key = tuple(record[f"key_{name}"] for name in subject.key)
            if chunk.applied_seq <= changed.get(key, 0):
                continue
            _back(content.rows[subject.target], subject, shapes[subject.target], record)
    return content


def assert_findable(plan: Plan, run: str) -> None:
    """Every unit key lies inside of its chunk's tokens, every target key in its chunk's filter."""
    for chunk in _chunks(plan, run):
        subject, records = decode_undo(chunk.payload)
        tokens = unit_tokens(records.select([f"unit_{name}" for name in subject.unit_columns])).to_pylist()
        assert all(chunk.low_unit <= cut_high(token) and cut_low(token) <= chunk.high_unit for token in tokens)
        keys = records.select([f"key_{name}" for name in subject.key])
        assert may_contain(chunk.key_filter, key_hashes(keys, tuple(keys.column_names))).all()


def keys_touched(plan: Plan, run: str, after: int) -> set[Key]:
    """Target keys about which batches that stand have records, of those after this `applied_seq`."""
    found: set[Key] = set()
    for chunk in _chunks(plan, run):
        if chunk.applied_seq > after:
            subject, records = decode_undo(bytes(chunk.payload))
            found |= set(zip(*(records[f"key_{name}"].to_pylist() for name in subject.key), strict=True))
    return found


def _back(rows: dict[Key, Row], subject: UndoSubject, shape: TableShape, record: Row) -> None:
    key = tuple(record[f"key_{name}"] for name in subject.key)
    op = Op(record["op"])
    before = {name.removeprefix("before_"): value for name, value in record.items() if name.startswith("before_")}
    assert (record["digest"] is None) == (op in {Op.DELETE, Op.RELEASE, Op.KEPT}), f"{op.name} of {key}"
    if record["digest"] is not None:
        assert _digest(subject, shape, rows[key]) == record["digest"], f"{op.name} of {key} left another row"
    if op is Op.INSERT:
        _has_constants(subject, rows[key])
        del rows[key]
    elif op is Op.DELETE:
        assert key not in rows
        rows[key] = before
    elif op in {Op.UPDATE, Op.RESTORE}:
        outside = set(shape.names) - set(subject.fields)
        assert {name: rows[key][name] for name in outside} == {name: before[name] for name in outside}
        rows[key] = before


def _digest(subject: UndoSubject, shape: TableShape, row: Row) -> bytes:
    contract = Contract(tuple((name, shape.column(name).type) for name in subject.fields), subject.key)
    return hashlib.sha256(encode_row(contract, row)).digest()[:16]


def _has_constants(subject: UndoSubject, row: Row) -> None:
    for name, text in subject.constants:
        shown = None if row[name] is None else str(row[name])
        assert shown == text, f"{name} holds {shown}, the undo record says {text}"


def _chunks(plan: Plan, run: str) -> list[sa.Row[Any]]:
    """All undo chunks of a run, in the order in which they changed the target; not those of batches that were taken back."""
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        undo, applied = ledger.tables.undo, ledger.tables.applied
        back, passes = applied.alias("back"), ledger.tables.passes
        gone = sa.select(back.c.range_no).join(
            passes, (passes.c.run == back.c.run) & (passes.c.pass_no == back.c.pass_no) & (passes.c.kind == "rollback")
        )
        same = sa.and_(*(undo.c[name] == applied.c[name] for name in ("run", "pass_no", "range_no")))
        with ledger.reading() as connection:
            return list(
                connection.execute(
                    sa.select(undo, applied.c.applied_seq)
                    .select_from(undo.join(applied, same))
                    .where(undo.c.run == run, applied.c.applied_seq.not_in(gone.where(back.c.run == run)))
                    .order_by(applied.c.applied_seq, undo.c.chunk_no)
                )
            )
    finally:
        store.close()
