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
    def constants(self) -> tuple[tuple[str, str | None], ...]:
        """Columns that are not written, with the default text that an inserted row gets; None is NULL."""
        return tuple(
            (column.name, column.default if column.default_kind == "literal" else None)
            for column in self.shape.columns
            if column.name not in self.fields
        )
