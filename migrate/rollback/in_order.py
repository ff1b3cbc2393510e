"""Take the batches of a rollback back, newest first, each in one transaction of its own.

    for each batch, by descending applied_seq
        obey pause, throttle and signals
        fence, claim, lock its rows, hold them against its records
        wait until every newer batch is committed
        put the rows back, entry, commit

Where batches cannot stand in each other's way, the next one is locked and looked at while one changes its rows; otherwise it begins after it.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from migrate.engine.events import BatchDone
from migrate.ledger.runs import Entry, Pass
from migrate.rollback.attempt import Attempt, Lane
from migrate.rollback.batch import BatchRollback
from migrate.rollback.turns import Turns
from migrate.values import TableShape
from migrate.write.transaction import AlreadyApplied


@dataclass(frozen=True, slots=True)
class _Done:
    """How long a batch took, and at which attempt it succeeded."""

    seconds: float
    attempts: int


class InOrder:
    """See the module. `passes`: those of the run; `shapes`: the tables that the batches wrote."""

    def __init__(
        self, attempt: Attempt, batches: BatchRollback, passes: Iterable[Pass], shapes: Mapping[str, TableShape]
    ) -> None:
        self._attempt = attempt
        self._batches = batches
        self._grouped = frozenset(attempt.run.settings.get("grouped", ()))
        self._full = {each.number for each in passes if each.kind == "full"}
        self._tied = _tied(shapes)
        self._turns = Turns()
        self._places = itertools.count()
        self._flying: deque[tuple[Entry, Future[_Done]]] = deque()

    def take_back(self, entries: Iterable[Entry]) -> None:
        """All of them, in the order given. Raises what the first that fails raises; those before it are committed, none behind it is."""
        with ThreadPoolExecutor(len(self._attempt.lanes), "rollback") as pool:
            try:
                for together, stretch in itertools.groupby(entries, self._stretch):
                    self._fly(pool, stretch, len(self._attempt.lanes) if together is not None else 1)
            finally:
                # Where it is paused or stopped: what is in hand is finished.
                while self._flying:
                    self._land()

    def _stretch(self, entry: Entry) -> int | None:
        """The pass of a batch that shares no row with another one of that pass; None for a batch that goes by itself.

        Within a pass that reads the source once, no two batches write one key: the second unit is set aside, for the last phase. Rows that
        were inserted only go: no unique value of another batch is in their way.
        """
        inserts = all(not (each.updated or each.deleted) for each in entry.counts.targets.values())
        apart = inserts and entry.range_no >= 0 and entry.pass_no in self._full and not self._tied
        return entry.pass_no if apart else None

    def _fly(self, pool: ThreadPoolExecutor, entries: Iterable[Entry], width: int) -> None:
        """Have at most so many of them in hand at a time, and none at the end."""
        attempt = self._attempt
        for entry in entries:
            while len(self._flying) >= width:
                self._land()
            attempt.obey()
            attempt.throttle.wait(entry.counts.read, attempt.obey)
            self._flying.append((entry, pool.submit(self._persist, entry, next(self._places))))
        while self._flying:
            self._land()

    def _land(self) -> None:
        """Wait for the newest batch in hand, and tell of it; where it fails, those behind it let go of their rows."""
        entry, future = self._flying.popleft()
        try:
            done = future.result()
        except BaseException:
            self._turns.end()
            self._flying.clear()
            raise
        attempt = self._attempt
        attempt.done = attempt.done + entry.counts
        attempt.batches += 1
        mapping, run = attempt.run.mapping, attempt.run.run
        attempt.listen(BatchDone(mapping, run, entry.applied_seq, entry.counts, done.seconds, done.attempts))

    def _persist(self, entry: Entry, place: int) -> _Done:
        began = time.monotonic()
        lane = self._attempt.lanes[place % len(self._attempt.lanes)]
        what = f"taking batch {entry.pass_no}/{entry.range_no} back"
        _, attempts = lane.persist(partial(self._one, lane, entry, place), what, partial(self._turns.trouble, place))
        self._turns.pass_on(place)
        return _Done(time.monotonic() - began, attempts)

    def _one(self, lane: Lane, entry: Entry, place: int) -> None:
        """One batch taken back and committed; nothing where an earlier attempt has committed it."""
        session, transaction = lane.session, lane.transaction(entry.applied_seq)
        try:
            self._attempt.heartbeat.hear(transaction.begin("rollback"))
            locked = self._batches.hold(session, entry)
            if self._turns.reached(place):
                self._batches.take_back(transaction, session, entry, locked)
                transaction.finish([name for name in entry.counts.targets if name not in self._grouped])
                return
        except AlreadyApplied:
            return
        except BaseException:
            transaction.abandon()
            raise
        transaction.abandon()
        self._turns.wait(place)
        self._one(lane, entry, place)


def _tied(shapes: Mapping[str, TableShape]) -> bool:
    """Does a foreign key lead from one of these tables to one of them? Then it matters which row goes first, and who locks it."""
    return any(key.parent in shapes for shape in shapes.values() for key in shape.foreign_keys)
