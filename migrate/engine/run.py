"""Run mappings: one after the other in the order of their foreign keys, each to its end or to a stated stop.

    take the lease, begin or resume the run
    hand out batches until the source is exhausted        (loop)
    settle what was pending                               (finish)
    advance sequences, seal, mark complete                (finish)

Whatever stops it, what is committed stays committed, the ledger says why it stopped, and the same command goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pyarrow as pa

from migrate.engine.borders import Ranges
from migrate.engine.events import Listener, Notice, PhaseStarted, RunEnded, RunStarted
from migrate.engine.finish import complete, settle_pending
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.lookups import file_lookups, lookup_digests, table_lookups
from migrate.engine.loop import BatchLoop
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run, refuse_unplanned
from migrate.engine.snapshot import SourceAccess
from migrate.engine.start import Started, already_complete, start
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary, summarise
from migrate.engine.worker import Workshop
from migrate.errors import EnvironmentFault, Fenced, Interrupted, MigrateError, Paused
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.lease import release
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import keep_lookups, read_entries, read_run, set_state, total
from migrate.ledger.steering import set_pause
from migrate.stores.opening import open_target
from migrate.write.transaction import RecordTables

WORKERS = 2


def run(paths: Sequence[Path], options: RunOptions, *, stop: StopToken, listen: Listener) -> list[RunSummary]:
    """Run or resume these mappings to the end.

    Raises:
        InputError: a mapping or URL is wrong; nothing was written.
        StateError: refused: held by another process, fingerprint changed, target not as planned.
        Paused, Interrupted: stopped at a batch border.
        EnvironmentFault: a database out of reach after retries.
    """
    plans = plan_run(paths, options)
    for plan in plans:
        refuse_unplanned(plan)
    return [run_plan(plan, options, stop=stop, listen=listen) for plan in plans]


def run_plan(plan: Plan, options: RunOptions, *, stop: StopToken, listen: Listener) -> RunSummary:
    """Run or resume one planned mapping."""
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        ledger.create()
        finished = already_complete(ledger, plan)
        if finished is not None:
            listen(Notice(plan.name, "info", f"run {finished.run} is complete already: nothing to do"))
            return summarise(ledger, finished)
        with SourceAccess(plan) as source:
            started = start(ledger, plan, source.begun_at, listen)
            _drive(plan, options, _Drive(ledger, source, started, stop, listen))
        ended = read_run(ledger, started.run.run) or started.run
        return summarise(ledger, ended)
    finally:
        store.close()


class _Drive:
    """One attempt at one run: what it has in hand."""

    def __init__(
        self, ledger: Ledger, source: SourceAccess, started: Started, stop: StopToken, listen: Listener
    ) -> None:
        self.ledger = ledger
        self.source = source
        self.started = started
        self.stop = stop
        self.listen = listen
        self.heartbeat = Heartbeat(ledger, started.lease)


def _drive(plan: Plan, options: RunOptions, drive: _Drive) -> None:
    began = time.monotonic()
    entries = read_entries(drive.ledger, drive.started.run.run)
    drive.listen(
        RunStarted(plan.name, drive.started.run.run, drive.started.resumed, plan.estimated_rows, total(entries))
    )
    with _ending(plan, drive, began):
        drive.heartbeat.start()
        shop = _workshop(plan, drive)
        workers = options.workers or WORKERS
        drive.listen(PhaseStarted(plan.name, "batches"))
        ranges = Ranges(
            drive.ledger, drive.started.run.run, drive.started.current_pass.number, plan.range_columns, plan.batch_rows
        )
        with drive.source.border_reader() as reader:
            BatchLoop(shop, drive.heartbeat, workers).run(ranges.walk(reader))
        settle_pending(shop, drive.heartbeat)
        complete(shop)


@contextmanager
def _ending(plan: Plan, drive: _Drive, began: float) -> Iterator[None]:
    """Record why a run stopped, give the lease back, and say so; whatever happens in the block."""
    state, reason = "complete", None
    try:
        yield
    except Paused as paused:
        state, reason = "paused", paused.message
        set_pause(drive.ledger, drive.started.lease, paused.message)
        paused.where = paused.where or f"run {drive.started.run.run} of {plan.name}"
        paused.next_step = paused.next_step or (
            f"look at the reason (migrate rejects list {plan.mapping.path}), then migrate resume {plan.mapping.path} and run again"
        )
        raise
    except Fenced:
        state, reason = "fenced", "another process took over"
        raise
    except (Interrupted, EnvironmentFault, KeyboardInterrupt) as stopped:
        state, reason = "interrupted", getattr(stopped, "message", "interrupted")
        raise
    except BaseException as failure:
        state, reason = "failed", failure.message if isinstance(failure, MigrateError) else repr(failure)
        raise
    finally:
        drive.heartbeat.stop()
        _sign_off(drive, state, reason)
        seconds = time.monotonic() - began
        drive.listen(RunEnded(plan.name, drive.started.run.run, state, _counts(drive), seconds, reason))


def _counts(drive: _Drive) -> Counts:
    """What the run counted so far; nothing where the ledger cannot be reached."""
    try:
        return total(read_entries(drive.ledger, drive.started.run.run))
    except MigrateError:
        return Counts()


def _sign_off(drive: _Drive, state: str, reason: str | None) -> None:
    """Leave word in the ledger; where it cannot be reached, the expiring lease says enough."""
    if state == "fenced":
        return
    run = drive.started.run
    try:
        if state != "complete":
            add_event(drive.ledger, run.mapping, run.run, state, {"reason": reason})
            seal(drive.ledger, run.run)
            set_state(drive.ledger, run.run, state, reason)  # type: ignore[arg-type]
        release(drive.ledger, drive.started.lease)
    except MigrateError as fault:
        drive.listen(
            Notice(run.mapping, "warning", f"could not record that the run stopped ({state}): {fault.message}")
        )


def _workshop(plan: Plan, drive: _Drive) -> Workshop:
    gate: AbstractContextManager[object] = threading.Lock() if drive.ledger.store.writers == 1 else nullcontext()
    return Workshop(
        plan=plan,
        ledger=drive.ledger,
        lease=drive.started.lease,
        pass_no=drive.started.current_pass.number,
        lookups=_lookups(plan, drive),
        tables=_record_tables(drive.ledger),
        open_reader=drive.source.open_reader,
        gate=gate,
        stop=drive.stop,
        listen=drive.listen,
    )


def _lookups(plan: Plan, drive: _Drive) -> dict[str, pa.Table]:
    """All lookups; those from tables are compared with what this pass read before."""
    tables = table_lookups(plan.mapping, plan.source.url, plan.target_url)
    digests = lookup_digests(tables)
    known = drive.started.current_pass.lookups
    if not known:
        keep_lookups(drive.ledger, drive.started.run.run, drive.started.current_pass.number, digests)
    for name, digest in digests.items():
        if known.get(name, digest) != digest:
            message = (
                f"lookup {name} holds other rows than when this pass began: rows mapped before it keep the old codes"
            )
            add_event(drive.ledger, plan.name, drive.started.run.run, "lookup-changed", {"lookup": name})
            drive.listen(Notice(plan.name, "warning", f"{message}; `migrate catchup --sweep` will find them"))
    return {**file_lookups(plan.mapping), **tables}


def _record_tables(ledger: Ledger) -> RecordTables:
    schema = ledger.tables.metadata.schema
    prefix = "" if schema is None else f"{schema}."
    reject, finding = (ledger.store.describe(f"{prefix}{name}") for name in ("migrate_reject", "migrate_finding"))
    if reject is None or finding is None:
        raise EnvironmentFault(
            "the ledger's tables are not there", next_step="check the privileges of the database user"
        )
    return RecordTables(reject, finding)
