"""The rows of other units that stand in a waiting unit's way, and which of the two comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from migrate.checksum.vectorised import row_digests
from migrate.stores.port import ORDINAL, TargetSession
from migrate.write.claims import Claims, Held, Unit
from migrate.write.ranks import Ranks
from migrate.write.target import WriteTarget, precedes


@dataclass(frozen=True, slots=True)
class Rival:
    """Who holds a row with a key of the waiting unit and other content. `loses`: the waiting unit comes first. `reason`: why, if not."""

    holding: Held
    loses: bool
    reason: str


class Rivals:
    """Looks through one session, in the open transaction, at what this run wrote."""

    def __init__(self, session: TargetSession, targets: Sequence[WriteTarget], claims: Claims) -> None:
        self._session = session
        self._targets = tuple(targets)
        self._claims = claims
        self.ranks = Ranks(session, targets, claims)

    def of(self, unit: Unit, rows: Mapping[str, pa.Table]) -> Iterator[Rival]:
        """All rivals of a unit with these rows per target; not those whose rows it would leave as they are and count as kept."""
        for target in self._targets:
            own = rows[target.name]
            for unique in target.unique_fields:
                # NULL equals nothing in a unique constraint; only a target key is looked up as it is.
                asked = own if unique == target.key else own.filter(_complete(own, unique))
                if asked.num_rows:
                    yield from self._of_key(target, unique, asked, unit, rows)

    def _of_key(
        self, target: WriteTarget, unique: tuple[str, ...], asked: pa.Table, unit: Unit, rows: Mapping[str, pa.Table]
    ) -> Iterator[Rival]:
        stored = self._session.fetch(target.shape, unique, asked.select(unique), lock=True)
        held = self._claims.held(self._session, target.name, stored.select(target.key))
        wanted = row_digests(asked, target.contract).take(stored[ORDINAL])
        same = pc.fill_null(pc.equal(row_digests(stored, target.contract), wanted), False)
        for row, holding in held.items():
            ours, theirs = asked.slice(stored[ORDINAL][row].as_py(), 1), stored.slice(row, 1)
            if not holding.claims or same[row].as_py() or _is_kept(target, ours, theirs, holding):
                continue
            loses = self.ranks.of_waiting(unit, rows) < self.ranks.of_holders(holding)
            yield Rival(holding, loses, _reason(unique, ours, theirs, holding))


def _reason(unique: Sequence[str], ours: pa.Table, theirs: pa.Table, holding: Held) -> str:
    first = min(holding.claims, key=lambda claim: (claim.unit.order, claim.unit.ordinal)).unit
    shown = ", ".join(f"{name} = {ours[name][0].as_py()!r}" for name in unique)
    if any(ours[name][0] != theirs[name][0] for name in unique):
        held = ", ".join(repr(theirs[name][0].as_py()) for name in unique)
        shown += f" (under the target's collation: it wrote {held})"
    key = repr(first.key[0]) if len(first.key) == 1 else repr(first.key)
    return f"the source unit {key}, which goes first, has {shown} with other content"


def _complete(rows: pa.Table, columns: Sequence[str]) -> pa.ChunkedArray:
    """Rows without NULL in any of the columns."""
    mask = pc.is_valid(rows[columns[0]])
    for name in columns[1:]:
        mask = pc.and_(mask, pc.is_valid(rows[name]))
    return mask


def _is_kept(target: WriteTarget, ours: pa.Table, theirs: pa.Table, holding: Held) -> bool:
    """Would the unit leave this row as it is: an older version of the very same key, or a row from before the run under `keep`?"""
    if any(ours[name][0] != theirs[name][0] for name in target.key):
        return False
    if target.version_field is not None:
        return precedes(theirs[target.version_field][0].as_py(), ours[target.version_field][0].as_py())
    return not holding.decides(target.mode)
