"""What the write port knows about one target table: shape, key, policy on conflict, and what describes its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from migrate.checksum.contract import Contract
from migrate.values import TableShape

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
