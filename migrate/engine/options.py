"""What a user may set for a run on the command line; one frozen value instead of many parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from migrate.values import SourceSample


@dataclass(frozen=True, slots=True)
class BatchSize:
    """`rows`: source rows of a batch unless told otherwise, large enough that a commit costs little and small enough to repeat after a kill.

    `chunk_bytes`: what one worker reads, maps and writes at a time, counted as the source sends it; several times as much with what is made of it.
    """

    rows: int
    chunk_bytes: int


MANY_WRITERS: Final = BatchSize(30_000, 2**20)
"""A few chunks of usual rows: half the commits of batches of 15,000, in the same memory (2 M invoices, PostgreSQL: 366–371 MiB in all)."""
ONE_WRITER: Final = BatchSize(15_000, 32 * 2**20)
"""Where only one transaction may write, a batch is read and mapped as a whole before it begins, so that others can do so meanwhile."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`source`, `target`: URLs that replace the mapping's. `ledger_schema`: where the database has schemas.

    `run`, `pass_no`: what a command looks at, instead of the newest run with all its passes. `no_backup`: a new run may begin in a scope
    that holds rows without a checked backup of them. `samples`, by mapping: only these rows of its source are looked at, as if there were no others.
    """

    source: str | None = None
    target: str | None = None
    batch_rows: int | None = None
    workers: int | None = None
    ledger_schema: str | None = None
    run: str | None = None
    pass_no: int | None = None
    no_backup: bool = False
    samples: Mapping[str, SourceSample] = field(default_factory=dict)
