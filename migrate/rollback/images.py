"""What one batch did to the rows of one table, net of its records: how it left each row, and how the row was before.

Pure: Arrow tables in and out. The columns that an undo record's digest does not cover are held against the constants of its chunk, or
against the before-image; a column that was added since must hold its default (decision record 0006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.checksum.vectorised import row_digests
from migrate.stores.port import ANOMALY, ORDINAL
from migrate.values import Column, TableShape
from migrate.write.undo import Op, UndoSubject
from migrate.write.units import half_digests

_SETTING = (int(Op.INSERT), int(Op.UPDATE), int(Op.DELETE), int(Op.RESTORE))
"""Operations after which a row is another one than before; the others only looked at it."""

_KNOWN_DEFAULTS = frozenset({"null", "literal", "generated"})
"""What a generated column holds follows from the others."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Net:
    """The rows of one table that a batch changed, one row of `first` and `last` each: the first and last record about it, in order.

    `records` counts all records of the batch about the table, those that only looked at a row too.
    """

    subject: UndoSubject
    first: pa.Table
    last: pa.Table
    records: int

    @property
    def keys(self) -> pa.Table:
        """The target keys, under the names of their columns."""
        return self.last.select([f"key_{name}" for name in self.subject.key]).rename_columns(list(self.subject.key))

    @property
    def was_there(self) -> Flags:
        """Was there a row with this key before the batch?"""
        return _flags(pc.not_equal(self.first["op"], int(Op.INSERT)))

    @property
    def is_left(self) -> Flags:
        """Did the batch leave a row with this key?"""
        return _flags(pc.not_equal(self.last["op"], int(Op.DELETE)))

    def only(self, wanted: Flags) -> Net:
        """Those of the rows for which `wanted` is true."""
        return replace(self, first=self.first.filter(pa.array(wanted)), last=self.last.filter(pa.array(wanted)))

    def before(self, names: Sequence[str]) -> pa.Table:
        """Of each row, how it was before the batch: those of `names` that were recorded, NULL where there was none."""
        known = [name for name in names if f"before_{name}" in self.first.column_names]
        return self.first.select([f"before_{name}" for name in known]).rename_columns(known)


def net_of(chunks: Sequence[tuple[UndoSubject, pa.Table]]) -> Net:
    """The net of the records of one batch about one table; `chunks` in the order in which they were written, at least one."""
    subject = chunks[0][0]
    records = pa.concat_tables([table.replace_schema_metadata(None) for _, table in chunks], promote_options="default")
    setting = records.filter(pa.array(np.isin(np.asarray(records["op"]), _SETTING)))
    keys = [f"key_{name}" for name in subject.key]
    numbered = setting.select(keys).append_column("at", pa.array(np.arange(setting.num_rows)))
    found = numbered.group_by(keys, use_threads=False).aggregate([("at", "min"), ("at", "max")])
    return Net(subject, setting.take(found["at_min"]), setting.take(found["at_max"]), records.num_rows)


def missing_columns(subject: UndoSubject, shape: TableShape) -> list[str]:
    """Columns that the records speak of, and the table has no longer."""
    return [name for name in (*subject.key, *subject.fields) if name not in shape.names]


def untold_columns(net: Net, shape: TableShape) -> list[str]:
    """Columns that no record speaks of, and whose default is no constant: nobody can say whether they hold it still."""
    recorded = {*net.subject.fields, *dict(net.subject.constants)}
    return [
        column.name
        for column in shape.columns
        if column.name not in recorded
        and f"before_{column.name}" not in net.last.column_names
        and column.default_kind not in _KNOWN_DEFAULTS
    ]


def stands(net: Net, shape: TableShape, stored: pa.Table) -> Flags:
    """Of each row of `net`: is the table still as the batch left it?

    `stored`: what `fetch` found under `net.keys`, all columns. A row that cannot be read without loss is not as it was left.
    """
    found = np.asarray(stored[ORDINAL])
    same = ~net.is_left
    # What was left absent must be absent: anything found there is somebody else's, and its record has no digest that it could fit.
    same[found] = False
    position = pa.array(found)
    last = net.last.take(position)
    contract = Contract(tuple((name, shape.column(name).type) for name in net.subject.fields), net.subject.key)
    fits = _flags(pc.equal(half_digests(row_digests(stored, contract)), last["digest"].combine_chunks()))
    fits &= _flags(pc.is_null(stored[ANOMALY]))
    for name in shape.names:
        if name not in net.subject.fields:
            fits &= _as_expected(net, last, shape.column(name), stored[name])
    once = np.bincount(found, minlength=len(same))[found] == 1
    same[found[fits & once]] = True
    return same


def _as_expected(net: Net, last: pa.Table, column: Column, stored: pa.ChunkedArray) -> Flags:
    """Does a column that the digest does not cover hold what the batch left in it?"""
    constants = dict(net.subject.constants)
    inserted = _flags(pc.equal(last["op"], int(Op.INSERT)))
    default = _equals_text(column, constants.get(column.name, column.default), stored)
    if column.name not in constants and column.default_kind not in {"null", "literal"}:
        default = np.ones(len(stored), dtype=np.bool_)
    image = f"before_{column.name}"
    if image not in last.column_names:
        return default
    before = last[image]
    return np.where(inserted, default, _same(before.cast(stored.type), stored))


def _same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Flags:
    """Equal values, NULL equal to NULL, and NaN to NaN."""
    same = _flags(pc.equal(one, other)) | (_flags(pc.is_null(one)) & _flags(pc.is_null(other)))
    if pa.types.is_floating(one.type):
        same |= _flags(pc.is_nan(one)) & _flags(pc.is_nan(other))
    return same


def _equals_text(column: Column, text: str | None, stored: pa.ChunkedArray) -> Flags:
    """Does the column hold the value that the database makes of this literal (None: NULL)?"""
    if text is None:
        return _flags(pc.is_null(stored))
    try:
        wanted = _literal(column, text, stored.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _flags(pc.equal(pc.cast(stored, pa.string()), text))
    return _flags(pc.equal(stored, wanted))


def _literal(column: Column, text: str, arrow: pa.DataType) -> pa.Scalar:
    if column.type.kind == "boolean":
        return pa.scalar(text.strip("'").lower() in {"t", "true", "1", "y", "yes", "on"})
    if pa.types.is_decimal(arrow):
        # Through the widest type first: '0' is no text of a decimal with two digits to Arrow's own cast in every version.
        return pc.cast(pc.cast(pa.scalar(text), pa.decimal256(76, 38)), arrow)
    return pc.cast(pa.scalar(text), arrow)


def _flags(array: pa.Array | pa.ChunkedArray) -> Flags:
    return np.asarray(pc.fill_null(array, False)).astype(np.bool_)
