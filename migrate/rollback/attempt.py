"""Hold a run for the length of one attempt to take it back, by its undo records or from a backup: lease kept alive, the reason of its end recorded."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from migrate.engine.drive import record_tables
from migrate.engine.events import Listener, Notice, RunEnded, RunStarted
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.retries import Retries
from migrate.engine.stop import StopToken
from migrate.engine.throttle import Throttle
from migrate.errors import ConnectionLost, Fenced, Interrupted, MigrateError, Paused, StateError, TransientFault
from migrate.ledger.connection import Ledger
from migrate.ledger.counts import Counts
from migrate.ledger.lease import HeldLedger, Lease, Steering, register_worker, release
from migrate.ledger.log import add_event, seal
from migrate.ledger.runs import Pass, Run, State, set_state
from migrate.stores.port import TargetSession
from migrate.write.transaction import BatchId, BatchTransaction

T = TypeVar("T")

LANES: Final = 2
"""One batch changes rows while the next one locks its own and looks at them."""


class Lane:
    """One connection through which batches go back, opened and registered when first needed, and anew after it was lost. For one thread at a time."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._session: TargetSession | None = None

    @property
    def session(self) -> TargetSession:
        """The connection to the target."""
        if self._session is None:
            attempt = self._attempt
            session = attempt.ledger.store.session()
            try:
                register_worker(attempt.ledger, attempt.lease, attempt.next_worker(), session.backend())
            except BaseException:
                session.close()
                raise
            self._session = session
        return self._session

    def transaction(self, number: int) -> BatchTransaction:
        """The transaction of the attempt's batch of this number, not begun."""
        attempt = self._attempt
        batch = BatchId(attempt.run.run, attempt.pass_no, number)
        return BatchTransaction(attempt.ledger, self.session, attempt.lease, batch, attempt.tables)

    def persist(self, step: Callable[[], T], what: str, at_fault: Callable[[], None] = lambda: None) -> tuple[T, int]:
        """What a step returns, and at which attempt; faults that may pass are got over, and `at_fault` hears of each."""

        def after(fault: TransientFault) -> None:
            if isinstance(fault, ConnectionLost):
                self.close()
            at_fault()

        attempt = self._attempt
        return Retries(attempt.run.mapping, attempt.stop, attempt.listen).persist(step, what, after)

    def close(self) -> None:
        """Free the connection."""
        if self._session is not None:
            self._session.close()
        self._session = None


class Attempt:
    """One attempt at taking one run back, in a pass of kind `rollback` or `restore`: what it has in hand. The caller took the lease.

    `lanes`: how many batches can be in hand at a time; the first lane does for everything that comes one after the other.
    """

    def __init__(
        self, ledger: HeldLedger, run: Run, lease: Lease, current: Pass, stop: StopToken, listen: Listener
    ) -> None:
        self.ledger: Ledger = ledger
        self.run = run
        self.lease = lease
        self.kind = current.kind
        self.pass_no = current.number
        self.stop = stop
        self.listen = listen
        self.done = Counts()
        self.batches = 0
        self.outcome: State = "rolled_back"
        self.heartbeat = Heartbeat(Ledger(ledger.store, ledger.tables.metadata.schema), lease)
        self.throttle = Throttle(run.mapping, self.heartbeat, stop, listen)
        self.tables = record_tables(ledger)
        self.lanes = tuple(Lane(self) for _ in range(1 if ledger.store.writers == 1 else LANES))
        self._began_ms = current.started_ms
        self._connections = itertools.count()

    @property
    def lane(self) -> Lane:
        """The first lane."""
        return self.lanes[0]

    def next_worker(self) -> str:
        """A name for a connection, unique within the epoch."""
        return f"{self.kind}.{next(self._connections)}"

    def obey(self) -> None:
        """Raise Paused when an operator asked for it since the rollback began, Interrupted on a signal, Fenced when the lease is lost."""
        refuse_paused(self.run, self.heartbeat.steering(), self._began_ms)
        if self.stop.is_set:
            raise Interrupted(
                f"stopped between two batches: {self.stop.reason}", next_step="run the same command again to go on"
            )

    def close(self) -> None:
        """Free the connections."""
        for each in self.lanes:
            each.close()


def refuse_paused(run: Run, steering: Steering, began_ms: int) -> None:
    """Raise Paused for a pause from after the rollback began; an older one was meant for the run, and is a reason to take it back."""
    if steering.pause_reason is not None and (steering.paused_ms or 0) >= began_ms:
        raise Paused(
            f"the rollback of {run.mapping} is paused: {steering.pause_reason}",
            where=f"run {run.run}",
            next_step="migrate resume, then give the same command again",
        )


@contextmanager
def attempting(attempt: Attempt, rows: int, *, resumed: bool) -> Iterator[None]:
    """Keep the lease while the block runs; then record why it stopped, give the lease back, and say so, whatever happened.

    `rows`: how many are to be looked at. What stopped leaves the run rolling back, and only the same command goes on with it; what was refused
    before it took anything back leaves the run as it was.
    """
    run, began = attempt.run, time.monotonic()
    attempt.listen(RunStarted(run.mapping, run.run, resumed, rows, Counts()))
    reason: str | None = "interrupted"
    fenced = refused = False
    try:
        attempt.heartbeat.start()
        yield
        reason = None
    except Fenced:
        reason, fenced = "another process took over", True
        raise
    except MigrateError as stopped:
        reason, refused = stopped.message, isinstance(stopped, StateError)
        raise
    finally:
        attempt.heartbeat.stop()
        attempt.close()
        if not fenced:
            _sign_off(attempt, reason, refused=refused)
        ended = attempt.outcome if reason is None else "fenced" if fenced else "rolling_back"
        attempt.listen(RunEnded(run.mapping, run.run, ended, attempt.done, time.monotonic() - began, reason))


def _sign_off(attempt: Attempt, reason: str | None, *, refused: bool) -> None:
    """Leave word in the ledger; where it cannot be reached, the expiring lease says enough."""
    run = attempt.run
    try:
        if reason is not None:
            add_event(attempt.ledger, run.mapping, run.run, f"{attempt.kind}-stopped", {"reason": reason})
            seal(attempt.ledger, run.run)
            if refused and not attempt.batches and run.state != "rolling_back":
                set_state(attempt.ledger, run.run, run.state, run.reason)
            else:
                set_state(attempt.ledger, run.run, "rolling_back", reason)
        release(attempt.ledger, attempt.lease)
    except MigrateError as fault:
        attempt.listen(
            Notice(run.mapping, "warning", f"could not record that the {attempt.kind} stopped: {fault.message}")
        )
