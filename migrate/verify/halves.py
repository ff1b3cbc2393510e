"""Rows of refused units that stand in a target all the same: a unit is written to all targets or to none, so they are extra.

The sums of such a target are equal, since the replay of one target does not know what another one refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import row_digests
from migrate.verify.replay import Replay
from migrate.verify.stored import Stored
from migrate.verify.units import units_of, with_units
from migrate.write.target import WriteTarget


def half_written(
    target: WriteTarget, refused: AbstractSet[str], replay: Replay, stored: Stored, unit_columns: Sequence[str]
) -> pa.Table | None:
    """The expected rows of refused units that stand in the target as they are, and for no other unit; None for none."""
    wanted = list(_of_units(target, replay, unit_columns, refused))
    if not wanted:
        return None
    rows = pa.concat_tables(wanted).combine_chunks()
    digests = row_digests(rows, target.contract).cast(pa.binary())
    there: set[bytes] = set()
    for chunk in stored.chunks():
        found = row_digests(chunk.rows, target.contract).cast(pa.binary())
        there |= set(found.filter(pc.is_in(found, value_set=digests)).to_pylist())
    there -= {None}
    if there:
        there -= _of_others(target, replay, unit_columns, refused, there)
    at = pc.is_in(digests, value_set=pa.array(sorted(there), pa.binary()))
    return rows.filter(at) if there else None


def _of_units(
    target: WriteTarget, replay: Replay, unit_columns: Sequence[str], units: AbstractSet[str]
) -> Iterator[pa.Table]:
    for mapped in replay.chunks():
        rows = with_units(mapped, target.name, unit_columns)
        inside = [unit in units for unit in units_of(rows, unit_columns)]
        if any(inside):
            yield rows.filter(pa.array(inside))


def _of_others(
    target: WriteTarget, replay: Replay, unit_columns: Sequence[str], refused: AbstractSet[str], wanted: set[bytes]
) -> set[bytes]:
    """Those of these row digests that units make which are not refused."""
    found: set[bytes] = set()
    for mapped in replay.chunks():
        rows = with_units(mapped, target.name, unit_columns)
        digests = row_digests(rows, target.contract).cast(pa.binary()).to_pylist()
        for unit, digest in zip(units_of(rows, unit_columns), digests, strict=True):
            if digest in wanted and unit not in refused:
                found.add(digest)
    return found
