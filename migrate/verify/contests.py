"""Gathers what several source units claim, from the rows of differing buckets: target keys, unique values, and places that only the database holds equal.

A key with several claimants makes its bucket differ, so nothing outside of the parts is contested. Only rows that share a key, or whose key
is not in the target, are looked at one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import key_digests, row_digests
from migrate.engine.plan import Plan
from migrate.values import Key
from migrate.verify.claims import Claimant, Claims, Standing, settled
from migrate.verify.holders import Holder, Holders, complete
from migrate.verify.orphans import Expected, Parent, Parents
from migrate.verify.replay import Replay
from migrate.verify.rows import KEY, ROW, Parts, shares_key
from migrate.verify.units import Unit, UnitFields, Version, row_versions, unit_versions, units_of, with_units
from migrate.write.target import WriteTarget


@dataclass(frozen=True, slots=True)
class _Met:
    """An expected row, and a stored one in its place."""

    claimant: Claimant
    holder: Holder


class Contests:
    """The claims to all targets of one mapping."""

    def __init__(self, plan: Plan, fields: UnitFields, replay: Replay, nonce: str) -> None:
        self._plan = plan
        self._fields = fields
        self._replay = replay
        self._nonce = nonce
        self._claims = Claims()
        self._met: dict[str, list[_Met]] = defaultdict(list)
        self._orphans: dict[Parent, list[Claimant]] = defaultdict(list)

    def standing(self, parts: Mapping[str, Parts]) -> Standing:
        """Read all parts, look into the targets, and decide who stands where."""
        for target in self._plan.targets:
            holders = Holders(target, self._plan.target_url)
            parents = Parents(target.shape, self._plan.parents, self._plan.target_url)
            values = _SharedValues(holders)
            for number in range(parts[target.name].count):
                self._add_part(target, parts[target.name], number, (holders, parents, values))
            self._add_values(target, parts[target.name], values)
        if self._met:
            self._add_holders()
        keys = {key for key, _ in self._claims.units}
        order = self._replay.in_source_order(sorted(keys, key=repr)) if keys else []
        return self._settled(self._expected_parents(parts), {key: number for number, key in enumerate(order)})

    def _settled(self, expected: Expected, position: Mapping[Key, int]) -> Standing:
        """All claims decided, and units refused whose parent nobody puts there; a unit that is refused may leave others without parent."""
        while True:
            standing = settled(self._claims, position)
            alone = expected.alone(standing) - self._claims.refused
            if not alone:
                return standing
            # Some may only seem to be: whoever brings their parent has lost to one of them, and stands when that one is refused; or is one of them.
            without = settled(replace(self._claims, refused=self._claims.refused | alone), position)
            self._claims.refused |= alone & expected.alone(replace(without, refused=without.refused - alone)) or alone

    def _expected_parents(self, parts: Mapping[str, Parts]) -> Expected:
        """What the mapping expects of the rows that orphans point at: they are not there, so their buckets differ."""
        expected = Expected(self._orphans)
        for name in sorted(expected.tables() & parts.keys()):
            for number in range(parts[name].count):
                source = parts[name].read("source", number)
                if source is not None:
                    expected.add(name, source, units_of(source, self._fields.columns))
        return expected

    def _add_part(
        self, target: WriteTarget, parts: Parts, number: int, tools: tuple[Holders, Parents, _SharedValues]
    ) -> None:
        source = parts.read("source", number)
        if source is None:
            return
        holders, parents, values = tools
        whole = _whole(source, target.key)
        self._claims.refused |= set(self._units(source, ~whole))
        shared, absent = shares_key(source) & whole, _absent(source, parts, number) & whole
        stored = parts.read("target", number)
        self._add_orphans(
            target, source.filter(pa.array((shared | absent) & ~_stands(source, stored))), stored, parents
        )
        for each in self._claimants(target, source, np.flatnonzero(shared)):
            self._claims.keys[target.name, each.key].append(each)
        places = np.flatnonzero(shared | absent)
        asked = source.take(pa.array(places))
        found = holders.of(asked) if len(places) else []
        claimants = self._claimants(target, asked, np.array([each.place for each in found], np.int64))
        self._met[target.name] += [_Met(one, each) for one, each in zip(claimants, found, strict=True)]
        values.add(asked)

    def _add_orphans(self, target: WriteTarget, rows: pa.Table, stored: pa.Table | None, parents: Parents) -> None:
        """Of rows that do not stand there (one that does has, or had, its parent); one in whose place a greater version is stored needs none."""
        found = list(parents.missing_for(rows))
        places = np.array([place for place, _ in found], np.int64)
        needed = ~_outdated(target, rows.take(pa.array(places)), stored)
        for claimant, (_, parent), needs in zip(self._claimants(target, rows, places), found, needed, strict=True):
            if needs:
                self._orphans[parent].append(claimant)

    def _add_values(self, target: WriteTarget, parts: Parts, values: _SharedValues) -> None:
        """Rows that are not there and have a unique value in common: the row that should hold it is not there to be asked for."""
        groups: dict[tuple[tuple[str, ...], bytes], list[Claimant]] = defaultdict(list)
        for number in range(parts.count if values.found else 0):
            source = parts.read("source", number)
            if source is None:
                continue
            mask = (shares_key(source) | _absent(source, parts, number)) & _whole(source, target.key)
            asked = source.filter(pa.array(mask))
            for by, at, digests in values.of(asked):
                for one, digest in zip(self._claimants(target, asked, at), digests, strict=True):
                    groups[by, digest].append(one)
        self._claims.values += list(groups.values())

    def _add_holders(self) -> None:
        """What the mapping expects in the rows that stand in the place of others; one more walk over the source."""
        wanted = {
            name: pa.array(sorted({each.holder.key for each in met}), pa.binary()) for name, met in self._met.items()
        }
        found: dict[str, list[pa.Table]] = defaultdict(list)
        for mapped in self._replay.chunks():
            for target in self._plan.targets:
                if len(wanted.get(target.name, ())):
                    rows = with_units(mapped, target.name, self._fields)
                    keys = key_digests(rows, target.contract).cast(pa.binary())
                    content = row_digests(rows, target.contract, self._nonce).cast(pa.binary())
                    rows = rows.append_column(KEY, keys).append_column(ROW, content)
                    found[target.name].append(rows.filter(pc.is_in(keys, value_set=wanted[target.name])))
        for target in self._plan.targets:
            if found[target.name]:
                self._pair(target, pa.concat_tables(found[target.name]).combine_chunks())

    def _pair(self, target: WriteTarget, expected: pa.Table) -> None:
        """A stored row holds a place for those expected ones that have the same values in it."""
        holders = Holders(target, self._plan.target_url)
        claimants = self._claimants(target, expected, np.arange(expected.num_rows))
        by_values: dict[tuple[tuple[str, ...], bytes, bytes], list[Claimant]] = defaultdict(list)
        for by in {each.holder.by for each in self._met[target.name]}:
            for one, values in zip(claimants, holders.values(expected, by), strict=True):
                by_values[by, one.key, values].append(one)
        for met in self._met[target.name]:
            there = by_values[met.holder.by, met.holder.key, met.holder.values]
            self._claims.values += [[met.claimant, one] for one in there]

    def _units(self, rows: pa.Table, mask: npt.NDArray[np.bool_]) -> list[Unit]:
        return units_of(rows.filter(pa.array(mask)), self._fields.columns) if mask.any() else []

    def _claimants(self, target: WriteTarget, rows: pa.Table, places: npt.NDArray[np.int64]) -> list[Claimant]:
        some = rows.take(pa.array(places))
        columns = (
            some[KEY].to_pylist(),
            some[ROW].to_pylist(),
            units_of(some, self._fields.columns),
            row_versions(some, target.version_field),
            unit_versions(some),
        )
        return [Claimant(target.name, *each) for each in zip(*columns, strict=True)]


class _SharedValues:
    """Of the other unique keys of one target the values that several rows have; only 64 bits of each digest are held until that is known."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._seen: dict[tuple[str, ...], list[npt.NDArray[np.uint64]]] = {by: [] for by in holders.other_keys()}

    def add(self, rows: pa.Table) -> None:
        """Note the values of these rows."""
        for by, seen in self._seen.items():
            seen.append(_short(self._digests(rows, by)[1]))

    @property
    def found(self) -> bool:
        """Whether any value may have come twice."""
        return any(len(self._shared(by)) for by in self._seen)

    def of(self, rows: pa.Table) -> list[tuple[tuple[str, ...], npt.NDArray[np.int64], list[bytes]]]:
        """For each unique key the places of the rows whose value came more than once, and its digest."""
        found = []
        for by in self._seen:
            places, digests = self._digests(rows, by)
            at = np.flatnonzero(np.isin(_short(digests), self._shared(by)))
            found.append((by, places[at], [digests[each] for each in at.tolist()]))
        return found

    def _shared(self, by: tuple[str, ...]) -> npt.NDArray[np.uint64]:
        values, counts = np.unique(np.concatenate([np.empty(0, np.uint64), *self._seen[by]]), return_counts=True)
        return values[counts > 1]

    def _digests(self, rows: pa.Table, by: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], list[bytes]]:
        places = np.array(complete(rows, by), np.int64)
        return places, self._holders.values(rows.take(pa.array(places)), by)


def _short(digests: list[bytes]) -> npt.NDArray[np.uint64]:
    return np.array([int.from_bytes(each[:8], "big") for each in digests], np.uint64)


def _whole(rows: pa.Table, key: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Rows without NULL in their key; a unit with another one is rejected, since its row could come twice."""
    mask = np.zeros(rows.num_rows, np.bool_)
    mask[complete(rows, key)] = True
    return mask


def _absent(source: pa.Table, parts: Parts, number: int) -> npt.NDArray[np.bool_]:
    """Rows whose key no stored row has."""
    there = np.zeros(source.num_rows, np.bool_)
    for side in ("target", "unread"):
        stored = parts.read(side, number)
        if stored is not None:
            there |= np.asarray(pc.is_in(source[KEY], value_set=stored[KEY].combine_chunks()))
    return ~there


def _stands(source: pa.Table, stored: pa.Table | None) -> npt.NDArray[np.bool_]:
    if stored is None:
        return np.zeros(source.num_rows, np.bool_)
    return np.asarray(pc.is_in(source[ROW], value_set=stored[ROW].combine_chunks()))


def _outdated(target: WriteTarget, source: pa.Table, stored: pa.Table | None) -> npt.NDArray[np.bool_]:
    """Under `newer`, rows under whose key a greater version is stored."""
    if stored is None or target.version_field is None:
        return np.zeros(source.num_rows, np.bool_)
    there: dict[bytes, Version] = dict(
        zip(stored[KEY].to_pylist(), row_versions(stored, target.version_field), strict=True)
    )
    mine = zip(source[KEY].to_pylist(), row_versions(source, target.version_field), strict=True)
    return np.array([key in there and version > there[key] for key, version in mine], np.bool_)
