"""Rows whose parent is not in the target: the mapping's rules reject their unit, so they are rightly missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from migrate.stores.opening import open_source
from migrate.values import ForeignKey, Key, SourceSpec, TableShape

_KEYS_AT_ONCE: Final = 1_000


class Parents:
    """Looks rows of parent tables up by the columns of a target's foreign keys."""

    def __init__(self, shape: TableShape, parents: Mapping[str, TableShape], url: str) -> None:
        self._links = [key for key in shape.foreign_keys if key.parent in parents]
        self._url = url

    def missing_for(self, rows: pa.Table) -> list[bool]:
        """For each row whether a foreign key of it, without NULL in it, names a parent that is not there."""
        alone = [False] * rows.num_rows
        for link in self._links:
            if not set(link.columns) <= set(rows.column_names):
                continue
            wanted: list[Key] = list(zip(*(rows[name].to_pylist() for name in link.columns), strict=True))
            there = self._there(link, [key for key in dict.fromkeys(wanted) if None not in key])
            for place, key in enumerate(wanted):
                alone[place] |= None not in key and key not in there
        return alone

    def _there(self, link: ForeignKey, keys: list[Key]) -> set[Key]:
        names = tuple(link.parent_columns)
        reader = open_source(SourceSpec(url=self._url, table=link.parent, key=names)).reader()
        found: set[Key] = set()
        try:
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                rows = reader.pick(names, keys[start : start + _KEYS_AT_ONCE], names, names)
                found |= set(zip(*(rows[name].to_pylist() for name in names), strict=True))
        finally:
            reader.close()
        return found
