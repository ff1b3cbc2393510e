"""Cut the source into key ranges, lazily and beside the run; each range is committed before its batch is handed out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from migrate.engine.retries import Retries
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import add_range, read_ranges
from migrate.ledger.standing import done_ranges, known_ranges
from migrate.stores.port import SourceReader
from migrate.values import Key, KeyRange


class Ranges:
    """The ranges that a pass has to do: first those that are open, from earlier attempts or taken back since, then new ones to the end of the source.

    A range keeps its number and borders in every pass, and so its units their place in source order. First and last range are open, so that rows below the lowest and above the highest border are read too.
    """

    def __init__(self, ledger: Ledger, run: str, pass_no: int, columns: tuple[str, ...], batch_rows: int) -> None:
        self._ledger = ledger
        self._run = run
        self._pass_no = pass_no
        self._columns = columns
        self._batch_rows = batch_rows
        self._known = known_ranges(ledger, run, columns)
        self._mine = frozenset(each.number for each in read_ranges(ledger, run, pass_no, columns))
        self._done = done_ranges(ledger, run)

    @property
    def open(self) -> list[KeyRange]:
        """Committed ranges whose batches are not, or were taken back."""
        return [each for each in self._known if each.number not in self._done]

    def walk(self, reader: SourceReader, retries: Retries) -> Iterator[KeyRange]:
        """All ranges that have to be done, in source order."""
        for each in self.open:
            if each.number not in self._mine:
                self._commit(each, retries)
            yield each
        after: Key | None = None
        number = 0
        if self._known:
            last = self._known[-1]
            if last.upto is None:
                return
            after, number = last.upto, last.number + 1
        while True:
            upto = reader.border(self._columns, after, self._batch_rows)
            key_range = KeyRange(number, self._columns, after, upto)
            self._commit(key_range, retries)
            yield key_range
            if upto is None:
                return
            after, number = upto, number + 1

    def _commit(self, key_range: KeyRange, retries: Retries) -> None:
        commit = partial(add_range, self._ledger, self._run, self._pass_no, key_range)
        retries.persist(commit, f"committing the border of batch {key_range.number}")
