"""Who may drive a mapping's run: a lease with an epoch, and the fence that each batch transaction passes.

The lease row is updated often and never locked by batches. The epoch stands in the run's row, which batches share-lock: raising it waits for
the batches in flight. A takeover therefore commits the *wanted* epoch first, which new batches read and obey, so that they cannot overtake the
waiting update for ever (PostgreSQL lets share locks pass a waiting writer).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from migrate.errors import EnvironmentFault, Fenced, StateError
from migrate.ledger.connection import Ledger
from migrate.ledger.process import Process, this_process
from migrate.stores.port import Backend, TargetSession

LEASE_MS = 30_000
"""How long a lease lasts without being renewed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of this process to drive `run` as long as nobody wants a higher epoch."""

    mapping: str
    run: str
    epoch: int
    holder: str


@dataclass(frozen=True, slots=True)
class Steering:
    """What operators asked of a run from outside; `paused_ms`: when, by the database's clock."""

    pause_reason: str | None
    throttle_rows: int | None
    paused_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """The lease row as read, with its age by the database's clock."""

    run: str
    epoch: int
    wanted_epoch: int
    holder: Process | None
    remaining_ms: int
    steering: Steering

    @property
    def live(self) -> bool:
        """True when a process that may still be running holds it."""
        return self.holder is not None and self.remaining_ms > 0 and not self.holder.surely_dead


def read_lease(ledger: Ledger, mapping: str) -> Holding | None:
    """The lease of a mapping, or None when it never ran."""
    lease = ledger.tables.lease
    with ledger.reading() as connection:
        row = connection.execute(
            sa.select(lease, (lease.c.expires_ms - ledger.clock).label("remaining_ms")).where(
                lease.c.mapping == mapping
            )
        ).one_or_none()
    if row is None:
        return None
    holder = Process.from_text(row.holder) if row.holder else None
    steering = Steering(row.pause_reason, row.throttle_rows, row.paused_ms)
    return Holding(row.run, row.epoch, row.wanted_epoch, holder, int(row.remaining_ms), steering)


def acquire(ledger: Ledger, mapping: str, run: str, before: Holding | None) -> Lease:
    """Take the lease for `run`. `before` is the lease as it was when the caller decided on that run: it must still be so.

    Raises StateError when a process that may be alive holds it, or when another one was faster.
    """
    if before is not None and before.live:
        raise held_by_another(mapping, before)
    holder = this_process().to_text()
    epoch = 1 if before is None else before.wanted_epoch + 1
    if not (_insert(ledger, mapping, run, holder) if before is None else _want(ledger, mapping, run, before, holder)):
        raise StateError(
            f"another process took the run of {mapping} at the same moment",
            next_step="`migrate status` of this mapping shows who holds it",
        )
    _end_older_workers(ledger, run if before is None else before.run, epoch)
    _raise_epoch(ledger, mapping, run, epoch)
    return Lease(mapping, run, epoch, holder)


def held_by_another(mapping: str, holding: Holding) -> StateError:
    """The refusal that names the holder."""
    return StateError(
        f"another process holds the run of {mapping}: {holding.holder}",
        where=f"run {holding.run}, its lease lasts {max(holding.remaining_ms, 0) / 1000:.0f} s more unless it is renewed",
        next_step="wait for it, or end that process; a lease that is not renewed is taken over",
    )


def renew(ledger: Ledger, lease: Lease) -> Steering:
    """Prolong the lease and read what operators want; raises Fenced when somebody else has it."""
    table = ledger.tables.lease
    with ledger.writing() as connection:
        done = connection.execute(_renewal(ledger, lease))
        if done.rowcount != 1:
            raise fenced(lease)
        row = connection.execute(
            sa.select(table.c.pause_reason, table.c.throttle_rows, table.c.paused_ms).where(
                table.c.mapping == lease.mapping
            )
        ).one()
    return Steering(row.pause_reason, row.throttle_rows, row.paused_ms)


def release(ledger: Ledger, lease: Lease) -> None:
    """Give the lease back; without effect when somebody else has it."""
    table = ledger.tables.lease
    with ledger.writing() as connection:
        connection.execute(sa.update(table).where(_is_mine(ledger, lease)).values(holder=None, expires_ms=0))


def pass_fence(ledger: Ledger, session: TargetSession, lease: Lease) -> Steering:
    """First step of a batch transaction: hold this epoch until the end of the transaction, or raise Fenced.

    On SQLite, where the transaction already has the only write lock, it also renews the lease.
    """
    table, run = ledger.tables.lease, ledger.tables.run
    found = session.execute(
        sa.select(table.c.wanted_epoch, table.c.pause_reason, table.c.throttle_rows, table.c.paused_ms).where(
            table.c.mapping == lease.mapping
        )
    )
    if not found or found[0][0] != lease.epoch:
        raise fenced(lease)
    held = session.execute(sa.select(run.c.epoch).where(run.c.run == lease.run).with_for_update(read=True))
    if not held or held[0][0] != lease.epoch:
        raise fenced(lease)
    if ledger.store.dialect == "sqlite":
        session.execute(_renewal(ledger, lease))
    return Steering(*found[0][1:])


class HeldLedger(Ledger):
    """The ledger in the hands of who holds the lease: all that is written through it is fenced like a batch.

    A process that was thought dead and wakes up can therefore not mark a run complete, cut a range or log an event any more.
    """

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        super().__init__(ledger.store, ledger.tables.metadata.schema)
        self._lease = lease

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """As `Ledger.writing`, but Fenced unless the lease is still held; it cannot be taken over before the block is committed."""
        try:
            with super().writing() as connection:
                if not self._hold(connection):
                    raise fenced(self._lease)
                yield connection
        except EnvironmentFault as fault:
            # A process that stood still was cut off by the server, and learns from that only that something is wrong.
            if self._is_lost():
                raise fenced(self._lease) from fault
            raise

    def _is_lost(self) -> bool:
        try:
            holding = read_lease(self, self._lease.mapping)
        except EnvironmentFault:
            return False
        return holding is not None and holding.wanted_epoch != self._lease.epoch

    def _hold(self, connection: sa.Connection) -> bool:
        mine = _is_mine(self, self._lease)
        if self.store.dialect == "sqlite":
            # Only what writes takes the lock.
            return connection.execute(_renewal(self, self._lease)).rowcount == 1
        # Not a shared lock: who has one and then changes the row may wait for another who does the same.
        query = sa.select(self.tables.lease.c.epoch).where(mine).with_for_update()
        return connection.execute(query).one_or_none() is not None


def register_worker(ledger: Ledger, lease: Lease, worker: str, backend: Backend) -> None:
    """Commit which connection a worker writes with, before its first batch, so that a takeover can end it."""
    with ledger.writing() as connection:
        connection.execute(
            sa.insert(ledger.tables.worker).values(
                run=lease.run,
                epoch=lease.epoch,
                worker=worker,
                backend_id=backend.id,
                backend_start=backend.start,
                process=lease.holder,
                started_ms=ledger.clock,
            )
        )


def fenced(lease: Lease) -> Fenced:
    """The refusal of a process that lost its run."""
    return Fenced(
        f"another process took over run {lease.run} of {lease.mapping}; this one stopped without writing more",
        where=f"epoch {lease.epoch}",
        next_step="`migrate status` of this mapping shows who drives it now",
    )


def _renewal(ledger: Ledger, lease: Lease) -> sa.Update:
    return sa.update(ledger.tables.lease).where(_is_mine(ledger, lease)).values(expires_ms=ledger.clock + LEASE_MS)


def _is_mine(ledger: Ledger, lease: Lease) -> sa.ColumnElement[bool]:
    table = ledger.tables.lease
    return (table.c.mapping == lease.mapping) & (table.c.wanted_epoch == lease.epoch) & (table.c.holder == lease.holder)


def _insert(ledger: Ledger, mapping: str, run: str, holder: str) -> bool:
    values = {"mapping": mapping, "run": run, "epoch": 1, "wanted_epoch": 1, "holder": holder}
    return ledger.insert_if_new(sa.insert(ledger.tables.lease).values(**values, expires_ms=ledger.clock + LEASE_MS))


def _want(ledger: Ledger, mapping: str, run: str, before: Holding, holder: str) -> bool:
    table = ledger.tables.lease
    # The clock is looked at inside of the statement: on SQLite this is after the write lock was got, and with it the last renewal is seen.
    free: sa.ColumnElement[bool] = sa.or_(table.c.holder.is_(None), table.c.expires_ms <= ledger.clock)
    if before.holder is not None and before.holder.surely_dead:
        free = sa.or_(free, table.c.holder == before.holder.to_text())
    expected = (table.c.mapping == mapping) & (table.c.wanted_epoch == before.wanted_epoch) & free
    # A pause and a throttle were meant for their run. Once that has ended nobody can lift them any more: the next one begins without.
    steering = {} if run == before.run else dict.fromkeys(("pause_reason", "paused_ms", "throttle_rows"), sa.null())
    taken = {"run": run, "wanted_epoch": before.wanted_epoch + 1, "holder": holder, **steering}
    with ledger.writing() as connection:
        done = connection.execute(sa.update(table).where(expected).values(expires_ms=ledger.clock + LEASE_MS, **taken))
    return done.rowcount == 1


def _end_older_workers(ledger: Ledger, run: str, epoch: int) -> None:
    worker = ledger.tables.worker
    with ledger.reading() as connection:
        older = connection.execute(
            sa.select(worker.c.backend_id, worker.c.backend_start).where(
                worker.c.run == run, worker.c.epoch < epoch, worker.c.backend_id.is_not(None)
            )
        ).all()
    if not older:
        return
    session = ledger.store.session()
    try:
        for row in older:
            session.end_backend(Backend(row.backend_id, row.backend_start))
    finally:
        session.close()


def _raise_epoch(ledger: Ledger, mapping: str, run: str, epoch: int) -> None:
    table, lease = ledger.tables.run, ledger.tables.lease
    with ledger.writing() as connection:
        connection.execute(sa.update(table).where(table.c.run == run, table.c.epoch < epoch).values(epoch=epoch))
    with ledger.writing() as connection:
        connection.execute(
            sa.update(lease).where(lease.c.mapping == mapping, lease.c.wanted_epoch == epoch).values(epoch=epoch)
        )
