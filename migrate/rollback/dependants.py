"""Which other mappings wrote rows that point at the tables of a run: while those rows are there, the database holds the run's rows fast.

Told from the ledger and the tables' foreign keys, without a look at rows. It is a hint about the right order, never a refusal: which rows are
held, only the database knows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from migrate.engine.access import run_of
from migrate.engine.databases import as_typed
from migrate.engine.options import RunOptions
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import TargetCounts
from migrate.ledger.runs import Run, all_runs, current_run, read_entries, total


@dataclass(frozen=True, slots=True)
class Dependant:
    """A mapping whose newest run wrote rows into `tables`, which point at the tables in question. `command`: what takes that run back."""

    mapping: str
    tables: tuple[str, ...]
    command: str


def dependants(path: Path, options: RunOptions, tables: Collection[str]) -> tuple[Dependant, ...]:
    """Those whose rows point at `tables`, in the order in which they have to be taken back: what ran last comes first.

    Raises StateError when the mapping never ran.
    """
    with run_of(path, options) as (ledger, run):
        return dependants_of(ledger, run, options, tables)


def dependants_of(ledger: Ledger, run: Run, options: RunOptions, tables: Collection[str]) -> tuple[Dependant, ...]:
    """As `dependants`, of a run that is known."""
    newest = {each.mapping: each for each in all_runs(ledger) if each.mapping != run.mapping}
    others = [found for name in newest if (found := current_run(ledger, name)) is not None]
    pointing = [_of(ledger, other, tables, options) for other in sorted(others, key=lambda each: -each.created_ms)]
    return tuple(each for each in pointing if each is not None)


def _of(ledger: Ledger, run: Run, tables: Collection[str], options: RunOptions) -> Dependant | None:
    counts = total(read_entries(ledger, run.run)).targets
    pointing = tuple(name for name in sorted(counts) if _wrote(counts[name]) and _points_at(ledger, name, tables))
    path = Path(str(run.settings.get("path", run.mapping)))
    return Dependant(run.mapping, pointing, f"migrate rollback {as_typed(path, options)}") if pointing else None


def _wrote(counts: TargetCounts) -> bool:
    return counts.written - counts.deleted > 0 or counts.updated > 0


def _points_at(ledger: Ledger, table: str, tables: Collection[str]) -> bool:
    shape = ledger.store.describe(table)
    return shape is not None and any(key.parent in tables for key in shape.foreign_keys)
