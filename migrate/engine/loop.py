"""The loop of a pass: hand out batches to workers, take in what they counted, and stop when something says so.

for each batch, in source order:
wait while throttled
hand it to a free worker
take in finished batches: count, tell, judge the limits
stop at once if fenced, a batch failed, an operator paused, a limit is over, or a signal came
wait for the batches in hand
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from migrate.engine.breaker import Breaker
from migrate.engine.events import BatchDone
from migrate.engine.heartbeat import Heartbeat
from migrate.engine.jobs import Job
from migrate.engine.throttle import Throttle
from migrate.engine.worker import Worker, Workshop
from migrate.errors import Interrupted, Paused
from migrate.ledger.counts import Counts

WORKERS = 2
"""Threads unless told otherwise: one reads and maps while the database is busy with the other's rows."""

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Done:
    job: Job
    counts: Counts
    attempts: int
    seconds: float


class BatchLoop:
    """Runs the batches of one pass with `workers` threads (default `WORKERS`)."""

    def __init__(self, shop: Workshop, heartbeat: Heartbeat, breaker: Breaker, workers: int | None) -> None:
        self._shop = shop
        self._heartbeat = heartbeat
        self._workers: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._all = [Worker(shop, f"{threading.get_ident():x}-{number}") for number in range(workers or WORKERS)]
        for worker in self._all:
            self._workers.put(worker)
        self._breaker = breaker
        self._running: set[Future[_Done]] = set()
        self._throttle = Throttle(shop.plan.name, heartbeat, shop.stop, shop.listen)

    def run(self, jobs: Iterator[Job]) -> None:
        """Do all batches. Raises Paused, Interrupted, Fenced, or what a batch could not get over; batches in hand are finished first."""
        with ThreadPoolExecutor(len(self._all), thread_name_prefix="batch") as pool:
            try:
                for job in jobs:
                    self._make_room()
                    self._throttle.wait(self._shop.plan.batch_rows, self._obey)
                    self._running.add(pool.submit(self._do, job))
                while self._running:
                    self._take_in()
            finally:
                for future in self._running:
                    future.cancel()
                wait(self._running)
                for worker in self._all:
                    worker.close()

    def _do(self, job: Job) -> _Done:
        # What lay ready when the run was told to stop is not begun any more.
        self._obey()
        worker = self._workers.get()
        began = time.monotonic()
        try:
            counts, attempts = worker.do(job)
        finally:
            self._workers.put(worker)
        return _Done(job, counts, attempts, time.monotonic() - began)

    def _make_room(self) -> None:
        """Wait until a worker is free; one range may lie ready for each, so that none has to wait for a border."""
        self._obey()
        while len(self._running) >= 2 * len(self._all):
            self._take_in()

    def _take_in(self) -> None:
        done, self._running = wait(self._running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        reason: str | None = None
        failure: BaseException | None = None
        for future in done:
            error = future.exception()
            if error is not None:
                failure = failure or error
                continue
            batch = future.result()
            self._shop.listen(
                BatchDone(
                    self._shop.plan.name,
                    self._shop.lease.run,
                    batch.job.number,
                    batch.counts,
                    batch.seconds,
                    batch.attempts,
                )
            )
            reason = self._breaker.add(batch.counts) or reason
        if failure is not None:
            raise failure
        if reason is not None:
            raise Paused(reason)
        self._obey()

    def _obey(self) -> None:
        steering = self._heartbeat.steering()
        if steering.pause_reason is not None:
            raise Paused(steering.pause_reason)
        if self._shop.stop.is_set:
            raise Interrupted(
                f"stopped at a batch border: {self._shop.stop.reason}", next_step="run the same command again to go on"
            )
