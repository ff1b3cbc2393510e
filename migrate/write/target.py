"""What the write port knows about one target table: shape, key, policy on conflict, and what describes its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from migrate.checksum.contract import Contract
from migrate.values import Key, KeyValue, TableShape

Mode = Literal["fail", "keep", "update", "newer"]


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """One target table of a mapping, ready to be written.

    `fields` are the columns that are written, in the table's order; `contract` covers exactly them. `scope_sql` is a boolean
    expression over the table's columns in DuckDB's dialect, or None for the whole table. `version_field` goes with mode `newer`.
    """

    shape: TableShape
    fields: tuple[str, ...]
    key: tuple[str, ...]
    mode: Mode
    version_field: str | None
    scope_sql: str | None
    grouped: bool
    contract: Contract

    @property
    def name(self) -> str:
        """The table's name, as in the mapping."""
        return self.shape.name

    @property
    def volatile(self) -> tuple[str, ...]:
        """Columns that are not written and that the database fills by itself: their content is known only after reading it back."""
        kinds = {"expression", "identity", "generated"}
        return tuple(
            column.name
            for column in self.shape.columns
            if column.name not in self.fields and column.default_kind in kinds
        )

    @property
    def covered(self) -> Contract:
        """Columns that an undo record's digest covers: the written ones and the volatile ones; all others are constants."""
        if not self.volatile:
            return self.contract
        types = tuple((name, self.shape.column(name).type) for name in (*self.fields, *self.volatile))
        return Contract(types, self.key)

    @property
    def constants(self) -> tuple[tuple[str, str | None], ...]:
        """Columns that are not written, with the default text that an inserted row gets; None is NULL."""
        return tuple(
            (column.name, column.default if column.default_kind == "literal" else None)
            for column in self.shape.columns
            if column.name not in self.fields and column.name not in self.volatile
        )

    @property
    def unique_fields(self) -> tuple[tuple[str, ...], ...]:
        """The target key, then every other unique key of the table whose columns are all written."""
        others = (each.columns for each in self.shape.unique_keys if set(each.columns) != set(self.key))
        return (self.key, *(columns for columns in others if set(columns) <= set(self.fields)))

    def shown(self, key: Sequence[KeyValue]) -> str:
        """A target key as people read it."""
        return repr(key[0]) if len(key) == 1 else repr(tuple(key))

    def key_table(self, keys: Sequence[Key]) -> pa.Table:
        """Target keys as a table of the key columns."""
        return pa.table(
            {
                name: pa.array([key[place] for key in keys], self.shape.column(name).type.arrow)
                for place, name in enumerate(self.key)
            }
        )


def precedes(one: Any, other: Any) -> bool:
    """Under `newer`: is `one` a greater version than `other`? No version is the least."""
    if one is None or other is None:
        return one is not None and other is None
    return bool(one > other)
