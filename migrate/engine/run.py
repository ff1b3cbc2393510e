"""Run mappings: one after the other in the order of their foreign keys, each to its end or to a stated stop.

    take the lease, begin or resume the run
    hand out batches until the source is exhausted        (loop)
    settle what was pending                               (finish)
    advance sequences, seal, mark complete                (finish)

Whatever stops it, what is committed stays committed, the ledger says why it stopped, and the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from migrate.engine.borders import Ranges
from migrate.engine.drive import Drive, driving, workshop
from migrate.engine.events import Listener, Notice, PhaseStarted
from migrate.engine.finish import complete, settle_all
from migrate.engine.jobs import RangeJob
from migrate.engine.loop import BatchLoop
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run, refuse_unplanned
from migrate.engine.retries import Retries
from migrate.engine.safeguard import safeguards
from migrate.engine.snapshot import SourceAccess
from migrate.engine.start import already_complete, start
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary, summarise
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import read_run
from migrate.stores.opening import open_target


def run(paths: Sequence[Path], options: RunOptions, *, stop: StopToken, listen: Listener) -> list[RunSummary]:
    """Run or resume these mappings to the end.

    Raises:
        InputError: a mapping or URL is wrong; nothing was written.
        StateError: refused: held by another process, fingerprint changed, target not as planned, no checked backup of the rows that are there.
        Paused, Interrupted: stopped at a batch border.
        EnvironmentFault: a database out of reach after retries.
    """
    plans = plan_run(paths, options)
    for plan in plans:
        refuse_unplanned(plan)
    # All of them before any writes: a mapping must not be refused behind others that have run.
    found = safeguards(plans, options)
    return [
        _run_plan(plan, options, safeguard, stop=stop, listen=listen)
        for plan, safeguard in zip(plans, found, strict=True)
    ]


def _run_plan(
    plan: Plan, options: RunOptions, safeguard: Mapping[str, object], *, stop: StopToken, listen: Listener
) -> RunSummary:
    """Run or resume one planned mapping. `safeguard`: what the log shall say about the backup that a new run stands on."""
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        ledger.create()
        finished = already_complete(ledger, plan)
        if finished is not None:
            listen(Notice(plan.name, "info", f"run {finished.run} is complete already: nothing to do"))
            return summarise(ledger, finished)
        with SourceAccess(plan) as source:
            started = start(ledger, plan, source.begun_at, listen, safeguard)
            _to_the_end(Drive(plan, ledger, source, started, stop, listen), options)
        return summarise(ledger, read_run(ledger, started.run.run) or started.run)
    finally:
        store.close()


def _to_the_end(drive: Drive, options: RunOptions) -> None:
    with driving(drive):
        shop = workshop(drive)
        drive.listen(PhaseStarted(drive.plan.name, "batches"))
        ranges = Ranges(drive.ledger, drive.run, drive.pass_no, drive.plan.range_columns, drive.plan.batch_rows)
        retries = Retries(drive.plan.name, drive.stop, drive.listen)
        with drive.source.border_reader() as reader:
            BatchLoop(shop, drive.heartbeat, drive.breaker, options.workers).run(
                map(RangeJob, ranges.walk(reader, retries))
            )
        settle_all(shop, drive.heartbeat, drive.breaker)
        complete(shop)
