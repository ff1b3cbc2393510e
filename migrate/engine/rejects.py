"""What was not written, and why: list, show and export the rejects of a run.

A replay reads every unit again that was rejected before it, so what is rejected still is what the newest whole replay and the passes after it
rejected, in batches that were not taken back. Older rejects stay in the ledger.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import sqlalchemy as sa

from migrate.engine.access import run_of
from migrate.engine.options import RunOptions
from migrate.errors import EnvironmentFault, InputError
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Run
from migrate.ledger.standing import open_rejects

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Reject:
    """One reason why one unit was not written. `raw`: its source rows as a JSON array, with the unit's first reason only."""

    pass_no: int
    range_no: int
    entry_no: int
    unit_key: str
    target: str | None
    field: str | None
    rule: str
    reason: str
    value: str | None
    raw: str | None


@dataclass(frozen=True, slots=True)
class RejectGroup:
    """How often a rule refused a field, with one example."""

    rule: str
    target: str | None
    field: str | None
    count: int
    example: str


def rejects_list(path: Path, options: RunOptions) -> list[RejectGroup]:
    """Rejects that are still open, or all of the pass that `options` name, by rule and field, most frequent first."""
    with run_of(path, options) as (ledger, run):
        table = ledger.tables.reject
        grouped = (table.c.rule, table.c.target, table.c.field)
        query = (
            sa.select(*grouped, sa.func.count().label("found"), sa.func.min(table.c.reason).label("example"))
            .where(table.c.run == run.run, _wanted(ledger, run, options))
            .group_by(*grouped)
            .order_by(sa.desc("found"), *grouped)
        )
        with ledger.reading() as connection:
            return [RejectGroup(r.rule, r.target, r.field, r.found, r.example) for r in connection.execute(query)]


def rejects_show(path: Path, options: RunOptions, rule: str | None = None, limit: int = 20) -> list[Reject]:
    """The first open rejects of the newest run, with raw values; `rule` narrows them."""
    with run_of(path, options) as (ledger, run):
        found = _walk(ledger, run, _wanted(ledger, run, options), rule)
        return [reject for _, reject in zip(range(limit), found, strict=False)]


def rejects_export(path: Path, options: RunOptions, out: Path) -> int:
    """Write all open rejects of the newest run to `.csv` (UTF-8 with BOM, for spreadsheets) or `.jsonl`; how many there were."""
    suffix = out.suffix.lower()
    if suffix not in {".csv", ".jsonl"}:
        raise InputError(f"cannot export to {out.name}", next_step="name the file *.csv or *.jsonl")
    with run_of(path, options) as (ledger, run):
        part = out.with_name(f"{out.name}.part")
        try:
            count = _export(_walk(ledger, run, _wanted(ledger, run, options)), part, suffix)
            part.replace(out)
        except OSError as error:
            raise EnvironmentFault(f"cannot write {out}: {error.strerror}", next_step="choose another file") from error
        return count


def _export(rejects: Iterator[Reject], part: Path, suffix: str) -> int:
    encoding = "utf-8-sig" if suffix == ".csv" else "utf-8"
    with part.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Reject)])
        if suffix == ".csv":
            writer.writeheader()
        count = 0
        for reject in rejects:
            count += 1
            if suffix == ".csv":
                writer.writerow(asdict(reject))
            else:
                file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
    return count


def _wanted(ledger: Ledger, run: Run, options: RunOptions) -> sa.ColumnElement[bool]:
    """Rejects of the pass that `options` name, else those that are still open."""
    if options.pass_no is None:
        return open_rejects(ledger, run)
    return ledger.tables.reject.c.pass_no == options.pass_no


def _walk(ledger: Ledger, run: Run, wanted: sa.ColumnElement[bool], rule: str | None = None) -> Iterator[Reject]:
    """The wanted rejects in source order, page by page."""
    table = ledger.tables.reject
    place = (table.c.pass_no, table.c.range_no, table.c.entry_no)
    after: tuple[int, int, int] | None = None
    while True:
        query = sa.select(*place, *(table.c[each.name] for each in fields(Reject)[3:])).where(
            table.c.run == run.run, wanted
        )
        if rule is not None:
            query = query.where(table.c.rule == rule)
        if after is not None:
            p, r, e = place
            query = query.where(
                sa.or_(p > after[0], sa.and_(p == after[0], sa.or_(r > after[1], sa.and_(r == after[1], e > after[2]))))
            )
        with ledger.reading() as connection:
            rows = connection.execute(query.order_by(*place).limit(_PAGE)).all()
        for row in rows:
            yield Reject(*row)
        if len(rows) < _PAGE:
            return
        after = (rows[-1].pass_no, rows[-1].range_no, rows[-1].entry_no)
