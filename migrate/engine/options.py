"""What a user may set for a run on the command line; one frozen value instead of many parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrate.values import SourceSample

BATCH_ROWS = 15_000
"""Source rows per batch unless told otherwise: large enough that a commit costs little, small enough for memory and to repeat after a kill."""

CHUNK_BYTES = 32 * 2**20
"""Arrow bytes that one worker reads, transforms and writes at a time."""


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
