"""Find the ledger that a command means: by a mapping file, by a target URL, or by both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrate.engine.options import RunOptions
from migrate.errors import InputError, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Run, current_run
from migrate.mapping.reader import read_mapping
from migrate.stores.opening import open_target


@contextmanager
def ledger_of(path: Path | None, options: RunOptions) -> Iterator[tuple[Ledger, str | None]]:
    """(ledger, name of the mapping or None). Raises StateError when the database has no ledger."""
    name, url = None, options.target
    if path is not None:
        mapping = read_mapping(path)
        name, url = mapping.name, options.target or mapping.target.url
    if url is None:
        raise InputError("which database?", next_step="give a mapping file that names its target, or --target URL")
    store = open_target(url, options.ledger_schema)
    try:
        ledger = Ledger(store, options.ledger_schema)
        ledger.require()
        yield ledger, name
    finally:
        store.close()


@contextmanager
def run_of(path: Path, options: RunOptions) -> Iterator[tuple[Ledger, Run]]:
    """(ledger, newest run of the mapping). Raises StateError when it never ran."""
    with ledger_of(path, options) as (ledger, name):
        run = current_run(ledger, name or "")
        if run is None:
            raise StateError(f"{name} was never run into this database", next_step=f"migrate run {path}")
        yield ledger, run
