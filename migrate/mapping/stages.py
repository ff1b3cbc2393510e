"""Builds the nested SELECTs of one level of a program: each value is computed once, in the layer above what it needs.

A level is the set of rows that a target gets: one per source row, or one per group. Its relation is
`SELECT *, … FROM (SELECT *, … FROM (…))`; DuckDB drops what an outer query does not ask for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from migrate.mapping.casts import Fault
from migrate.mapping.duck import TypeKind, kind_of, quoted

UNIT = "_unit"
ROW = "_:n"
CHUNK = "_:chunk"


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
    _count: int = 0

    def stage(self, value: Value, sql: str | None = None, duckdb_type: str | None = None) -> Value:
        """Compute `sql` (default: the value itself) one layer above the value; what comes back is just a column."""
        alias = self._alias()
        depth = value.depth + 1
        self._layer(depth).append((alias, sql if sql is not None else value.sql))
        return Value(quoted(alias), duckdb_type or value.type, depth)

    def join(
        self, lookup: str, key: tuple[str, ...], values: tuple[Value, ...], take: str, take_type: str
    ) -> tuple[Value, str]:
        """Look values up; gives the taken column, and SQL that is NULL where nothing was found."""
        alias = self._alias()
        depth = max(value.depth for value in values) + 1
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

    def _alias(self) -> str:
        self._count += 1
        return f"_:{self._count}"

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


def deepened(value: Value, depth: int) -> Value:
    """The same value seen from a higher layer."""
    return replace(value, depth=max(depth, value.depth))
