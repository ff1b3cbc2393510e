"""Compiled expressions as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrate.mapping.duck import TypeKind, kind_of


@dataclass(frozen=True)
class Compiled:
    """SQL of an expression; a row for which it fails raises, if `may_fail`. `columns` are exact names."""

    sql: str
    type: str
    may_fail: bool = False
    columns: tuple[str, ...] = ()
    literal: bool = False

    @property
    def kind(self) -> TypeKind:
        """Family of its DuckDB type."""
        return kind_of(self.type)


@dataclass
class Aggregation:
    """What a grouped target needs from the rows of its group, each under an alias.

    `row_parts`: per row, before grouping. `aggregates`: over those. `constants`: source columns that must not differ in a group.
    """

    row_parts: dict[str, Compiled] = field(default_factory=dict)
    aggregates: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
