"""What a worker can be asked to do in one batch: the rows of a key range, or single units that are read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from migrate.engine.chunks import read_chunks
from migrate.mapping.program import Program
from migrate.stores.port import SourceReader
from migrate.values import Key, KeyRange

REPLAY_ORDER = 2**40
"""Replayed units stand behind all others in source order: a row that another unit holds by now stays that unit's."""


class Job(Protocol):
    """The source rows of one batch, the same whenever it is asked."""

    @property
    def number(self) -> int:
        """Number of the batch in its pass."""
        ...

    @property
    def order(self) -> int:
        """Place of its units in source order, before their position in the batch."""
        ...

    def chunks(self, reader: SourceReader, program: Program, chunk_bytes: int) -> Iterator[pa.Table]:
        """The source rows, in chunks of about so many bytes that cut through no unit; at least one, which may be empty."""
        ...


@dataclass(frozen=True, slots=True)
class RangeJob:
    """All rows of a key range."""

    key_range: KeyRange

    @property
    def number(self) -> int:
        """The range's number."""
        return self.key_range.number

    @property
    def order(self) -> int:
        """The range's number."""
        return self.key_range.number

    def chunks(self, reader: SourceReader, program: Program, chunk_bytes: int) -> Iterator[pa.Table]:
        """Read the range."""
        return read_chunks(reader, self.key_range, program, chunk_bytes)


@dataclass(frozen=True, slots=True)
class UnitsJob:
    """Single units by their key; a unit that is not in the source any more gives no row."""

    number: int
    keys: tuple[Key, ...]
    units: frozenset[str]

    @property
    def order(self) -> int:
        """Behind all ranges."""
        return REPLAY_ORDER + self.number

    def chunks(self, reader: SourceReader, program: Program, chunk_bytes: int) -> Iterator[pa.Table]:  # noqa: ARG002 - units are few
        """Read the units, all at once."""
        yield reader.pick(program.unit_columns, self.keys, program.order, program.source_columns)

    def wants(self, unit: str) -> bool:
        """Was this very unit asked for? Others can share its key."""
        return unit in self.units
