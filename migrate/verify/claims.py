"""Which source units the mapping's rules let into the target: the fixed point over all claims to keys and unique values, in all targets at once.

Pure. A unit is written to all targets or to none, so that a claimant that loses one key frees all its others. Units are taken in the order of
the rules (the greatest version under `newer`, then source order); each is refused if a unit before it that is not refused has one of its
places. Nothing that comes later can change that, so one pass gives the state in which nothing changes any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from migrate.values import Key
from migrate.verify.units import Unit, Version

OwnKey: TypeAlias = tuple[str, bytes]
"""A target and the digest of a target key."""

_UNKNOWN: Final = 2**62


@dataclass(frozen=True, slots=True)
class Claimant:
    """One row that wants to stand in `target` under the key with this digest.

    `content`: the digest of the row. `version`: that of the row. `order`: what orders its unit before the source's own order does.
    """

    target: str
    key: bytes
    content: bytes
    unit: Unit
    version: Version
    order: tuple[Version, ...] = ()


@dataclass(slots=True)
class Claims:
    """What is claimed by more than one row, and units that are refused whoever else claims what they do.

    `keys`: rows with one target key. `values`: rows of different target keys that cannot both stand, because a unique value, or a key under
    the target's collation, is the same to the database.
    """

    refused: set[Unit] = field(default_factory=set)
    keys: dict[OwnKey, list[Claimant]] = field(default_factory=lambda: defaultdict(list))
    values: list[list[Claimant]] = field(default_factory=list)

    @property
    def units(self) -> set[Unit]:
        """All units that claim something of this."""
        groups = [*self.keys.values(), *self.values]
        return {claimant.unit for group in groups for claimant in group}


@dataclass(frozen=True, slots=True)
class Standing:
    """`refused`: units without a row in any target. `holders`: for each key with several claimants the one whose row stands; None: nobody's."""

    refused: AbstractSet[Unit]
    holders: Mapping[OwnKey, Claimant | None]

    def keeps_out(self, row: Claimant) -> bool:
        """Whether a row of a greater version stands under its key, which leaves its unit as it is."""
        holder = self.holders.get((row.target, row.key))
        return holder is not None and is_older(row, holder)


def settled(claims: Claims, position: Mapping[Key, int]) -> Standing:
    """Decide all claims; `position` is the place of each unit key in the source's own order."""
    one = _Settling(claims)
    for unit in in_claiming_order((*claims.keys.values(), *claims.values), position):
        one.take(unit)
    return Standing(one.refused, {key: one.holders.get(key) for key in claims.keys})


def in_claiming_order(groups: Iterable[Sequence[Claimant]], position: Mapping[Key, int]) -> list[Unit]:
    """The units of all claimants, first the one that the rules prefer to all others."""
    order = {each.unit: each.order for group in groups for each in group}
    return sorted(order, key=lambda unit: (order[unit], position.get(unit[0], _UNKNOWN), unit[1]))


class _Settling:
    """Units one after the other; what was taken stays taken."""

    def __init__(self, claims: Claims) -> None:
        self.refused = set(claims.refused)
        self.holders: dict[OwnKey, Claimant] = {}
        self._values = list(claims.values)
        self._taken: dict[int, bytes] = {}
        self._keys: dict[Unit, list[Claimant]] = defaultdict(list)
        self._of_values: dict[Unit, list[tuple[int, Claimant]]] = defaultdict(list)
        for group in claims.keys.values():
            for each in group:
                self._keys[each.unit].append(each)
        for number, group in enumerate(claims.values):
            for each in group:
                self._of_values[each.unit].append((number, each))

    def take(self, unit: Unit) -> None:
        """Refuse the unit, or let it have its places."""
        if unit in self.refused:
            return
        mine: dict[OwnKey, Claimant] = {}
        for each in self._keys[unit]:
            place = (each.target, each.key)
            holder = self.holders.get(place) or mine.setdefault(place, each)
            if holder.content != each.content and not is_older(each, holder):
                self.refused.add(unit)
                return
        wanted = [(number, each) for number, each in self._of_values[unit] if self._is_written(each, mine)]
        if any(self._taken.get(number, each.key) != each.key for number, each in wanted):
            self.refused.add(unit)
            return
        self.holders |= mine
        self._taken |= {number: each.key for number, each in wanted}

    def _is_written(self, each: Claimant, mine: Mapping[OwnKey, Claimant]) -> bool:
        """A row that is only kept out by a greater version, or is there already, needs no unique value."""
        place = (each.target, each.key)
        return place in mine or place not in self.holders


def is_older(one: Claimant, holder: Claimant) -> bool:
    """Whether, under `newer`, a row of a smaller version, or of none, meets one of a greater: it is kept out, and its unit not refused."""
    return one.version > holder.version
