"""Builds the nested SELECTs of one level of a program: each value is computed once, in the layer above what it needs.

A level is the set of rows that a target gets: one per source row, or one per group. Its relation is
`SELECT *, … FROM (SELECT *, … FROM (…))`; DuckDB drops what an outer query does not ask for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from migrate.mapping.casts import Fault
from migrate.mapping.duck import TypeKind, kind_of, quoted

UNIT = "_unit"
ROW = "_:n"
CHUNK = "_:chunk"
_ALIAS = re.compile(r'"(_:\d+)"')


@dataclass(frozen=True)
class Value:
    """SQL over what the layers up to `depth` give, with its DuckDB type."""

    sql: str
    type: str
    depth: int = 0

    @property
    def kind(self) -> TypeKind:
        """Family of its type."""
        return kind_of(self.type)


@dataclass(frozen=True)
class Trouble:
    """A way for a row to be rejected: when, and the reasons to tell apart then.

    `when` is SQL; NULL means no. `faults` are asked in order; `shown` is SQL of the offending value as text, or None.
    """

    when: str
    faults: tuple[Fault, ...]
    shown: str | None


@dataclass(frozen=True)
class Join:
    """A lookup joined to the layer below: equal values of `on` and `key` give `take` under `alias`, `hit` when found."""

    lookup: str
    key: tuple[str, ...]
    on: tuple[str, ...]
    take: str
    alias: str


@dataclass
class Stages:
    """Layers under construction."""

    base: str
    layers: list[list[tuple[str, str]]] = field(default_factory=list)
    joins: dict[int, list[Join]] = field(default_factory=dict)
    _depths: dict[str, int] = field(default_factory=dict)
    _shared: dict[str, Value] = field(default_factory=dict)

    def depth_of(self, sql: str) -> int:
        """The layer that has everything which `sql` names."""
        return max((self._depths.get(alias, 0) for alias in _ALIAS.findall(sql)), default=0)

    def share(self, sql: str, duckdb_type: str) -> Value:
        """A value that several expressions need, computed once for every row; it must not be able to fail."""
        if sql not in self._shared:
            self._shared[sql] = self.stage(Value(sql, duckdb_type, self.depth_of(sql)))
        return self._shared[sql]

    def stage(self, value: Value, sql: str | None = None, duckdb_type: str | None = None) -> Value:
        """Compute `sql` (default: the value itself) one layer above the value; what comes back is just a column."""
        depth = value.depth + 1
        alias = self._alias(depth)
        self._layer(depth).append((alias, sql if sql is not None else value.sql))
        return Value(quoted(alias), duckdb_type or value.type, depth)

    def join(
        self, lookup: str, key: tuple[str, ...], values: tuple[Value, ...], take: str, take_type: str
    ) -> tuple[Value, str]:
        """Look values up; gives the taken column, and SQL that is NULL where nothing was found."""
        depth = max(value.depth for value in values) + 1
        alias = self._alias(depth)
        self._layer(depth)
        self.joins.setdefault(depth, []).append(Join(lookup, key, tuple(value.sql for value in values), take, alias))
        return Value(quoted(alias), take_type, depth), quoted(f"{alias} hit")

    def relation(self) -> str:
        """The nested SELECT with every staged column."""
        sql = self.base
        for index, columns in enumerate(self.layers):
            joins = self.joins.get(index + 1, [])
            added = [f"{value} AS {quoted(alias)}" for alias, value in columns]
            source = " ".join([f"({sql}) AS s", *(_joined(join) for join in joins)])
            sql = f"SELECT {', '.join(['*', *added])} FROM {source}"
        return sql

    def _alias(self, depth: int) -> str:
        alias = f"_:{len(self._depths) + 1}"
        self._depths[alias] = depth
        return alias

    def _layer(self, depth: int) -> list[tuple[str, str]]:
        while len(self.layers) < depth:
            self.layers.append([])
        return self.layers[depth - 1]


def _joined(join: Join) -> str:
    """A lookup under names that cannot meet those of the source."""
    keys = [f"{quoted(key)} AS {quoted(f'{join.alias} key {number}')}" for number, key in enumerate(join.key)]
    taken = f"{quoted(join.take)} AS {quoted(join.alias)}, true AS {quoted(join.alias + ' hit')}"
    match = " AND ".join(f"{quoted(f'{join.alias} key {number}')} = {value}" for number, value in enumerate(join.on))
    return f"LEFT JOIN (SELECT {', '.join([*keys, taken])} FROM {quoted(lookup_name(join.lookup))}) ON {match}"


def lookup_name(name: str) -> str:
    """What a lookup's table is called in the connection."""
    return f"_:lookup {name}"
