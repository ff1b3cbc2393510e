"""Find the ledger that a command means: by a mapping file, by a target URL, or by both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrate.engine.options import RunOptions
from migrate.errors import InputError, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Run, all_runs, current_run, read_passes
from migrate.mapping.reader import read_mapping
from migrate.stores.opening import open_present_target


@contextmanager
def ledger_of(path: Path | None, options: RunOptions, *, required: bool = True) -> Iterator[tuple[Ledger, str | None]]:
    """(ledger, name of the mapping or None). Raises StateError when the database has no ledger, unless that is not `required`."""
    name, url = None, options.target
    if path is not None:
        mapping = read_mapping(path)
        name, url = mapping.name, options.target or mapping.target.url
    if url is None:
        raise InputError("which database?", next_step="give a mapping file that names its target, or --target URL")
    store = open_present_target(url, options.ledger_schema)
    try:
        ledger = Ledger(store, options.ledger_schema)
        if required:
            ledger.require()
        yield ledger, name
    finally:
        store.close()


@contextmanager
def run_of(path: Path, options: RunOptions) -> Iterator[tuple[Ledger, Run]]:
    """(ledger, newest run of the mapping, or the one that `options` name). Raises StateError when it never ran, InputError for a wrong id."""
    with ledger_of(path, options) as (ledger, name):
        yield ledger, chosen_run(ledger, name or "", path, options)


def chosen_run(ledger: Ledger, mapping: str, path: Path | None, options: RunOptions) -> Run:
    """The run of the mapping that `options` name, else its newest. Raises StateError when it never ran, InputError for a wrong id or pass."""
    known = {each.run: each for each in all_runs(ledger, mapping)}
    newest = current_run(ledger, mapping)
    if newest is None:
        raise StateError(f"{mapping} was never run into this database", next_step=f"migrate run {path}")
    run = known.get(options.run) if options.run else newest
    if run is None:
        raise InputError(f"{mapping} has no run {options.run}", next_step=f"its runs: {', '.join(known)}")
    numbers = [each.number for each in read_passes(ledger, run.run)] if options.pass_no is not None else []
    if options.pass_no is not None and options.pass_no not in numbers:
        raise InputError(
            f"run {run.run} of {mapping} has no pass {options.pass_no}",
            next_step=f"its passes: {', '.join(map(str, numbers)) or 'none yet'}",
        )
    return run
