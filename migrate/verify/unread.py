"""Stored rows of which something cannot be read without loss: named by their key, and compared in all that can be read.

They are never equal, and what only the unreadable value could answer is no difference.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from migrate.stores.port import ANOMALY
from migrate.units import count_text, rows_text
from migrate.verify.buckets import BY_DIGEST, Sorting
from migrate.verify.notes import Note, NotVerified, UnreadRow
from migrate.verify.rows import KEY
from migrate.verify.shown import Shown
from migrate.verify.verdict import Cell, Difference, Kind

_SHOWN: Final = 5
_LOOKED_AT: Final = 100
_LISTED: Final = 100
"""Rows that a document lists, as many as differences by default."""

_HEX: Final = re.compile(r"\bx((?:[0-9A-F]{2})+)(?![0-9A-Za-z])")


class UnreadTally:
    """How many rows of one side cannot be read without loss, in which buckets, and the first reasons with the keys of their rows."""

    def __init__(self, shown: Shown, sorting: Sorting = BY_DIGEST) -> None:
        """`sorting`: by what the readable rows of the side are sorted."""
        self._shown = shown
        self._reasons: dict[str, list[str]] = {}
        self.rows: list[UnreadRow] = []
        self.count = 0
        self.sort_by(sorting)

    def sort_by(self, sorting: Sorting) -> None:
        """Sort the rows that are still to come in this way; there are none yet."""
        self.sorting = sorting
        self.buckets = np.zeros(sorting.buckets, np.int64)

    def add(self, rows: pa.Table) -> None:
        """Count rows, with `ANOMALY`."""
        if rows.num_rows == 0:
            return
        self.count += rows.num_rows
        self.buckets += np.bincount(self._shown.buckets(rows, self.sorting), minlength=self.sorting.buckets)
        for at, reason in enumerate(rows[ANOMALY].slice(0, _LOOKED_AT).to_pylist()):
            if reason in self._reasons or len(self._reasons) < _SHOWN:
                keys = self._reasons.setdefault(reason, [])
                if len(keys) < _SHOWN:
                    keys.append(_name(self._shown.key(rows, at)))
            if len(self.rows) < _LISTED:
                self.rows.append(UnreadRow(self._shown.key(rows, at), readable(reason)))

    @property
    def why(self) -> str:
        """The reasons, each once, with the rows that it is about."""
        told = (f"{'; '.join(dict.fromkeys(keys))}: {readable(reason)}" for reason, keys in self._reasons.items())
        more = self.count - sum(map(len, self._reasons.values()))
        return " · ".join([*told, *([f"and {more} more"] if more else [])])


def unreadable(what: str | Note, tally: UnreadTally, poison: int) -> list[NotVerified]:
    """What could not be compared for the sake of its values. `poison`: rows that were read, but have no row encoding."""
    found = []
    if tally.count:
        why = Note.of("unread", rows=rows_text(tally.count), count=count_text(tally.count))
        found.append(NotVerified(what, why, tuple(tally.rows), tally.count, tally.why))
    if poison:
        found.append(NotVerified(what, Note.of("unencoded", rows=rows_text(poison), count=count_text(poison))))
    return found


def readable(reason: str) -> str:
    """A reason with the text behind bytes that are written in hexadecimal, where it is plain ASCII."""
    return _HEX.sub(_with_text, reason)


def _with_text(found: re.Match[str]) -> str:
    raw = bytes.fromhex(found[1])
    plain = raw.isascii() and raw.decode("ascii", "replace").isprintable()
    return f"{found[0]} ({raw.decode('ascii')!r})" if plain else found[0]


def _name(key: dict[str, str | None]) -> str:
    return ", ".join(f"{name} = {'NULL' if value is None else value or chr(39) * 2}" for name, value in key.items())


class UnreadRows:
    """The unreadable rows of one part of one side; `flipped`: they are the side that is expected."""

    def __init__(self, rows: pa.Table, shown: Shown, *, flipped: bool = False) -> None:
        self._rows = rows
        self._shown = shown
        self._flipped = flipped
        self._keys = rows[KEY].combine_chunks()

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Which of the rows have a key of the unreadable ones."""
        return pc.is_in(rows[KEY], value_set=self._keys)

    def differences(
        self, other: pa.Table | None, same: pa.Table | None, beyond: pa.Table | None = None
    ) -> Iterator[tuple[Difference, bytes]]:
        """What can be told, each with the digest of its key: a key that the other side has not, and values beside the unreadable ones.

        `same`: the readable rows of the same side; where the key of an unreadable row is there again, nothing can be told. `beyond`: the
        unreadable rows of the other side; a key that is among them is there.
        """
        if not self._shown.has_key:
            return
        places = self._places(other)
        known = {**self._places(same), **self._places(beyond)}
        digests = self._keys.to_pylist()
        times = Counter(digests)
        for at, digest in enumerate(digests):
            if not self._is_named(at) or digest in known or times[digest] > 1:
                continue
            there = places.get(digest, [])
            if not there:
                kind: Kind = "missing" if self._flipped else "extra"
                yield Difference(kind, self._shown.key(self._rows, at)), digest
            elif other is not None and len(there) == 1:
                cells = self._cells(at, other, there[0])
                if cells:
                    found = self._shown.told(cells)
                    yield replace(found, key=self._shown.key(self._rows, at)), digest

    def _cells(self, at: int, other: pa.Table, place: int) -> dict[str, Cell]:
        reason = self._rows[ANOMALY][at].as_py()
        sides = (self._rows, at, other, place) if self._flipped else (other, place, self._rows, at)
        return {
            name: cell
            for name, cell in self._shown.cells(*sides).items()
            if not is_unreadable(name, self._rows[name][at].as_py(), reason)
        }

    def _is_named(self, at: int) -> bool:
        return None not in self._shown.key(self._rows, at).values()

    def _places(self, rows: pa.Table | None) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        if rows is not None:
            for place in pc.indices_nonzero(self.mask(rows)).to_pylist():
                found.setdefault(rows[KEY][place].as_py(), []).append(place)
        return found


def is_unreadable(name: str, value: object, reason: str) -> bool:
    """Whether a column may be the one that could not be read: it came as NULL, and the reason names it."""
    return value is None and name in reason


def split_unreadable(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows that were read whole, and those of which something could not be read without loss; both with `ANOMALY`."""
    if rows[ANOMALY].null_count == rows.num_rows:
        return rows, rows.slice(0, 0)
    return rows.filter(pc.is_null(rows[ANOMALY])), rows.filter(pc.is_valid(rows[ANOMALY]))
