"""What of a run stands: the batches that no rollback has taken back, and the key ranges that are open, for the first time or again.

A rollback pass takes back the entry whose `applied_seq` is the range number of its own. A range has one number and the same borders in every
full pass that did it.
"""

from __future__ import annotations

import sqlalchemy as sa

from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Entry, Run, read_entries, read_passes
from migrate.ledger.tables import LedgerTables
from migrate.stores.typed_keys import load_key
from migrate.values import KeyRange


def standing_entries(ledger: Ledger, run: str) -> list[Entry]:
    """The batches of a run that neither a rollback nor a restored backup has taken back, in the order in which they changed the target."""
    passes = read_passes(ledger, run)
    backwards = {each.number for each in passes if each.kind == "rollback"}
    restored = {each.number for each in passes if each.kind == "restore"}
    entries = read_entries(ledger, run)
    if any(each.pass_no in restored for each in entries):
        return []
    taken = {each.range_no for each in entries if each.pass_no in backwards}
    return [each for each in entries if each.pass_no not in backwards and each.applied_seq not in taken]


def taken_back(tables: LedgerTables, run: str) -> sa.Select[tuple[int, int]]:
    """The query for (pass, range) of each batch of a run that was taken back."""
    applied, back, passes = tables.applied, tables.applied.alias("back"), tables.passes
    return (
        sa.select(applied.c.pass_no, applied.c.range_no)
        .select_from(passes)
        .join(back, (back.c.run == passes.c.run) & (back.c.pass_no == passes.c.pass_no))
        .join(applied, (applied.c.run == back.c.run) & (applied.c.applied_seq == back.c.range_no))
        .where(passes.c.run == run, passes.c.kind == "rollback")
    )


def rollback_passes(ledger: Ledger, run: str) -> frozenset[int]:
    """Numbers of the passes that took a batch back; one that was refused before it did is not among them."""
    applied, passes = ledger.tables.applied, ledger.tables.passes
    of_pass = (applied.c.run == passes.c.run) & (applied.c.pass_no == passes.c.pass_no)
    query = sa.select(passes.c.pass_no).join(applied, of_pass).where(passes.c.run == run, passes.c.kind == "rollback")
    with ledger.reading() as connection:
        return frozenset(row.pass_no for row in connection.execute(query.distinct()))


def known_ranges(ledger: Ledger, run: str, columns: tuple[str, ...]) -> list[KeyRange]:
    """All committed ranges of a run, whichever pass did them last, in source order."""
    table = ledger.tables.ranges
    query = (
        sa.select(table.c.range_no, table.c.after_key, table.c.upto_key)
        .where(table.c.run == run)
        .order_by(table.c.range_no)
    )
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    found = {
        row.range_no: KeyRange(
            row.range_no,
            columns,
            None if row.after_key is None else load_key(row.after_key),
            None if row.upto_key is None else load_key(row.upto_key),
        )
        for row in rows
    }
    return list(found.values())


def done_ranges(ledger: Ledger, run: str) -> frozenset[int]:
    """Numbers of the ranges whose batch is committed and stands."""
    applied, passes = ledger.tables.applied, ledger.tables.passes
    others = sa.select(passes.c.pass_no).where(passes.c.run == run, passes.c.kind != "full")
    query = sa.select(applied.c.pass_no, applied.c.range_no).where(
        applied.c.run == run, applied.c.range_no >= 0, applied.c.pass_no.not_in(others)
    )
    with ledger.reading() as connection:
        done = {tuple(row) for row in connection.execute(query)}
        gone = {tuple(row) for row in connection.execute(taken_back(ledger.tables, run))}
    return frozenset(number for _, number in done - gone)


def open_ranges(ledger: Ledger, run: str) -> list[int]:
    """Numbers of the committed ranges that have to be done, in source order."""
    done = done_ranges(ledger, run)
    return [each.number for each in known_ranges(ledger, run, ()) if each.number not in done]


def standing_replays(ledger: Ledger, run: str) -> list[int]:
    """Numbers of the replay passes that stand; a replay is taken back as a whole."""
    with ledger.reading() as connection:
        gone = {row.pass_no for row in connection.execute(taken_back(ledger.tables, run))}
    return [each.number for each in read_passes(ledger, run) if each.kind == "replay" and each.number not in gone]


def open_rejects(ledger: Ledger, run: Run) -> sa.ColumnElement[bool]:
    """Which rows of `migrate_reject` speak of units that are rejected still.

    Every whole replay has read the older ones again; those of a batch that was taken back are nobody's, unless all of the run was: then they
    say what it had rejected.
    """
    table, standing = ledger.tables.reject, set(standing_replays(ledger, run.run))
    whole = (
        each.number for each in read_passes(ledger, run.run) if each.number in standing and each.ended_ms is not None
    )
    since = (table.c.run == run.run) & (table.c.pass_no >= max(whole, default=0))
    return since if run.state == "rolled_back" else since & of_standing(ledger.tables, run.run, table)


def of_standing(tables: LedgerTables, run: str, table: sa.Table) -> sa.ColumnElement[bool]:
    """Which rows of a table with `pass_no` and `range_no` are of batches of this run that stand."""
    gone = taken_back(tables, run).subquery()
    return ~sa.exists().where(gone.c.pass_no == table.c.pass_no, gone.c.range_no == table.c.range_no)
