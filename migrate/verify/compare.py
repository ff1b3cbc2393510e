"""Rows of one target that differ, part by part: which keys, which columns, and what of the source is rightly not there.

Who may stand in the target was decided before (`claims`), from the replay alone; the ledger is asked for remarks only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.verify.causes import marked_exchanges
from migrate.verify.claims import Claimant, OwnKey
from migrate.verify.notes import Note
from migrate.verify.rows import KEY, ROW, KeyDifference, Parts, differing_keys, shares_key
from migrate.verify.shown import Shown
from migrate.verify.units import UnitFields, UnitSet, unit_name, units_of
from migrate.verify.unread import UnreadRows
from migrate.verify.verdict import Difference, Kind, SideName


@dataclass(slots=True)
class Compared:
    """What differs in one target.

    `lost`: rows of refused units, which must not be there; `identical`: rows that another unit's row stands for; `kept`: rows that are older
    than what is there; `newer`: rows in whose place a greater version stands that is not the source's. `unsteady`: sides whose rows were others
    than when they were summed up. `keys`: the digests of the keys that differ, where they are asked for.
    """

    counts: dict[Kind, int] = field(default_factory=lambda: {"missing": 0, "extra": 0, "changed": 0, "multiplicity": 0})
    differences: list[Difference] = field(default_factory=list)
    lost: int = 0
    identical: int = 0
    kept: int = 0
    newer: int = 0
    unsteady: tuple[SideName, ...] = ()
    keys: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared: columns and their types, the key that names a row (empty: all columns do), and the column of versions under `newer`."""

    contract: Contract
    key: tuple[str, ...]
    version_field: str | None = None


@dataclass(frozen=True, slots=True)
class MappingRules:
    """What a mapping says about the rows of one target.

    `refused`: units without a row. `holders`: who stands under a key with several claimants. `reasons`: what the ledger has against a unit, by
    its name. `expect_less` and `expect_more` hear of rows that control totals must not, or must, expect.
    """

    target: str
    fields: UnitFields
    refused: UnitSet
    holders: Mapping[OwnKey, Claimant | None]
    reasons: Mapping[str, str]
    expect_less: Callable[[pa.Table], None]
    expect_more: Callable[[pa.Table], None]


@dataclass(frozen=True, slots=True)
class Listing:
    """What to note of differences: how many to list (all are counted), whether to gather all keys, and if given only those of these keys."""

    most: int
    gather_keys: bool = False
    only: AbstractSet[bytes] | None = None


class Comparison:
    """Compares the parts of one target; without `rules` every row stands for itself, and may be there several times."""

    def __init__(self, subject: Subject, rules: MappingRules | None, listing: Listing) -> None:
        self._subject = subject
        self._rules = rules
        self._listing = listing
        self._shown = Shown(subject.contract, subject.key)
        self._refused: set[bytes] = set()
        self._rivals: AbstractSet[tuple[bytes, bytes]] = frozenset()
        self._passing: set[bytes] = set()
        self.found = Compared()

    def compare(self, parts: Parts) -> Compared:
        """All parts, one after the other."""
        self.found.unsteady = tuple(parts.unsteady())
        for number in range(parts.count):
            source, target = parts.read("source", number), parts.read("target", number)
            if self._rules is not None and source is not None:
                source = self._expected(source, self._rules)
            source, target = self._set_unread_apart(source, target, parts, number)
            for each in differing_keys(source, target):
                self._note(each, source, target)
            self._let_pass(source, target)
        self.found.differences = marked_exchanges(self.found.differences)
        return self.found

    def add_halves(self, rows: pa.Table) -> None:
        """Rows of refused units that stand outside of the parts: not expected, and extra."""
        digests = rows.append_column(KEY, self._shown.keys_of(rows))
        self._expect_less(rows)
        self.found.lost += rows.num_rows
        self._refused = set(digests[KEY].to_pylist()) if rows.num_rows else set()
        for place in range(rows.num_rows):
            self._note(KeyDifference("extra", 0, 1, None, place), None, digests)

    def _expected(self, source: pa.Table, rules: MappingRules) -> pa.Table:
        """The rows that should stand in the target, without those of refused units and those that another unit's row keeps out."""
        refused = rules.refused.owns(source)
        self._refused = set(source.filter(pa.array(refused))[KEY].to_pylist())
        self.found.lost += int(refused.sum())
        aside = refused | self._kept_out(source, shares_key(source) & ~refused, rules)
        if not aside.any():
            return source
        self._expect_less(source.filter(pa.array(aside)))
        return source.filter(pa.array(~aside))

    def _kept_out(self, source: pa.Table, shared: npt.NDArray[np.bool_], rules: MappingRules) -> npt.NDArray[np.bool_]:
        """Rows with a key of several, other than the one that holds it."""
        out = np.zeros(source.num_rows, np.bool_)
        every = source.filter(pa.array(shares_key(source)))
        self._rivals = set(zip(every[KEY].to_pylist(), every[ROW].to_pylist(), strict=True))
        places = np.flatnonzero(shared)
        some = source.take(pa.array(places))
        seen: set[bytes] = set()
        units = units_of(some, rules.fields.columns)
        for place, key, content, unit in zip(
            places.tolist(), some[KEY].to_pylist(), some[ROW].to_pylist(), units, strict=True
        ):
            holder = rules.holders.get((rules.target, key))
            if holder is not None and (holder.unit, holder.content) == (unit, content) and key not in seen:
                seen.add(key)
                continue
            out[place] = True
            if holder is not None and holder.content == content:
                self.found.identical += 1
            else:
                self.found.kept += 1
        return out

    def _set_unread_apart(
        self, source: pa.Table | None, target: pa.Table | None, parts: Parts, number: int
    ) -> tuple[pa.Table | None, pa.Table | None]:
        """Compare rows of which something cannot be read as far as they can, and leave both sides without their keys."""
        of_target, of_source = parts.read("unread", number), parts.read("unread_source", number)
        for stored, beyond, flipped in ((of_target, of_source, False), (of_source, of_target, True)):
            if stored is None:
                continue
            unread = UnreadRows(stored, self._shown, flipped=flipped)
            expected, other = (target, source) if flipped else (source, target)
            for difference, key in unread.differences(expected, other, beyond):
                self._count(difference.kind, key, lambda found=difference: found)  # type: ignore[misc]
            if source is not None and not flipped:
                self._expect_less(source.filter(unread.mask(source)))
            source, target = (
                None if rows is None else rows.filter(pc.invert(unread.mask(rows))) for rows in (source, target)
            )
        return source, target

    def _note(self, each: KeyDifference, source: pa.Table | None, target: pa.Table | None) -> None:
        """Count a difference, and keep it while there are not too many."""
        if self._is_newer(each, source, target):
            return
        rows, at = (target, each.target_at) if each.target_at is not None else (source, each.source_at)
        if rows is None or at is None:
            return
        self._count(each.kind, rows[KEY][at].as_py(), lambda: self._difference(each, source, target))

    def _count(self, kind: Kind, key: bytes, difference: Callable[[], Difference]) -> None:
        if self._listing.only is not None and key not in self._listing.only:
            self._passing.add(key)
            return
        self.found.counts[kind] += 1
        if self._listing.gather_keys:
            self.found.keys.add(key)
        if len(self.found.differences) < self._listing.most:
            self.found.differences.append(difference())

    def _let_pass(self, source: pa.Table | None, target: pa.Table | None) -> None:
        """Rows that are not asked about: control totals expect what is there."""
        keys = pa.array(sorted(self._passing), pa.binary())
        self._passing.clear()
        if self._rules is None or not len(keys):
            return
        if source is not None:
            self._expect_less(source.filter(pc.is_in(source[KEY], value_set=keys)))
        if target is not None:
            self._rules.expect_more(target.filter(pc.is_in(target[KEY], value_set=keys)))

    def _difference(self, each: KeyDifference, source: pa.Table | None, target: pa.Table | None) -> Difference:
        if each.kind == "changed" and source is not None and target is not None:
            return self._changed(source, target, each)
        rows, at = (target, each.target_at) if each.target_at is not None else (source, each.source_at)
        key = self._shown.key(rows, at) if rows is not None and at is not None else {}
        if each.kind == "missing":
            return Difference(each.kind, key, note=self._remark(source, each.source_at))
        if each.kind == "multiplicity":
            note = Note.of("multiplicity", source=each.source_rows, target=each.target_rows)
            return Difference(each.kind, key, note=note)
        unit_is_refused = rows is not None and at is not None and rows[KEY][at].as_py() in self._refused
        return Difference(each.kind, key, note=Note.of("unit_refused") if unit_is_refused else None)

    def _changed(self, source: pa.Table, target: pa.Table, each: KeyDifference) -> Difference:
        source_at, target_at = each.source_at or 0, each.target_at or 0
        note = self._remark(source, source_at)
        if note is None and (target[KEY][target_at].as_py(), target[ROW][target_at].as_py()) in self._rivals:
            note = Note.of("loser_stands")
        return self._shown.changed(source, source_at, target, target_at, note)

    def _remark(self, rows: pa.Table | None, at: int | None) -> Note | None:
        """What the ledger says about the unit of an expected row."""
        if self._rules is None or rows is None or at is None:
            return None
        (unit,) = units_of(rows.slice(at, 1), self._rules.fields.columns)
        reason = self._rules.reasons.get(unit_name(*unit))
        return None if reason is None else Note.of("ledger_rejected", reason=reason)

    def _is_newer(self, each: KeyDifference, source: pa.Table | None, target: pa.Table | None) -> bool:
        name = self._subject.version_field
        if each.kind != "changed" or name is None or source is None or target is None:
            return False
        ours, theirs = source.slice(each.source_at or 0, 1), target.slice(each.target_at or 0, 1)
        expected, actual = ours[name][0].as_py(), theirs[name][0].as_py()
        if actual is None or (expected is not None and actual <= expected):
            return False
        self.found.newer += 1
        self._expect_less(ours)
        if self._rules is not None:
            self._rules.expect_more(theirs)
        return True

    def _expect_less(self, rows: pa.Table) -> None:
        if self._rules is not None and rows.num_rows:
            self._rules.expect_less(rows)
