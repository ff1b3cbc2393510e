"""The total order of the units of a run, which decides who has a key that several want: by version under `newer`, then by source order.

It is total on purpose, over all targets of a mapping: were one target decided by version and another by place, three units could displace
each other for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

import pyarrow as pa

from migrate.stores.port import TargetSession
from migrate.write.claims import Claims, Held, Unit
from migrate.write.target import WriteTarget, precedes


@total_ordering
@dataclass(frozen=True, slots=True)
class Rank:
    """A place in the order; the least comes first. `versions`: the greatest of each target under `newer`."""

    versions: tuple[Any, ...]
    place: tuple[tuple[int, int], int]

    def __lt__(self, other: Rank) -> bool:
        for mine, theirs in zip(self.versions, other.versions, strict=True):
            if precedes(mine, theirs) or precedes(theirs, mine):
                return precedes(mine, theirs)
        return self.place < other.place


class Ranks:
    """Ranks of the units that meet in one transaction, asked through its session."""

    def __init__(self, session: TargetSession, targets: Sequence[WriteTarget], claims: Claims) -> None:
        self._session = session
        self._claims = claims
        self._versioned = [target for target in targets if target.version_field is not None]

    def of_waiting(self, unit: Unit, rows: Mapping[str, pa.Table]) -> Rank:
        """The rank of a unit with these rows."""
        versions = tuple(_greatest(rows[each.name][_field(each)].to_pylist()) for each in self._versioned)
        return Rank(versions, (unit.order, unit.ordinal))

    def of_holders(self, holding: Held) -> Rank:
        """The least rank of the units that hold a row."""
        return min(self._of_writer(claim.unit) for claim in holding.claims)

    def _of_writer(self, unit: Unit) -> Rank:
        versions: list[Any] = []
        for target in self._versioned:
            claims = self._claims.of_unit(self._session, target.name, unit)
            kept = [claim.mapped[_field(target)] for claim in claims if claim.mapped is not None]
            keys = target.key_table([claim.target_key for claim in claims if claim.mapped is None])
            stored = self._session.fetch(target.shape, target.key, keys, lock=True, columns=(_field(target),))
            versions.append(_greatest([*stored[_field(target)].to_pylist(), *kept]))
        return Rank(tuple(versions), (unit.order, unit.ordinal))


def _field(target: WriteTarget) -> str:
    return target.version_field or ""


def _greatest(versions: Sequence[Any]) -> Any:
    """The greatest of them; None where there is none."""
    return max((version for version in versions if version is not None), default=None)
