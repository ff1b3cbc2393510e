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


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A row of the waiting unit and a stored one with equal values of `unique` and other content."""

    unique: tuple[str, ...]
    ours: pa.Table
    theirs: pa.Table
    holding: Held


class Rivals:
    """Looks through one session, in the open transaction, at what this run wrote."""

    def __init__(self, session: TargetSession, targets: Sequence[WriteTarget], claims: Claims) -> None:
        self._session = session
        self._targets = tuple(targets)
        self._claims = claims
        self._ranks = Ranks(session, targets, claims)

    def of(self, unit: Unit, rows: Mapping[str, pa.Table]) -> Iterator[Rival]:
        """All rivals of a unit with these rows per target; not those whose rows it would leave as they are and count as kept."""
        for target in self._targets:
            own = rows[target.name]
            if own.num_rows == 0:
                continue
            meetings, left_alone = self._of_key(target, own)
            # A row that is not written needs none of its other unique values.
            writing = own.filter(pa.array([place not in left_alone for place in range(own.num_rows)], pa.bool_()))
            for unique in target.unique_fields[1:]:
                meetings += self._of_values(target, unique, writing)
            for meeting in meetings:
                loses = self._ranks.of_waiting(unit, rows) < self._ranks.of_holders(meeting.holding)
                yield Rival(meeting.holding, loses, _reason(meeting))

    def _of_key(self, target: WriteTarget, own: pa.Table) -> tuple[list[_Meeting], set[int]]:
        """Rivals for the target key; and the places of rows that are there already, or would be kept as they are."""
        found: list[_Meeting] = []
        left_alone: set[int] = set()
        for place, meeting in self._meetings(target, target.key, own):
            if meeting is None or _is_kept(target, meeting):
                left_alone.add(place)
            elif meeting.holding.claims:
                found.append(meeting)
        return found, left_alone

    def _of_values(self, target: WriteTarget, unique: tuple[str, ...], rows: pa.Table) -> list[_Meeting]:
        """Rivals for another unique key; NULL equals nothing in it."""
        asked = rows.filter(_complete(rows, unique))
        met = (meeting for _, meeting in self._meetings(target, unique, asked))
        return [meeting for meeting in met if meeting is not None and meeting.holding.claims]

    def _meetings(
        self, target: WriteTarget, unique: tuple[str, ...], asked: pa.Table
    ) -> Iterator[tuple[int, _Meeting | None]]:
        """For each stored row with values of `unique`: the place of ours, and the two, or None when they are the same."""
        if asked.num_rows == 0:
            return
        stored = self._session.fetch(target.shape, unique, asked.select(unique), lock=True)
        held = self._claims.held(self._session, target.name, stored.select(target.key))
        wanted = row_digests(asked, target.contract).take(stored[ORDINAL])
        same = pc.fill_null(pc.equal(row_digests(stored, target.contract), wanted), False)
        for row, place in enumerate(stored[ORDINAL].to_pylist()):
            meeting = _Meeting(unique, asked.slice(place, 1), stored.slice(row, 1), held.get(row, Held()))
            yield place, None if same[row].as_py() else meeting


def _reason(meeting: _Meeting) -> str:
    unique, ours, theirs = meeting.unique, meeting.ours, meeting.theirs
    first = min(meeting.holding.claims, key=lambda claim: (claim.unit.order, claim.unit.ordinal)).unit
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


def _is_kept(target: WriteTarget, meeting: _Meeting) -> bool:
    """Would the unit leave this row as it is: an older version of the very same key, or a row from before the run under `keep`?"""
    if any(meeting.ours[name][0] != meeting.theirs[name][0] for name in target.key):
        return False
    if target.version_field is not None:
        versions = (each[target.version_field][0].as_py() for each in (meeting.theirs, meeting.ours))
        return precedes(*versions)
    return target.mode == "keep" and not meeting.holding.decides("keep")
