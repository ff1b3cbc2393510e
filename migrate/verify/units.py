"""Rows that know their source unit: its key columns behind `UNIT_PREFIX`, and its rank among units with that key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from migrate.mapping.stages import UNIT
from migrate.mapping.transformer import ORDINAL, Mapped
from migrate.stores.typed_keys import dump_key
from migrate.values import Key

UNIT_PREFIX: Final = "_u:"

_EPOCH: Final = datetime.fromisoformat("1970-01-01")

Rank: TypeAlias = tuple[tuple[bool, Any], int, int]
"""What orders units: (has no version, the version, negated), place in the source, ordinal."""


def with_units(mapped: Mapped, target: str, unit_columns: Sequence[str]) -> pa.Table:
    """The rows of a target, each with the key and ordinal of its unit."""
    rows = mapped.rows[target]
    places = pa.array(np.searchsorted(np.asarray(mapped.units[UNIT]), np.asarray(rows[UNIT])))
    found = rows.drop_columns([UNIT])
    for name in unit_columns:
        found = found.append_column(f"{UNIT_PREFIX}{name}", mapped.units[name].take(places))
    return found.append_column(ORDINAL, mapped.units[ORDINAL].take(places))


def unit_name(key: Key, ordinal: int) -> str:
    """How the ledger names a unit: its typed key, and its rank where several units have that key."""
    return dump_key(key) if ordinal == 0 else f"{dump_key(key)}#{ordinal}"


def unit_keys(rows: pa.Table, unit_columns: Sequence[str]) -> list[Key]:
    """The unit key of each row."""
    return list(zip(*(rows[f"{UNIT_PREFIX}{name}"].to_pylist() for name in unit_columns), strict=True))


def units_of(rows: pa.Table, unit_columns: Sequence[str]) -> list[str]:
    """The name of each row's unit."""
    ordinals = rows[ORDINAL].to_pylist()
    return [unit_name(key, ordinal) for key, ordinal in zip(unit_keys(rows, unit_columns), ordinals, strict=True)]


def ranks(
    rows: pa.Table,
    unit_columns: Sequence[str],
    version_field: str | None,
    order: Callable[[list[Key]], list[Key]],
) -> list[Rank]:
    """What orders the units of these rows: the greatest version under `newer`, then the source's own order, then the ordinal."""
    keys = unit_keys(rows, unit_columns)
    position = {key: number for number, key in enumerate(order(list(dict.fromkeys(keys))))}
    versions: list[tuple[bool, Any]] = [(False, 0)] * len(keys)
    if version_field is not None:
        versions = [_descending(value) for value in rows[version_field].to_pylist()]
    ordinals = rows[ORDINAL].to_pylist()
    return [
        (version, position.get(key, len(position)), ordinal)
        for version, key, ordinal in zip(versions, keys, ordinals, strict=True)
    ]


def _descending(value: Any) -> tuple[bool, Any]:
    """Sorts greater versions first and rows without one last; versions are numbers, dates or times."""
    if value is None:
        return (True, 0)
    if isinstance(value, datetime):
        # Whole microseconds, free of this machine's time zone: `timestamp()` is neither.
        plain = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return (False, -((plain - _EPOCH) // timedelta(microseconds=1)))
    return (False, -value.toordinal() if hasattr(value, "toordinal") else -value)
