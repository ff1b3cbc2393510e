"""The log of a ledger as a checkpoint that is kept elsewhere: it catches what a hash chain alone does not, a log whose end was cut off.

The checkpoint is that of an RFC 6962 tree over the hashes of the seals, in order. Whoever has one can say later whether the log still begins with
exactly these seals. Nothing here signs or writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from migrate.checksum.merkle import leaf_hash, path_within, root_of
from migrate.errors import NotProven
from migrate.ledger.connection import Ledger
from migrate.ledger.log import LogFinding, entry_digest, seal_hash
from migrate.signing.note import Checkpoint

ORIGIN: Final = "fapiao-migrate/ledger/"


@dataclass(frozen=True, slots=True)
class Sealed:
    """An event with the seal that lists it and the path of that seal to the root of a checkpoint: all that shows that the log has it.

    `event` is the row of `migrate_event`, `seal` that of `migrate_seal`; `path` has hex hashes, lowest first.
    """

    event: dict[str, Any]
    seal: dict[str, Any]
    path: tuple[str, ...]


def sealed_event(ledger: Ledger, number: int) -> tuple[Checkpoint, Sealed]:
    """The log as it is now, and the proof that it has this event, which is sealed already."""
    event_table, seal_table = ledger.tables.event, ledger.tables.seal
    with ledger.reading() as connection:
        event = dict(
            connection.execute(sa.select(event_table).where(event_table.c.event_no == number)).mappings().one()
        )
        columns = [column for column in seal_table.c if column.name != "sealed_ms"]
        seals = connection.execute(
            sa.select(*columns).where(seal_table.c.run == event["run"]).order_by(seal_table.c.seal_no.desc())
        ).mappings()
        seal = next(dict(each) for each in seals if _lists(each["entries"], number))
    hashes = list(_seals(ledger).values())
    leaves = b"".join(leaf_hash(each) for each in hashes)
    path = path_within(leaves, seal["seal_no"] - 1)
    return _checkpoint(hashes), Sealed(event, seal, tuple(each.hex() for each in path))


def event_finding(sealed: Sealed) -> str | None:
    """Why the event is not what its seal lists, or the seal not what its hash covers; None when both are right."""
    seal, event = sealed.seal, sealed.event
    if seal["hash"] != seal_hash(seal["previous"], seal["seal_no"], seal["run"], seal["entries"]):
        return f"seal {seal['seal_no']} was changed: its hash does not fit its content"
    if ["event", event["event_no"], entry_digest(event)] not in json.loads(seal["entries"]):
        return f"event {event['event_no']} is not what seal {seal['seal_no']} lists"
    return None


def compare_with_log(ledger: Ledger, kept: Checkpoint) -> None:
    """Raise NotProven unless the log begins with exactly the seals that the checkpoint was made over."""
    if not ledger.exists():
        raise NotProven(
            "log-cut",
            "the log was removed: there is no ledger in this database",
            next_step="check the target URL first",
        )
    seals = _seals(ledger)
    if max(seals, default=0) < kept.size:
        raise NotProven(
            "log-cut",
            f"the end of the log was cut off: its last seal is {max(seals, default=0)}, and was {kept.size}",
        )
    missing = [number for number in range(1, kept.size + 1) if number not in seals]
    if missing:
        raise NotProven("log-dropped", f"seal {missing[0]} was dropped from the log ({len(missing)} in all)")
    now = _checkpoint([seals[number] for number in range(1, kept.size + 1)])
    if now.root != kept.root:
        raise NotProven("log-changed", f"the first {kept.size} seals of the log are not those of the checkpoint")
    if now.origin != kept.origin:
        raise NotProven("log-changed", f"the checkpoint names another log, {kept.origin}, than it was made over")


def checkpoint_findings(ledger: Ledger, kept: Checkpoint) -> list[LogFinding]:
    """As `compare_with_log`, as a finding of the log."""
    try:
        compare_with_log(ledger, kept)
    except NotProven as error:
        return [LogFinding(kept.size, error.message)]
    return []


def _lists(entries: str, event: int) -> bool:
    return any(entry[:2] == ["event", event] for entry in json.loads(entries))


def _seals(ledger: Ledger) -> dict[int, bytes]:
    """The hash of each seal by its number, in order."""
    table = ledger.tables.seal
    with ledger.reading() as connection:
        found = connection.execute(sa.select(table.c.seal_no, table.c.hash).order_by(table.c.seal_no)).all()
    # A hash that was made unreadable has a leaf of its own, which fits no checkpoint; a seal whose number was, is not there.
    return {number: str(text).encode() for number, text in found if isinstance(number, int)}


def _checkpoint(hashes: Sequence[bytes]) -> Checkpoint:
    return Checkpoint(_origin(hashes), len(hashes), root_of(b"".join(leaf_hash(each) for each in hashes)))


def _origin(hashes: Sequence[bytes]) -> str:
    """The first seal names the log: it hashes the name of a run, which holds random digits."""
    return ORIGIN + (hashes[0].decode()[:16] if hashes else "empty")
