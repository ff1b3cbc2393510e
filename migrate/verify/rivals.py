"""Missing rows in whose place another source unit's row stands: by the target key under the target's collation, or by another unique key.

The database is asked which of its rows it holds equal; that the row there is one that the mapping expects, and that its unit comes first under
the mapping's rules, is found by the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import key_digests
from migrate.stores.opening import open_target
from migrate.stores.port import ORDINAL
from migrate.values import Key
from migrate.verify.replay import Replay
from migrate.verify.units import ranks, units_of, with_units
from migrate.write.target import WriteTarget

_KEYS_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Holder:
    """The key digest of a stored row that stands in the place of a missing one, whose number is `missing`."""

    missing: int
    key: bytes


class Rivals:
    """For one target. `order` gives unit keys in the source's own order."""

    def __init__(self, target: WriteTarget, url: str, order: Callable[[list[Key]], list[Key]]) -> None:
        self._target = target
        self._url = url
        self._order = order

    def beaten(self, missing: pa.Table, replay: Replay, unit_columns: Sequence[str]) -> set[str]:
        """The units of those missing rows that lost to a unit whose row stands there. `missing` has the fields and the unit."""
        holders = self._holders(missing)
        if not holders:
            return set()
        winners = self._expected({each.key for each in holders}, replay, unit_columns)
        if winners is None:
            return set()
        both = pa.concat_tables([missing.select(winners.column_names), winners])
        rank = ranks(both, unit_columns, self._target.version_field, self._order)
        place: dict[bytes, int] = {}
        for at, key in enumerate(self._keys(winners), missing.num_rows):
            # Of several units with one key the first under the mapping's rules is the one that can stand there.
            place[key] = min(at, place.get(key, at), key=lambda row: rank[row])
        names = units_of(missing, unit_columns)
        return {
            names[each.missing] for each in holders if each.key in place and rank[place[each.key]] < rank[each.missing]
        }

    def _holders(self, missing: pa.Table) -> list[Holder]:
        found: list[Holder] = []
        own = self._keys(missing)
        store = open_target(self._url)
        try:
            session = store.session()
            try:
                session.begin()
                for key in self._target.shape.unique_keys:
                    if set(key.columns) <= set(self._target.fields):
                        found += self._by(session, key.columns, missing, own)
                session.rollback()
            finally:
                session.close()
        finally:
            store.close()
        return found

    def _by(self, session: Any, by: tuple[str, ...], missing: pa.Table, own: list[bytes]) -> list[Holder]:
        complete = pc.is_valid(missing[by[0]])
        for name in by[1:]:
            complete = pc.and_(complete, pc.is_valid(missing[name]))
        places = pc.indices_nonzero(complete).to_pylist()
        found = []
        for start in range(0, len(places), _KEYS_AT_ONCE):
            some = places[start : start + _KEYS_AT_ONCE]
            keys = missing.select(list(by)).take(pa.array(some))
            columns = tuple(name for name, _ in self._target.contract.columns)
            stored = session.fetch(self._target.shape, by, keys, lock=False, columns=columns)
            for ordinal, key in zip(stored[ORDINAL].to_pylist(), self._keys(stored.select(list(columns))), strict=True):
                if key != own[some[ordinal]]:
                    found.append(Holder(some[ordinal], key))
        return found

    def _expected(self, keys: set[bytes], replay: Replay, unit_columns: Sequence[str]) -> pa.Table | None:
        """The rows with these key digests that the mapping makes, with their units; one more walk over the source."""
        wanted = pa.array(sorted(keys), pa.binary())
        found = []
        for mapped in replay.chunks():
            rows = with_units(mapped, self._target.name, unit_columns)
            inside = pc.is_in(key_digests(rows, self._target.contract).cast(pa.binary()), value_set=wanted)
            if pc.any(inside).as_py():
                found.append(rows.filter(inside))
        return pa.concat_tables(found).combine_chunks() if found else None

    def _keys(self, rows: pa.Table) -> list[bytes]:
        keys: list[bytes] = key_digests(rows, self._target.contract).cast(pa.binary()).to_pylist()
        return keys
