"""Rows whose parent is missing: neither stored nor among the rows that are being written."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.stores.port import ORDINAL, TargetSession
from migrate.values import ForeignKey, TableShape
from migrate.write.target import WriteTarget

Positions = npt.NDArray[np.int64]


class Orphans:
    """Looks for parents of one target's rows; `parents` are the shapes of the tables that its foreign keys name."""

    def __init__(self, session: TargetSession, target: WriteTarget, parents: Mapping[str, TableShape]) -> None:
        self._session = session
        self._target = target
        self._parents = parents

    def find(self, rows: pa.Table, positions: Positions, foreign_key: ForeignKey) -> Positions:
        """Those of `positions` whose row in `rows` has no parent; a NULL in the foreign key needs none."""
        shape = self._parents[foreign_key.parent]
        taken = rows.select(foreign_key.columns).take(pa.array(positions))
        wanted = taken.rename_columns(list(foreign_key.parent_columns))
        complete = np.ones(len(positions), dtype=np.bool_)
        for column in wanted.columns:
            complete &= np.asarray(pc.is_valid(column))
        asked = np.flatnonzero(complete)
        sought = wanted.take(pa.array(asked))
        found = self._session.fetch(
            shape, foreign_key.parent_columns, sought, lock=False, columns=foreign_key.parent_columns
        )
        missing = np.setdiff1d(np.arange(len(asked)), np.asarray(found[ORDINAL]))
        if foreign_key.parent == self._target.shape.name and len(missing):
            missing = missing[~_among(rows.take(pa.array(positions)), sought.take(pa.array(missing)))]
        orphans: Positions = positions[asked[missing]]
        return orphans


def orphan_reason(rows: pa.Table, position: int, foreign_key: ForeignKey) -> str:
    """A sentence for the row at `position`."""
    values = ", ".join(f"{name} = {rows[name][position].as_py()!r}" for name in foreign_key.columns)
    return f"no row in {foreign_key.parent} for {values} ({foreign_key.name})"


def _among(rows: pa.Table, wanted: pa.Table) -> npt.NDArray[np.bool_]:
    """Which of `wanted` are among the rows that are being written."""
    own = set(zip(*(rows[name].to_pylist() for name in wanted.column_names), strict=True))
    keys = zip(*(column.to_pylist() for column in wanted.columns), strict=True)
    return np.array([key in own for key in keys], dtype=np.bool_)
