"""Rows that know their source unit: its key columns behind `UNIT_PREFIX`, its rank among units with that key, and what orders it."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.mapping.mapped import ORDINAL, Mapped
from migrate.mapping.stages import UNIT
from migrate.stores.typed_keys import dump_key
from migrate.values import Key

UNIT_PREFIX: Final = "_u:"
VERSION_PREFIX: Final = "_v:"

_EPOCH: Final = datetime.fromisoformat("1970-01-01")

Unit: TypeAlias = tuple[Key, int]
"""The key of a source unit, and its rank among units with that key."""

Version: TypeAlias = tuple[bool, Any]
"""What orders versions, greater ones first: has none; the version, negated."""


@dataclass(frozen=True, slots=True)
class UnitFields:
    """What names a unit and orders units: the columns of its key, and under `newer` the column of versions of each such target."""

    columns: tuple[str, ...]
    versions: tuple[tuple[str, str], ...] = ()


def with_units(mapped: Mapped, target: str, fields: UnitFields) -> pa.Table:
    """The rows of a target, each with the key and ordinal of its unit, and the unit's greatest version in each target that has one."""
    rows = mapped.rows[target]
    places = pa.array(np.searchsorted(np.asarray(mapped.units[UNIT]), np.asarray(rows[UNIT])))
    found = rows.drop_columns([UNIT])
    for name in fields.columns:
        found = found.append_column(f"{UNIT_PREFIX}{name}", mapped.units[name].take(places))
    for name, version in fields.versions:
        greatest = mapped.rows[name].group_by(UNIT).aggregate([(version, "max")])
        at = pc.index_in(rows[UNIT], value_set=greatest[UNIT].combine_chunks())
        found = found.append_column(f"{VERSION_PREFIX}{name}", greatest[f"{version}_max"].take(at))
    return found.append_column(ORDINAL, mapped.units[ORDINAL].take(places))


def unit_name(key: Key, ordinal: int) -> str:
    """How the ledger names a unit: its typed key, and its rank where several units have that key."""
    return dump_key(key) if ordinal == 0 else f"{dump_key(key)}#{ordinal}"


def unit_keys(rows: pa.Table, unit_columns: Sequence[str]) -> list[Key]:
    """The unit key of each row."""
    return list(zip(*(rows[f"{UNIT_PREFIX}{name}"].to_pylist() for name in unit_columns), strict=True))


def units_of(rows: pa.Table, unit_columns: Sequence[str]) -> list[Unit]:
    """The unit of each row."""
    return list(zip(unit_keys(rows, unit_columns), rows[ORDINAL].to_pylist(), strict=True))


class UnitSet:
    """Units whose rows are looked for in many tables; what a row belongs to is asked only where each of its columns has a value of theirs."""

    def __init__(self, units: AbstractSet[Unit], unit_columns: Sequence[str]) -> None:
        self._units = units
        self._columns = tuple(unit_columns)
        self._values: dict[tuple[int, pa.DataType], pa.Array] = {}

    def __bool__(self) -> bool:
        return bool(self._units)

    def owns(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """For each row (as of `with_units`) whether it belongs to one of the units."""
        mask = np.full(rows.num_rows, bool(self._units))
        for number, name in enumerate(self._columns):
            if mask.any():
                column = rows[f"{UNIT_PREFIX}{name}"]
                mask &= np.asarray(pc.is_in(column, value_set=self._values_of(number, column.type)))
        places = np.flatnonzero(mask)
        if len(places):
            found = units_of(rows.take(pa.array(places)), self._columns)
            mask[places] = [unit in self._units for unit in found]
        return mask

    def _values_of(self, number: int, kind: pa.DataType) -> pa.Array:
        if (number, kind) not in self._values:
            values = {key[number] for key, _ in self._units}
            self._values[number, kind] = pa.array(list(values), kind)
        return self._values[number, kind]


def unit_versions(rows: pa.Table) -> list[tuple[Version, ...]]:
    """What orders the unit of each row before the source's own order does: its greatest version in each target under `newer`."""
    columns = [name for name in rows.column_names if name.startswith(VERSION_PREFIX)]
    each = [[_descending(value) for value in rows[name].to_pylist()] for name in columns]
    return list(zip(*each, strict=True)) if each else [()] * rows.num_rows


def row_versions(rows: pa.Table, version_field: str | None) -> list[Version]:
    """The version of each row by itself; all alike without `newer`."""
    if version_field is None:
        return [(False, 0)] * rows.num_rows
    return [_descending(value) for value in rows[version_field].to_pylist()]


def _descending(value: Any) -> Version:
    """Sorts greater versions first and rows without one last; versions are numbers, dates or times."""
    if value is None:
        return (True, 0)
    if isinstance(value, datetime):
        # Whole microseconds, free of this machine's time zone: `timestamp()` is neither.
        plain = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return (False, -((plain - _EPOCH) // timedelta(microseconds=1)))
    return (False, -value.toordinal() if hasattr(value, "toordinal") else -value)
