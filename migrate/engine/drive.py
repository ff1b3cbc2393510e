"""Hold a run for the length of one attempt: lease kept alive, the reason of its end recorded, whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pyarrow as pa

from migrate.engine.breaker import Breaker, SampleSize
from migrate.engine.events import Listener, Notice, RunEnded, RunStarted
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.lookups import file_lookups, lookup_digests, table_lookups
from migrate.engine.plan import Plan
from migrate.engine.snapshot import SourceAccess
from migrate.engine.start import Started
from migrate.engine.stop import StopToken
from migrate.engine.worker import Workshop
from migrate.errors import EnvironmentFault, Fenced, Interrupted, MigrateError, Paused
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.lease import HeldLedger, release
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import State, keep_lookups, read_entries, set_state, total
from migrate.ledger.steering import set_pause
from migrate.write.transaction import RecordTables


class Drive:
    """One attempt at one run: what it has in hand. The caller took the lease (`started`)."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        source: SourceAccess,
        started: Started,
        stop: StopToken,
        listen: Listener,
    ) -> None:
        self.plan = plan
        self.ledger: Ledger = HeldLedger(ledger, started.lease)
        self.source = source
        self.started = started
        self.stop = stop
        self.listen = listen
        self.heartbeat = Heartbeat(ledger, started.lease)
        self.breaker = Breaker(plan.mapping.limits, _sample_size(plan))

    @property
    def run(self) -> str:
        """Id of the run."""
        return self.started.run.run

    @property
    def pass_no(self) -> int:
        """Number of the pass that this attempt works on."""
        return self.started.current_pass.number

    def counts(self) -> Counts:
        """What the run counted so far; nothing where the ledger cannot be reached."""
        try:
            return total(read_entries(self.ledger, self.run))
        except MigrateError:
            return Counts()


def _sample_size(plan: Plan) -> SampleSize | None:
    sample = plan.source.sample
    return None if sample is None else SampleSize(len(sample.ranges), sample.of, plan.batch_rows)


@contextmanager
def driving(drive: Drive) -> Iterator[None]:
    """Keep the lease while the block runs; then record why it stopped, give the lease back, and say so, whatever happened."""
    plan, began = drive.plan, time.monotonic()
    drive.listen(RunStarted(plan.name, drive.run, drive.started.resumed, plan.estimated_rows, drive.counts()))
    state: State | None = "complete"
    reason: str | None = None
    try:
        drive.heartbeat.start()
        yield
    except Paused as paused:
        state, reason = "paused", paused.message
        set_pause(drive.ledger, drive.started.lease, paused.message)
        paused.where = paused.where or f"run {drive.run} of {plan.name}"
        paused.next_step = paused.next_step or (
            f"look at the reason (migrate rejects list {plan.mapping.path}), then migrate resume {plan.mapping.path} and migrate run {plan.mapping.path}"
        )
        raise
    except Fenced:
        state, reason = None, "another process took over"
        raise
    except (Interrupted, EnvironmentFault, KeyboardInterrupt) as stopped:
        state, reason = "interrupted", getattr(stopped, "message", "interrupted")
        raise
    except BaseException as failure:
        state, reason = "failed", failure.message if isinstance(failure, MigrateError) else repr(failure)
        raise
    finally:
        drive.heartbeat.stop()
        fenced = _sign_off(drive, state, reason)
        seconds = time.monotonic() - began
        ended = "fenced" if state is None or fenced else state
        drive.listen(RunEnded(plan.name, drive.run, ended, drive.counts(), seconds, reason))
        if fenced is not None:
            # Whatever went wrong here, somebody else drives the run: that is what counts.
            raise fenced


def _sign_off(drive: Drive, state: State | None, reason: str | None) -> Fenced | None:
    """Leave word in the ledger; where it cannot be reached, the expiring lease says enough. Fenced when somebody took the run over."""
    if state is None:
        return None
    run = drive.started.run
    try:
        if state != "complete":
            add_event(drive.ledger, run.mapping, run.run, state, {"reason": reason})
            seal(drive.ledger, run.run)
            set_state(drive.ledger, run.run, state, reason)
        release(drive.ledger, drive.started.lease)
    except Fenced as fenced:
        return None if state == "complete" else fenced
    except MigrateError as fault:
        drive.listen(
            Notice(run.mapping, "warning", f"could not record that the run stopped ({state}): {fault.message}")
        )
    return None


def workshop(drive: Drive) -> Workshop:
    """What the workers of this attempt share."""
    gate: AbstractContextManager[object] = threading.Lock() if drive.ledger.store.writers == 1 else nullcontext()
    return Workshop(
        plan=drive.plan,
        ledger=drive.ledger,
        lease=drive.started.lease,
        pass_no=drive.pass_no,
        lookups=_lookups(drive),
        tables=record_tables(drive.ledger),
        open_reader=drive.source.open_reader,
        gate=gate,
        stop=drive.stop,
        listen=drive.listen,
        hear=drive.heartbeat.hear,
    )


def _lookups(drive: Drive) -> dict[str, pa.Table]:
    """All lookups; those from tables are compared with what this pass read before."""
    plan = drive.plan
    tables = table_lookups(plan.mapping, plan.source.url, plan.target_url)
    digests = lookup_digests(tables)
    known = drive.started.current_pass.lookups
    if not known:
        keep_lookups(drive.ledger, drive.run, drive.pass_no, digests)
    for name, digest in digests.items():
        if known.get(name, digest) != digest:
            message = (
                f"lookup {name} holds other rows than when this pass began: rows mapped before it keep the old codes"
            )
            add_event(drive.ledger, plan.name, drive.run, "lookup-changed", {"lookup": name})
            drive.listen(Notice(plan.name, "warning", f"{message}; `migrate catchup --sweep` will find them"))
    return {**file_lookups(plan.mapping), **tables}


def record_tables(ledger: Ledger) -> RecordTables:
    """The shapes of the ledger tables that batches append to; EnvironmentFault when they are not there."""
    schema = ledger.tables.metadata.schema
    prefix = "" if schema is None else f"{schema}."
    reject, finding = (ledger.store.describe(f"{prefix}{name}") for name in ("migrate_reject", "migrate_finding"))
    if reject is None or finding is None:
        raise EnvironmentFault(
            "the ledger's tables are not there", next_step="check the privileges of the database user"
        )
    return RecordTables(reject, finding)
