"""A compiled mapping: a frozen, picklable value with all the SQL that a Transformer runs, and the definition that decides the rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from migrate.values import Column

ConflictMode = Literal["fail", "keep", "update", "newer"]


@dataclass(frozen=True)
class Conflict:
    """What happens when the key exists with other content; `version_field` belongs to `newer`."""

    mode: ConflictMode
    version_field: str | None = None


@dataclass(frozen=True)
class ProgramTarget:
    """One target: its fields in the order of the table's columns, each with the column's type.

    `scope_sql` is a condition over the target's columns in DuckDB's dialect, or None for the whole table.
    """

    table: str
    fields: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    on_conflict: Conflict
    scope_sql: str | None
    one_row_per: tuple[str, ...] | None

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the rows of this target, without `_unit`."""
        return pa.schema([pa.field(column.name, column.type.arrow) for column in self.columns])


LookupKind = Literal["file", "source_table", "target_table"]


@dataclass(frozen=True)
class ProgramLookup:
    """A lookup that the program uses: where it is, its key, and the columns that are taken."""

    name: str
    kind: LookupKind
    relation: str
    key: tuple[str, ...]
    takes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Key columns, then the others that are needed."""
        return tuple(dict.fromkeys((*self.key, *self.takes)))


@dataclass(frozen=True)
class Level:
    """The SQL of all targets that share their rows: one row per source row, or one per group of `one_row_per`.

    `main` gives a column `<target>.<field>` per field, `_unit`, `_:bad` (some reject) and `_:warn` (some finding; NULL is no).
    `deciding` gives the same without `_:warn`, and names nothing that only findings need. `rejects` and `findings` tell why: `_unit, target, field, rule, reason, value[, level]`; None where nothing can happen.
    """

    targets: tuple[int, ...]
    main: str
    deciding: str
    rejects: str
    findings: str | None


@dataclass(frozen=True)
class Program:
    """What a Transformer needs, and what an engine has to know to feed it.

    `source_columns` are the columns to read, `unit_columns` those that identify a unit, `order` the order to read in.
    `unit_is_unique` tells that no two source rows can share their unit columns (only for units of one row).
    """

    mapping: str
    version: int
    source_columns: tuple[str, ...]
    source_schema: pa.Schema
    unit_columns: tuple[str, ...]
    unit_is_unique: bool
    order: tuple[str, ...]
    grouped: bool
    targets: tuple[ProgramTarget, ...]
    lookups: tuple[ProgramLookup, ...]
    where_sql: str | None
    units_sql: str | None
    levels: tuple[Level, ...]
    definition_json: str

    def definition(self) -> dict[str, Any]:
        """What decides the rows, as JSON values with sorted keys; equal definitions give equal rows for equal input."""
        found: dict[str, Any] = json.loads(self.definition_json)
        return found
