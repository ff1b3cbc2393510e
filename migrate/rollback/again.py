"""Rows that stayed when their batch went back, since somebody had changed them or others held them: which they are, and which can go by now.

The batch is back all the same: its entry is taken from the counts, and its claim says so for ever. What comes later takes only its rows that
stayed, in a rollback pass of its own, with a claim of the same number and an entry that counts nothing but them. So the newest claim of a
batch says which of its rows stay; nothing of an older one is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Entry, read_entries, read_passes
from migrate.rollback.staying import RULE, STAYS, Standing

_BACKWARDS: Final = frozenset({"rollback"})


@dataclass(frozen=True, slots=True)
class Stayed:
    """`entries`: the batches some of whose rows stayed, newest first; `rows`: these rows by the batch's `applied_seq`."""

    entries: tuple[Entry, ...] = ()
    rows: Mapping[int, tuple[Standing, ...]] = field(default_factory=dict)

    @property
    def all_rows(self) -> tuple[Standing, ...]:
        """Newest batch first."""
        return tuple(row for entry in self.entries for row in self.rows[entry.applied_seq])


def stayed(ledger: Ledger, run: str) -> Stayed:
    """What stays of a run since anything else than a rollback last had to do with its rows. A run or a restored backup has met them since."""
    passes = read_passes(ledger, run)
    forth = max((each.number for each in passes if each.kind not in _BACKWARDS), default=0)
    entries = read_entries(ledger, run)
    newest: dict[int, int] = {}
    for each in entries:
        if each.pass_no > forth:
            newest[each.range_no] = max(each.pass_no, newest.get(each.range_no, 0))
    rows: dict[int, list[Standing]] = {}
    for number, pass_no, row in _findings(ledger, run, forth):
        if newest.get(number) == pass_no:
            rows.setdefault(number, []).append(row)
    held = [each for each in reversed(entries) if each.applied_seq in rows]
    return Stayed(tuple(held), {number: tuple(found) for number, found in rows.items()})


def _findings(ledger: Ledger, run: str, after_pass: int) -> list[tuple[int, int, Standing]]:
    """(the batch's `applied_seq`, pass of the rollback, row)."""
    finding = ledger.tables.finding
    query = (
        sa.select(
            finding.c.range_no,
            finding.c.pass_no,
            finding.c.target,
            finding.c.unit_key,
            finding.c.reason,
            finding.c.value,
        )
        .where(finding.c.run == run, finding.c.pass_no > after_pass, finding.c.rule == RULE)
        .order_by(finding.c.pass_no, finding.c.range_no, finding.c.entry_no)
    )
    with ledger.reading() as connection:
        return [
            (
                row.range_no,
                row.pass_no,
                Standing(row.target, row.unit_key, row.reason.removeprefix(STAYS), **json.loads(row.value)),
            )
            for row in connection.execute(query)
        ]
