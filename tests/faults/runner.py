"""Runs mappings in a process of their own, which a test may kill, stop, hold at a point, or cut off.

The processes are forked from a server that has imported the toolkit already: loading it takes longer than such a run. They are as
separate as any others: own connections, own locks, own process id.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from tests.faults.injection import Passed, Strike
from tests.faults.scenario import Scenario

DEADLINE_SECONDS = 120.0
"""After so long a process that should have said something counts as hanging."""

DEFECT = 70
"""Exit code of an exception that nobody raised on purpose."""


@dataclass(frozen=True)
class Job:
    """One invocation of `run`, or with `back` of `rollback` for each mapping, the last one first; `restored_from`: of `backup restore` instead.

    `request`: what to roll back, None for all.
    `lock_wait`: seconds until a lock wait fails; `short_idle`: see `shorten_idle_transactions`; `file_bytes`: the size at which files
    cannot grow any more.
    """

    scenario: Scenario
    workers: int = 2
    batch_rows: int | None = None
    strikes: tuple[Strike, ...] = ()
    lock_wait: float | None = None
    short_idle: bool = False
    file_bytes: int | None = None
    back: bool = False
    restored_from: Path | None = None
    request: Any = None


@dataclass(frozen=True)
class Ending:
    """How a process ended: the exit code that the command would have (negative: the signal that killed it), and what it said."""

    code: int
    error: str = ""
    runs: tuple[dict[str, Any], ...] = ()
    trace: tuple[Passed, ...] = ()
    events: tuple[str, ...] = ()


class Running:
    """A process that runs a job."""

    def __init__(self, process: Any, control: Connection) -> None:
        self._process = process
        self._control = control
        self.pid: int = process.pid

    def until_held(self) -> str:
        """Wait until the process holds at a point; its name. Fails when it ends instead."""
        kind, what = self._hear()
        assert kind == "held", f"expected to be held at a point, but the process ended: {what}"
        return str(what)

    def said_something_within(self, seconds: float) -> bool:
        """True as soon as the process was held or has ended; false when neither happened in that time."""
        return self._control.poll(seconds)

    def until_stopping(self) -> None:
        """Wait until the process has taken in that it is to stop; it is held meanwhile."""
        kind, what = self._next()
        assert kind == "stopping", f"expected to be told to stop, but: {kind} {what}"

    def let_go(self) -> None:
        """Let it go on from where it is held."""
        self._control.send("go")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; after SIGSTOP, return when the process stands still."""
        os.kill(self.pid, number)
        if number == signal.SIGSTOP:
            process = psutil.Process(self.pid)
            while process.status() != psutil.STATUS_STOPPED:
                os.sched_yield()

    def ending(self) -> Ending:
        """Wait until the process has ended."""
        try:
            kind, what = self._hear()
        except EOFError:
            self._process.join(DEADLINE_SECONDS)
            assert self._process.exitcode is not None, "the process hangs while it ends"
            return Ending(self._process.exitcode)
        assert kind == "ended", f"unexpectedly held {what}"
        self._process.join(DEADLINE_SECONDS)
        assert isinstance(what, Ending)
        return what

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._control.close()

    def _hear(self) -> tuple[str, Any]:
        """The next word but "stopping", which only who asks for it waits for."""
        heard = self._next()
        return self._next() if heard[0] == "stopping" else heard

    def _next(self) -> tuple[str, Any]:
        assert self._control.poll(DEADLINE_SECONDS), "the process hangs"
        heard: tuple[str, Any] = self._control.recv()
        return heard


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.preloaded"])


@contextmanager
def started(job: Job) -> Iterator[Running]:
    """The process of a job, ended at the end of the block."""
    ours, its = _context.Pipe()
    process = _context.Process(target=_run, args=(job, its))
    process.start()
    its.close()
    running = Running(process, ours)
    try:
        yield running
    finally:
        running.close()


def finished(job: Job) -> Ending:
    """Run a job to its end."""
    with started(job) as running:
        return running.ending()


def _run(job: Job, control: Connection) -> None:
    from tests.faults.injection import Watch, shorten_idle_transactions, shorten_lock_waits, watch_ports

    watch = Watch(job.strikes, control)
    watch_ports(watch)
    if job.lock_wait is not None:
        shorten_lock_waits(job.lock_wait)
    if job.short_idle:
        shorten_idle_transactions()
    if job.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_bytes, job.file_bytes))
    control.send(("ended", _outcome(job, watch, lambda: control.send(("stopping", None)))))


def _telling(tell: Callable[[], None]) -> Any:
    """A stop that tells once it is set."""
    from migrate.engine.stop import StopToken

    class Telling(StopToken):
        def set(self, reason: str = "interrupted") -> None:
            super().set(reason)
            tell()

    return Telling()


def _outcome(job: Job, watch: Any, tell: Callable[[], None]) -> Ending:
    from migrate.backup.opened import Wanted
    from migrate.backup.restore import restore
    from migrate.cli.signals import beside, stop_on_signals
    from migrate.engine.events import PhaseStarted, RunEnded, RunStarted
    from migrate.engine.options import RunOptions
    from migrate.engine.run import run
    from migrate.errors import MigrateError
    from migrate.rollback.request import Request
    from migrate.rollback.rollback import rollback

    events: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, PhaseStarted):
            watch.phase = event.phase
        elif isinstance(event, RunStarted | RunEnded):
            watch.phase = "start"
        events.append(str(event))
        watch.hear(event)

    scenario = job.scenario
    options = RunOptions(
        source=scenario.source,
        target=scenario.target,
        batch_rows=job.batch_rows or scenario.batch_rows,
        workers=job.workers,
        # Rows of others are there already.
        no_backup=True,
    )
    stop = _telling(tell)
    code, error = 0, ""
    runs: tuple[dict[str, Any], ...] = ()
    try:
        with stop_on_signals(stop):
            backwards = reversed(scenario.mappings)
            if job.restored_from is not None:
                wanted = Wanted(job.restored_from)
                found = [
                    beside(partial(restore, path, wanted, options, stop=stop, listen=listen)).summary
                    for path in backwards
                ]
            elif job.back:
                found = [
                    beside(partial(rollback, path, options, job.request or Request(), stop=stop, listen=listen)).summary
                    for path in backwards
                ]
            else:
                found = beside(lambda: run(scenario.mappings, options, stop=stop, listen=listen))
        runs = tuple(each.to_json() for each in found)
    except MigrateError as refused:
        code, error = refused.exit_code, f"{type(refused).__name__}: {refused}"
    except Exception:  # noqa: BLE001 - reported to the test, which fails on it
        code, error = DEFECT, traceback.format_exc()
    return Ending(code, error, runs, tuple(watch.trace), tuple(events))
