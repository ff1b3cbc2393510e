"""Rows whose parent is not in the target: the mapping's rules reject their unit, so they are rightly missing.

Unless the parent itself is expected there: then both are missing, and neither excuses the other. Only rows that point at each other in a
cycle do, since whether a database takes them depends on how they came (docs/limits.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa

from migrate.stores.port import ORDINAL, TargetSession
from migrate.values import ForeignKey, Key, TableShape
from migrate.verify.claims import Claimant, Standing
from migrate.verify.holders import complete, looking_into
from migrate.verify.units import Unit

_KEYS_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Parent:
    """A row that others point at: its table, and its values in the columns that they name."""

    table: str
    columns: tuple[str, ...]
    key: Key


Orphans: TypeAlias = Mapping[Parent, Sequence[Claimant]]
"""Rows whose parent is not in the target, by that parent."""


class Parents:
    """Looks rows of parent tables up by the columns of a target's foreign keys."""

    def __init__(self, shape: TableShape, parents: Mapping[str, TableShape], url: str) -> None:
        self._links = [key for key in shape.foreign_keys if key.parent in parents]
        self._parents = parents
        self._url = url

    def missing_for(self, rows: pa.Table) -> Iterator[tuple[int, Parent]]:
        """The place of each row of which a foreign key, without NULL in it, names a parent that is not there; and that parent."""
        links = [link for link in self._links if set(link.columns) <= set(rows.column_names)]
        if not links or not rows.num_rows:
            return
        with looking_into(self._url) as session:
            for link in links:
                places = complete(rows, link.columns)
                for start in range(0, len(places), _KEYS_AT_ONCE):
                    yield from self._missing(session, link, rows, places[start : start + _KEYS_AT_ONCE])

    def _missing(
        self, session: TargetSession, link: ForeignKey, rows: pa.Table, places: Sequence[int]
    ) -> Iterator[tuple[int, Parent]]:
        columns = tuple(link.parent_columns)
        wanted = rows.select(list(link.columns)).take(pa.array(places)).rename_columns(list(columns))
        # The database says which of its rows a foreign key finds: its collation may hold other texts equal.
        found = session.fetch(self._parents[link.parent], columns, wanted, lock=False, columns=columns)
        there = set(found[ORDINAL].to_pylist())
        for number, key in enumerate(keys_of(wanted, columns)):
            if number not in there:
                yield places[number], Parent(link.parent, columns, key)


def keys_of(rows: pa.Table, columns: Sequence[str]) -> list[Key]:
    """The values of each row in these columns."""
    return list(zip(*(rows[name].to_pylist() for name in columns), strict=True))


class Expected:
    """Which units expect a row that orphans point at; rows are added in any order."""

    def __init__(self, orphans: Orphans) -> None:
        self._orphans = orphans
        self._wanted = {(each.table, each.columns) for each in orphans}
        self._units: dict[Parent, set[Unit]] = defaultdict(set)
        self._lacking: dict[Unit, list[tuple[Claimant, Parent]]] = defaultdict(list)
        for parent, rows in orphans.items():
            for row in rows:
                self._lacking[row.unit].append((row, parent))

    def tables(self) -> set[str]:
        """The tables that have such rows."""
        return {table for table, _ in self._wanted}

    def add(self, table: str, rows: pa.Table, units: Sequence[Unit]) -> None:
        """Note those of the expected rows of a table that are parents; `units` has the unit of each row."""
        for name, columns in self._wanted:
            if name == table and set(columns) <= set(rows.column_names):
                for unit, key in zip(units, keys_of(rows, columns), strict=True):
                    parent = Parent(table, columns, key)
                    if parent in self._orphans:
                        self._units[parent].add(unit)

    def alone(self, standing: Standing) -> set[Unit]:
        """The units of orphans that lack a parent for good: nobody expects it but refused units, or units that wait for each other in turn."""
        needed = {unit: _needed(rows, standing) for unit, rows in self._lacking.items()}
        left = {unit for unit, parents in needed.items() if parents}
        while True:
            provided = {
                unit for unit in left if all(self._comes(each, unit, left, standing.refused) for each in needed[unit])
            }
            if not provided:
                return left
            left -= provided

    def _comes(self, parent: Parent, child: Unit, waiting: AbstractSet[Unit], refused: AbstractSet[Unit]) -> bool:
        """Whether a unit that is written expects the row; one that writes parent and child needs nobody else for it."""
        units = self._units.get(parent, set())
        return any(unit == child or unit not in waiting for unit in units if unit not in refused)


def _needed(rows: Sequence[tuple[Claimant, Parent]], standing: Standing) -> list[Parent]:
    """The parents of those rows that are to be written: one that a greater version keeps out needs none."""
    return [parent for row, parent in rows if not standing.keeps_out(row)]
