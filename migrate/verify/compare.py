"""Rows of one target that differ, part by part: which keys, which columns, and what explains a row that is rightly not there.

Only what the replay derives explains a row: that its unit loses its key to another source unit, that its parent is not in the target, or, under
`newer`, that a greater version stands there. The ledger is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import NotEncodable, encode_value
from migrate.mapping.transformer import ORDINAL
from migrate.values import Key, LogicalType
from migrate.verify.causes import cause_of_row, marked_exchanges
from migrate.verify.orphans import Parents
from migrate.verify.rows import KEY, ROW, KeyDifference, Parts, differing_keys, repeated_keys
from migrate.verify.units import UNIT_PREFIX, Rank, ranks, units_of
from migrate.verify.verdict import Cell, Difference, Kind


@dataclass(slots=True)
class Compared:
    """What differs in one target.

    `missing`: per row that is not there its unit, its number in `differences` if it is among them, and its key digest, rows of one key in the
    order of the mapping's rules; `missing_rows`: those rows.
    `refused`: units that the mapping's rules reject here. `aside`: rows that another unit's row stands for, or that stand there and cannot be
    read, which totals must not expect: `lost` of them are refused, `identical` ones are just so in the target, `kept` ones are older than what is there.
    `newer`: rows in whose place a greater version stands that is not the source's, as expected and as stored.
    """

    counts: dict[Kind, int] = field(default_factory=lambda: {"missing": 0, "extra": 0, "changed": 0, "multiplicity": 0})
    differences: list[Difference] = field(default_factory=list)
    missing: list[tuple[str, int | None, bytes]] = field(default_factory=list)
    missing_rows: list[pa.Table] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    aside: list[pa.Table] = field(default_factory=list)
    lost: int = 0
    identical: int = 0
    kept: int = 0
    newer: list[tuple[pa.Table, pa.Table]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared: columns and their types, the key that names a row (empty: all columns do), and the column of versions under `newer`."""

    contract: Contract
    key: tuple[str, ...]
    version_field: str | None = None


@dataclass(frozen=True, slots=True)
class MappingRules:
    """What a mapping says about rows that are not there. `unit_columns` stand in the source rows behind `UNIT_PREFIX`."""

    unit_columns: tuple[str, ...]
    order: Callable[[list[Key]], list[Key]]
    parents: Parents


class Comparison:
    """Compares the parts of one target; without `rules` every row stands for itself, and may be there several times.

    `unreadable`: key digests of rows that are there but could not be read; what only they could answer is no difference.
    """

    def __init__(
        self, subject: Subject, rules: MappingRules | None, most: int, unreadable: AbstractSet[bytes] = frozenset()
    ) -> None:
        self._subject = subject
        self._unreadable = unreadable
        self._types = dict(subject.contract.columns)
        self._rules = rules
        self._most = most
        self.found = Compared()

    def compare(self, parts: Parts) -> Compared:
        """All parts, one after the other."""
        for number in range(parts.count):
            source, target = parts.read("source", number), parts.read("target", number)
            if self._rules is None or source is None:
                for each in differing_keys(source, target):
                    self._note(each, source, target)
            else:
                self._compare_units(source, target, self._rules)
        self.found.differences = marked_exchanges(self.found.differences)
        return self.found

    def _compare_units(self, source: pa.Table, target: pa.Table | None, rules: MappingRules) -> None:
        settled, missing = self._settled(source, target, rules)
        left = source.take(pa.array(settled, pa.int64()))
        for each in differing_keys(left, target):
            if each.kind == "missing" and each.source_at is not None:
                missing.append(settled[each.source_at])
            else:
                self._note(each, left, target)
        unread = [place for place in missing if source[KEY][place].as_py() in self._unreadable]
        if unread:
            self.found.aside.append(self._fields(source.take(pa.array(unread))))
            missing = [place for place in missing if place not in set(unread)]
        if missing:
            self._explain_missing(source.take(pa.array(missing)), rules)

    def _settled(self, source: pa.Table, target: pa.Table | None, rules: MappingRules) -> tuple[list[int], list[int]]:
        """Places of the rows that should stand in the target by themselves, and of those that come before the one that stands there.

        Of rows with one key the first under the mapping's rules is expected. If a later one stands there instead, those before it are
        missing: they may have been refused for another reason, and then this is right.
        """
        missing = _incomplete(source, self._subject.key)
        groups = repeated_keys(source, leave_out=set(missing))
        if not groups and not missing:
            return list(range(source.num_rows)), []
        stands = _rows_by_key(target, [source[KEY][group[0]].as_py() for group in groups])
        aside: list[int] = []
        lost: list[int] = []
        rank = self._ranks(source, [place for group in groups for place in group], rules)
        for group in groups:
            ordered = sorted(group, key=lambda place: rank[place])
            contents = [source[ROW][place].as_py() for place in ordered]
            there = stands.get(source[KEY][group[0]].as_py())
            if there is None:
                # Whoever is not refused for a reason of its own should stand here: none of them is excused by another.
                missing += ordered
                continue
            first = contents.index(there) if there in contents else 0
            missing += ordered[:first]
            aside += ordered[first + 1 :]
            for place, content in zip(ordered[first + 1 :], contents[first + 1 :], strict=True):
                if content == contents[first]:
                    self.found.identical += 1
                elif rank[place][0] > rank[ordered[first]][0] and not rank[place][0][0]:
                    self.found.kept += 1
                else:
                    lost.append(place)
        self.found.lost += len(lost)
        self.found.refused |= set(units_of(source.take(pa.array(lost, pa.int64())), rules.unit_columns))
        if aside:
            self.found.aside.append(self._fields(source.take(pa.array(aside))))
        gone = {*missing, *aside}
        return [place for place in range(source.num_rows) if place not in gone], missing

    def _ranks(self, source: pa.Table, places: list[int], rules: MappingRules) -> dict[int, Rank]:
        if not places:
            return {}
        rows = source.take(pa.array(places))
        return dict(zip(places, ranks(rows, rules.unit_columns, self._subject.version_field, rules.order), strict=True))

    def _explain_missing(self, rows: pa.Table, rules: MappingRules) -> None:
        units = units_of(rows, rules.unit_columns)
        alone = rules.parents.missing_for(rows)
        for name in self._subject.key:
            # A unit without a whole key is rejected: its row could come twice.
            alone = [one or value is None for one, value in zip(alone, rows[name].to_pylist(), strict=True)]
        self.found.refused |= {unit for unit, orphan in zip(units, alone, strict=True) if orphan}
        self.found.missing_rows.append(self._fields(rows))
        for place, unit in enumerate(units):
            number = None
            if len(self.found.differences) < self._most:
                number = len(self.found.differences)
                self.found.differences.append(Difference("missing", self._key(rows, place)))
            self.found.missing.append((unit, number, rows[KEY][place].as_py()))

    def _note(self, each: KeyDifference, source: pa.Table | None, target: pa.Table | None) -> None:
        """Count a difference, and keep it while there are not too many."""
        if self._is_newer(each, source, target) or self._is_unread(each, source, target):
            return
        self.found.counts[each.kind] += 1
        if len(self.found.differences) >= self._most:
            return
        if each.kind == "changed" and source is not None and target is not None:
            self.found.differences.append(self._changed(source, target, each))
            return
        rows, at = (target, each.target_at) if each.target_at is not None else (source, each.source_at)
        note = (
            f"{each.source_rows} times in the source, {each.target_rows} times in the target"
            if each.kind == "multiplicity"
            else None
        )
        key = self._key(rows, at) if rows is not None and at is not None else {}
        self.found.differences.append(Difference(each.kind, key, note=note))

    def _is_newer(self, each: KeyDifference, source: pa.Table | None, target: pa.Table | None) -> bool:
        name = self._subject.version_field
        if (
            each.kind != "changed"
            or name is None
            or source is None
            or target is None
            or each.source_at is None
            or each.target_at is None
        ):
            return False
        expected, actual = source[name][each.source_at].as_py(), target[name][each.target_at].as_py()
        if actual is None or (expected is not None and actual <= expected):
            return False
        one = (source.slice(each.source_at, 1), target.slice(each.target_at, 1))
        self.found.newer.append((self._fields(one[0]), self._fields(one[1])))
        return True

    def _is_unread(self, each: KeyDifference, source: pa.Table | None, target: pa.Table | None) -> bool:
        """Whether rows of this key may stand where they could not be read."""
        if each.kind == "changed" or not self._unreadable:
            return False
        rows, at = (target, each.target_at) if each.target_at is not None else (source, each.source_at)
        return rows is not None and at is not None and rows[KEY][at].as_py() in self._unreadable

    def _changed(self, source: pa.Table, target: pa.Table, each: KeyDifference) -> Difference:
        expected, actual = self._row(source, each.source_at), self._row(target, each.target_at)
        cells = {name: Cell(expected[name], actual[name]) for name in self._types if expected[name] != actual[name]}
        key = {name: expected[name] for name in self._subject.key}
        return Difference("changed", key, cells, cause_of_row(self._types, cells))

    def _row(self, rows: pa.Table, at: int | None) -> dict[str, str | None]:
        return {name: canonical(logical, rows[name][at].as_py()) for name, logical in self._types.items()}

    def _key(self, rows: pa.Table, at: int) -> dict[str, str | None]:
        names = self._subject.key or tuple(self._types)
        return {name: canonical(self._types[name], rows[name][at].as_py()) for name in names}

    def _fields(self, rows: pa.Table) -> pa.Table:
        units = [name for name in rows.column_names if name.startswith(UNIT_PREFIX) or name == ORDINAL]
        return rows.select([*self._types, *units])


def note_halves(found: Compared, subject: Subject, rows: pa.Table, most: int) -> None:
    """Add rows that stand in the target although their unit is refused for the sake of another one: not expected, and extra."""
    types = dict(subject.contract.columns)
    found.counts["extra"] += rows.num_rows
    found.lost += rows.num_rows
    found.aside.append(rows.select([name for name in rows.column_names if name in types]))
    for place in range(min(rows.num_rows, most - len(found.differences))):
        key = {name: canonical(types[name], rows[name][place].as_py()) for name in subject.key}
        found.differences.append(
            Difference("extra", key, note="its unit is refused, since it cannot stand in another target")
        )


def canonical(logical: LogicalType, value: object) -> str | None:
    """The text of a value in its row encoding; None of NULL."""
    try:
        encoded = encode_value(logical, value)
    except NotEncodable:
        return repr(value)
    return None if value is None else encoded[encoded.index(b":") + 1 : -1].decode()


def _incomplete(rows: pa.Table, key: Sequence[str]) -> list[int]:
    """Places of rows with NULL in their key."""
    return [
        place
        for place, part in enumerate(zip(*(rows[name].is_null().to_pylist() for name in key), strict=True))
        if any(part)
    ]


def _rows_by_key(rows: pa.Table | None, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """The row digest that stands under each of these key digests."""
    if rows is None or not keys:
        return {}
    found = rows.select([KEY, ROW]).filter(pc.is_in(rows[KEY], value_set=pa.array(keys, pa.binary())))
    return dict(zip(found[KEY].to_pylist(), found[ROW].to_pylist(), strict=True))
