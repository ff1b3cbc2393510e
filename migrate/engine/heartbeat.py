"""Keeps the lease of a run alive beside it, and hears what operators want."""

from __future__ import annotations

import threading

from migrate.errors import Fenced, MigrateError, TransientFault
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import Lease, Steering, renew

BEAT_SECONDS = 2.0


class Heartbeat:
    """A thread that renews the lease every `BEAT_SECONDS` until `stop`.

    A renewal that fails for a passing reason is tried at the next beat: the lease lasts several beats, and whoever lost it is fenced in any case.
    """

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self._ledger = ledger
        self._lease = lease
        self._end = threading.Event()
        self._lost: MigrateError | None = None
        self._steering = Steering(None, None)
        self._thread = threading.Thread(target=self._beat, name=f"lease of {lease.mapping}", daemon=True)

    def start(self) -> None:
        """Renew once, so that a lost lease is seen at once, then keep on."""
        self._steering = renew(self._ledger, self._lease)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; safe to call twice."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()

    def steering(self) -> Steering:
        """What operators want; raises Fenced once the lease is lost."""
        if self._lost is not None:
            raise self._lost
        return self._steering

    def hear(self, steering: Steering) -> None:
        """Take in what a batch saw of the lease as it began, so that nobody has to wait for the next beat."""
        self._steering = steering

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                self._steering = renew(self._ledger, self._lease)
            except Fenced as lost:
                self._lost = lost
                return
            except TransientFault:
                continue
            except MigrateError as fault:
                self._lost = fault
                return
