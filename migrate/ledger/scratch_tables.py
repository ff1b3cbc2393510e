"""Scratch tables that checks of backups made: which are there, whose they are by the log, and an end to those whose process is certainly dead.

A check enters its tables and its process into the log before it makes any. Never dropped is a table that the log does not know, whatever it is
called, nor one whose process may be alive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from migrate.errors import EnvironmentFault
from migrate.ledger.connection import Ledger
from migrate.ledger.log import ABOUT_BACKUPS, add_event, seal
from migrate.ledger.process import Process, this_process
from migrate.stores.scratch import drop_scratch, dropping, present_scratch

CHECKING: Final = f"{ABOUT_BACKUPS}checking"
"""The kind of the event that says which tables a check is about to make."""


@dataclass(frozen=True, slots=True)
class ScratchTable:
    """A scratch table that was there. `owner`: the process that made it, None where the log does not know the table.

    `state`: `dropped` just now; `used` by a process of this host that lives; or `left`, since its owner may live elsewhere, is not known, or
    the database did not drop it (`why`). `statement` drops it.
    """

    name: str
    owner: Process | None
    state: Literal["dropped", "used", "left"]
    statement: str
    why: str | None = None


def announce(ledger: Ledger, mapping: str, backup: str, tables: Sequence[str]) -> None:
    """Enter into the log that this process is about to make these scratch tables."""
    detail = {"backup": backup, "tables": list(tables), "process": this_process().to_text()}
    add_event(ledger, mapping, backup, CHECKING, detail)
    seal(ledger, backup)


def tidy_scratch_tables(ledger: Ledger) -> list[ScratchTable]:
    """Drop the scratch tables whose processes are certainly dead; all that were there, with what became of them."""
    owners = dict(_owners(ledger))
    schemas = {name.rpartition(".")[0] or None for name in owners} | {None}
    found = present_scratch(ledger.store, schemas)
    return [_tidied(ledger, name, owners.get(name)) for name in found]


def _tidied(ledger: Ledger, name: str, owner: Process | None) -> ScratchTable:
    statement = dropping(ledger.store, name)
    # Of an earlier boot it is dead only if this is the same machine: its name and namespace may be those of another one, as in a copied image.
    if owner is None or owner.boot != this_process().boot or not owner.surely_dead:
        used = owner is not None and owner.is_of_this_host and owner.boot == this_process().boot
        return ScratchTable(name, owner, "used" if used else "left", statement)
    try:
        drop_scratch(ledger.store, name)
    except EnvironmentFault as fault:
        # Its last transaction may still be at work, or this user may not drop it: nothing depends on that here.
        return ScratchTable(name, owner, "left", statement, fault.message)
    return ScratchTable(name, owner, "dropped", statement)


def _owners(ledger: Ledger) -> Iterator[tuple[str, Process]]:
    event = ledger.tables.event
    query = sa.select(event.c.detail).where(event.c.kind == CHECKING).order_by(event.c.event_no)
    with ledger.reading() as connection:
        details = [json.loads(text) for text in connection.execute(query).scalars()]
    for detail in details:
        owner = Process.from_text(detail["process"])
        yield from ((name, owner) for name in detail["tables"])
