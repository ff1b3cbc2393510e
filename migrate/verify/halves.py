"""Rows of refused units in buckets that do not differ: a unit is written to all targets or to none, so they are extra.

The sums of such a bucket are equal, since the scan of one target does not know what another one refuses; so each of its expected rows stands
in the target as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from migrate.engine.plan import Plan
from migrate.verify.replay import Replay
from migrate.verify.rows import Parts
from migrate.verify.units import UnitFields, UnitSet, with_units


def can_be_halved(plan: Plan) -> bool:
    """Whether a unit may have several rows, in one target or in several."""
    return len(plan.targets) > 1 or plan.program.grouped or not plan.program.unit_is_unique


def half_written(
    plan: Plan, refused: UnitSet, replay: Replay, parts: Mapping[str, Parts], fields: UnitFields
) -> dict[str, pa.Table]:
    """Per target the rows of refused units that no part holds; targets without such rows are left out. One walk over the source."""
    found: dict[str, list[pa.Table]] = {}
    for mapped in replay.chunks():
        for target in plan.targets:
            rows = with_units(mapped, target.name, fields)
            outside = ~parts[target.name].holds(rows, target.contract)
            mine = refused.owns(rows.filter(pa.array(outside)))
            if mine.any():
                places = np.flatnonzero(outside)[mine]
                found.setdefault(target.name, []).append(rows.take(pa.array(places)))
    return {name: pa.concat_tables(tables).combine_chunks() for name, tables in found.items()}
