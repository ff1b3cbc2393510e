"""Which stored rows stand in the place of expected ones: by the target key under the target's collation, or by another unique key.

The database alone knows which of its rows it holds equal; who may stand there is decided elsewhere (`claims`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.checksum.vectorised import key_digests
from migrate.stores.opening import open_target
from migrate.stores.port import ORDINAL, TargetSession
from migrate.write.target import WriteTarget

_KEYS_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Holder:
    """A stored row in the place of the row at `place`: the columns by which it stands there, its key digest, and the digest of those columns."""

    place: int
    by: tuple[str, ...]
    key: bytes
    values: bytes


class Holders:
    """Looks into one target, in a transaction that changes nothing."""

    def __init__(self, target: WriteTarget, url: str) -> None:
        self._target = target
        self._url = url

    def of(self, rows: pa.Table) -> list[Holder]:
        """The stored rows of other keys in the places of these rows, which have all fields; a row with NULL in a unique key has no place in it."""
        own = binary(key_digests(rows, self._target.contract))
        with looking_into(self._url) as session:
            return [each for by in self._unique() for each in self._by(session, by, rows, own)]

    def values(self, rows: pa.Table, by: tuple[str, ...]) -> list[bytes]:
        """The digest of these columns of each row."""
        return binary(key_digests(rows, Contract(self._target.contract.columns, by)))

    def other_keys(self) -> list[tuple[str, ...]]:
        """The unique keys besides the target key that the mapping writes."""
        return [by for by in self._unique() if set(by) != set(self._target.key)]

    def _unique(self) -> list[tuple[str, ...]]:
        fields = set(self._target.fields)
        return [key.columns for key in self._target.shape.unique_keys if set(key.columns) <= fields]

    def _by(self, session: TargetSession, by: tuple[str, ...], rows: pa.Table, own: list[bytes]) -> Iterator[Holder]:
        places = complete(rows, by)
        columns = tuple(name for name, _ in self._target.contract.columns)
        for start in range(0, len(places), _KEYS_AT_ONCE):
            some = places[start : start + _KEYS_AT_ONCE]
            keys = rows.select(list(by)).take(pa.array(some))
            found = session.fetch(self._target.shape, by, keys, lock=False, columns=columns)
            stored = found.select(list(columns))
            there = binary(key_digests(stored, self._target.contract))
            ordinals = found[ORDINAL].to_pylist()
            for ordinal, key, values in zip(ordinals, there, self.values(stored, by), strict=True):
                if key != own[some[ordinal]]:
                    yield Holder(some[ordinal], by, key, values)


@contextmanager
def looking_into(url: str) -> Iterator[TargetSession]:
    """A session of the target in a transaction that changes nothing."""
    with closing(open_target(url)) as store, closing(store.session()) as session:
        session.begin()
        yield session
        session.rollback()


def complete(rows: pa.Table, columns: tuple[str, ...]) -> list[int]:
    """The places of rows without NULL in any of the columns."""
    valid = pc.is_valid(rows[columns[0]])
    for name in columns[1:]:
        valid = pc.and_(valid, pc.is_valid(rows[name]))
    places: list[int] = pc.indices_nonzero(valid).to_pylist()
    return places


def binary(digests: pa.Array) -> list[bytes]:
    """Digests as bytes."""
    found: list[bytes] = digests.cast(pa.binary()).to_pylist()
    return found
