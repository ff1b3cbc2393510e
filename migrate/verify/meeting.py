"""Both sides of one table while they are read: rows that meet the same row of the other side are compared value by value, and need no digest.

A row waits for its like as long as there is room. What finds none is summed up by its digest, as all rows are where nobody meets. So the two
sums differ by exactly what the two sides differ by, whatever met and whatever did not, as long as nothing meets that is not the same: that is
for `Likeness` to say.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from migrate.checksum.alike import same_rows, without_encoding
from migrate.checksum.contract import Contract
from migrate.checksum.hashing import Mask
from migrate.checksum.vectorised import key_hashes, require_contract, row_digests
from migrate.verify.buckets import BucketSums, Sorted, buckets_of_hashes
from migrate.verify.verdict import SideName

ROOM: Final = 6 * 2**20
"""About how many bytes of rows wait on each side. A run of several workers leaves a table in an order that is the source's but for a few batches."""
_MOST_PIECES: Final = 64
"""In how many pieces they wait: each new one is looked for in all of them."""
_IN_VAIN: Final = 8 * ROOM
"""So many bytes that were summed up after they had waited, and more than met: the two sides are in different orders, and nobody waits any more."""
_PLACE_BYTES: Final = 16

Places: TypeAlias = npt.NDArray[np.int64]


class Likeness(Protocol):
    """What the rows of a table are compared by."""

    def hashes(self, rows: pa.Table) -> npt.NDArray[np.uint64]:
        """The XXH64 of each row's key."""
        ...

    def same(self, one: pa.Table, other: pa.Table) -> Mask | None:
        """For each row, whether the one at its place in the other table is the same: both have one encoding, or neither has any (None: all are)."""
        ...

    def without_encoding(self, rows: pa.Table) -> Mask | None:
        """Which rows have no encoding (None: all have one)."""
        ...

    def digests(self, rows: pa.Table) -> pa.Array:
        """What is summed up of each row: fixed_size_binary(32), null for a row without an encoding."""
        ...


@dataclass(frozen=True, slots=True)
class ByEncoding:
    """By the columns of a contract; digests under a nonce."""

    contract: Contract
    nonce: str

    def hashes(self, rows: pa.Table) -> npt.NDArray[np.uint64]:
        """See Likeness. Raises InputError for rows that are not in the contract's types."""
        require_contract(rows, self.contract)
        return key_hashes(rows, [name for name, _ in self.contract.key_columns], self.contract)

    def same(self, one: pa.Table, other: pa.Table) -> Mask | None:
        """See Likeness."""
        return same_rows(one, other, self.contract)

    def without_encoding(self, rows: pa.Table) -> Mask | None:
        """See Likeness."""
        return without_encoding(rows, self.contract)

    def digests(self, rows: pa.Table) -> pa.Array:
        """See Likeness."""
        return row_digests(rows, self.contract, self.nonce)


class Meeting:
    """Adds up both sides of one table; each adds its rows from any threads and says when there are no more.

    `sums`: those of both sides, sorted by hash; they are whole once nobody attends any more.
    """

    def __init__(self, likeness: Likeness, sums: Mapping[SideName, BucketSums]) -> None:
        self._likeness = likeness
        self._sums = sums
        self._bits = sums["source"].sorting.bits
        self._changed = threading.Condition()
        self._waiting: dict[SideName, deque[_Rows]] = {"source": deque(), "target": deque()}
        self._left: set[SideName] = set()
        self._in_vain = 0
        self._met = 0
        self._over = False

    @contextmanager
    def attended(self, side: SideName) -> Iterator[None]:
        """For the time in which a side adds its rows; it may be left more than once. One that fails keeps nobody waiting."""
        try:
            yield
        except BaseException:
            self._leave(side)
            raise
        self._leave(side)
        self._sum_up(self._nobody_comes_for())

    def add(self, side: SideName, rows: pa.Table) -> None:
        """Add rows of one side, with the columns of the likeness. Waits for the other side where this one is far ahead of it."""
        if not rows.num_rows:
            return
        mine = _Rows(side, rows, self._likeness.hashes(rows))
        # What is the same has no encoding on either side or on both, so that it is enough to look at one.
        rest = mine.split(self._likeness.without_encoding(rows)) if side == "source" else []
        with self._changed:
            self._meet(mine)
            rest += self._make_room(mine)
        # Not held while the rest is digested.
        del mine, rows
        self._sum_up(rest)

    def _meet(self, mine: _Rows) -> None:
        theirs = self._waiting[_other(mine.side)]
        met = False
        for each in list(theirs):
            hashes, size = mine.meet(each, self._likeness)
            if not len(hashes):
                continue
            met, self._met = True, self._met + size
            for sums in self._sums.values():
                sums.add_met(buckets_of_hashes(hashes, self._bits))
            if not each.count:
                theirs.remove(each)
        if met:
            self._changed.notify_all()

    def _make_room(self, mine: _Rows) -> list[_Rows]:
        """Let rows wait, as long as somebody may come for them; the ones that wait no longer."""
        if mine.count == 0:
            return []
        ours, theirs = self._waiting[mine.side], self._waiting[_other(mine.side)]
        if self._over or _other(mine.side) in self._left:
            return [mine]
        ours.append(mine)
        gone: list[_Rows] = []
        while self._is_full(ours) and not self._over and not self._left:
            if len(ours) <= _MOST_PIECES and not self._is_full(theirs):
                # The other side is behind, and reads on.
                self._changed.wait()
                continue
            gone.append(ours.popleft())
            self._in_vain += gone[-1].size
            # Who waits for this side to come may find it at its limit now.
            self._changed.notify_all()
            self._over = self._in_vain > max(_IN_VAIN, self._met)
        return gone + (self._all_of(*self._waiting) if self._over else [])

    def _is_full(self, waiting: deque[_Rows]) -> bool:
        return len(waiting) > _MOST_PIECES or sum(each.size for each in waiting) > ROOM

    def _leave(self, side: SideName) -> None:
        """Nobody waits for this side any more."""
        with self._changed:
            self._left.add(side)
            self._changed.notify_all()

    def _nobody_comes_for(self) -> list[_Rows]:
        """The rows that wait for a side that has left."""
        with self._changed:
            return self._all_of(*(side for side in self._waiting if _other(side) in self._left))

    def _all_of(self, *sides: SideName) -> list[_Rows]:
        gone = [each for side in sides for each in self._waiting[side]]
        for side in sides:
            self._waiting[side].clear()
        return gone

    def _sum_up(self, rest: list[_Rows]) -> None:
        while rest:
            each = rest.pop()
            rows, hashes = each.remaining()
            found = Sorted(buckets_of_hashes(hashes, self._bits), self._likeness.digests(rows))
            with self._changed:
                self._sums[each.side].add_sorted(found)


def _other(side: SideName) -> SideName:
    return "target" if side == "source" else "source"


class _Rows:
    """Rows of one side that met nobody so far."""

    def __init__(self, side: SideName, rows: pa.Table, hashes: npt.NDArray[np.uint64]) -> None:
        self.side = side
        self._rows = rows
        # By hash, so that two of these are searched in each other's order.
        self._places: Places = np.argsort(hashes)
        self._hashes = hashes[self._places]
        self._bytes = _bytes_each(rows)

    def split(self, some: Mask | None) -> list[_Rows]:
        """Take some of the rows out, before any has met another (None: none of them)."""
        if some is None or not some.any():
            return []
        apart = some[self._places]
        taken = _Rows(self.side, _taken(self._rows, self._places[apart]), self._hashes[apart])
        self._drop(np.flatnonzero(apart))
        return [taken]

    @property
    def size(self) -> int:
        """About how many bytes they have; twice as many may be held."""
        return int(self._bytes * self.count)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._places)

    def meet(self, other: _Rows, likeness: Likeness) -> tuple[npt.NDArray[np.uint64], int]:
        """Take rows that are the same out of both; the hashes of their keys, and about how many bytes they have."""
        mine, theirs = _matching(self._hashes, other._hashes)
        if not len(mine):
            return self._hashes[:0], 0
        # Most rows come in the order in which they wait.
        order = np.argsort(self._places[mine])
        mine, theirs = mine[order], theirs[order]
        same = likeness.same(_taken(self._rows, self._places[mine]), _taken(other._rows, other._places[theirs]))
        if same is not None:
            mine, theirs = mine[same], theirs[same]
        hashes = self._hashes[mine]
        self._drop(mine)
        other._drop(theirs)
        return hashes, int(self._bytes * len(hashes))

    def remaining(self) -> tuple[pa.Table, npt.NDArray[np.uint64]]:
        """The rows and the hashes of their keys."""
        return _taken(self._rows, self._places), self._hashes

    def _drop(self, at: Places) -> None:
        self._places = np.delete(self._places, at)
        self._hashes = np.delete(self._hashes, at)
        if 0 < 2 * self.count <= self._rows.num_rows:
            # By a copy: a slice would hold all the same.
            self._rows, self._places = self._rows.take(pa.array(self._places)), np.arange(self.count)
            self._bytes = _bytes_each(self._rows)


def _bytes_each(rows: pa.Table) -> float:
    """What a row takes on the average, with its place and its hash."""
    return float(rows.nbytes / max(1, rows.num_rows)) + _PLACE_BYTES


def _matching(mine: npt.NDArray[np.uint64], theirs: npt.NDArray[np.uint64]) -> tuple[Places, Places]:
    """Places of equal hashes in two ascending lists; of equal ones within a list only the first, so that no row meets two."""
    if not len(mine) or not len(theirs):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if len(theirs) < len(mine):
        # The few are looked for among the many.
        its, ours = _matching(theirs, mine)
        return ours, its
    found = np.minimum(np.searchsorted(theirs, mine), len(theirs) - 1)
    at = np.flatnonzero(theirs[found] == mine)
    once = np.diff(found[at], prepend=-1) != 0
    return at[once], found[at][once]


def _taken(rows: pa.Table, places: Places) -> pa.Table:
    """The rows at these places; without a copy where they stand next to each other."""
    count = len(places)
    if count and places[-1] - places[0] == count - 1 and bool((np.diff(places) == 1).all()):
        return rows.slice(int(places[0]), count)
    return rows.take(pa.array(places))
