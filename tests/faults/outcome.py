"""What a run left behind: all rows of the targets, and what the ledger counts; for comparing with an undisturbed run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from migrate.engine.options import RunOptions
from migrate.engine.steer import ledger_verify, status
from migrate.ledger.connection import Ledger
from migrate.ledger.lease import read_lease
from migrate.ledger.runs import current_run, read_entries, read_passes
from migrate.stores.opening import open_target
from tests.faults.runner import Job, finished
from tests.faults.scenario import TARGETS, Scenario, connected, reset


@dataclass(frozen=True)
class Outcome:
    """Equal outcomes are equal states. `rows`: whole rows by table, sorted; `runs`: counts and digests; `rejects`, `findings` without their wording."""

    rows: dict[str, list[tuple[Any, ...]]]
    runs: list[dict[str, Any]]
    rejects: list[tuple[str, ...]]
    findings: list[tuple[str, ...]]


def outcome(scenario: Scenario) -> Outcome:
    """Read everything, and check what must hold for any state at rest: counts add up, entries are the ranges, the log verifies."""
    with connected(scenario.target) as connection:
        rows = {name: _rows(connection, name) for name in TARGETS}
        rejects = _texts(connection, "migrate_reject", "run", "unit_key", "target", "rule")
        findings = _texts(connection, "migrate_finding", "run", "unit_key", "target", "rule", "level")
        mapping_of = {
            row.run: row.mapping for row in connection.execute(sa.text("select run, mapping from migrate_run"))
        }
    runs = [_counts(scenario, place) for place in range(len(scenario.mappings))]
    return Outcome(rows, runs, _named(rejects, mapping_of), _named(findings, mapping_of))


_UNDISTURBED: dict[tuple[str, ...], Outcome] = {}


def undisturbed(scenario: Scenario) -> Outcome:
    """What an undisturbed run leaves, whose target is put back as it was. Made once for each pair of databases and set of mappings."""
    kinds = [sa.make_url(url).drivername for url in (scenario.source, scenario.target)]
    case = (*kinds, *(path.read_text(encoding="utf-8") for path in scenario.mappings))
    if case not in _UNDISTURBED:
        ending = finished(Job(scenario))
        assert ending.code == 0, ending.error
        assert_sound(scenario)
        _UNDISTURBED[case] = outcome(scenario)
        reset(scenario.target)
    return _UNDISTURBED[case]


def everything(scenario: Scenario) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of the target database, ledger included: equal before and after means that nothing was changed."""
    with connected(scenario.target) as connection:
        names = sa.inspect(connection).get_table_names()
        return {name: _rows(connection, name) for name in sorted(names)}


def assert_sound(scenario: Scenario, *, complete: bool = True) -> None:
    """What must hold for the ledger of any state at rest; with `complete` also that nothing is open."""
    store = open_target(scenario.target)
    try:
        ledger = Ledger(store)
        if not complete and not ledger.exists():
            return
        for name in scenario.names:
            run = current_run(ledger, name)
            if run is None:
                assert not complete, f"{name} never ran"
                continue
            _assert_claims_match(scenario, run.run)
            entries = read_entries(ledger, run.run)
            assert all(entry.counts.adds_up for entry in entries)
            # A rollback or restore takes counts back, and keeps what was found.
            back = {each.number for each in read_passes(ledger, run.run) if each.kind in {"rollback", "restore"}}
            forth = [entry for entry in entries if entry.pass_no not in back]
            _assert_warnings_kept(scenario, run.run, sum(entry.counts.warnings for entry in forth))
            if complete:
                assert run.state == "complete"
                holding = read_lease(ledger, name)
                assert holding is not None
                assert not holding.live
                _assert_nothing_open(scenario, run.run)
    finally:
        store.close()
    verdict = ledger_verify(scenario.mappings[0], RunOptions(target=scenario.target))
    assert verdict.findings == ()
    if complete:
        assert verdict.unsealed == 0


def _assert_warnings_kept(scenario: Scenario, run: str, counted: int) -> None:
    """Each warning that was counted stands among the findings."""
    query = "select count(*) from migrate_finding where run = :run and level = 'warn'"
    with connected(scenario.target) as connection:
        assert connection.execute(sa.text(query), {"run": run}).scalar() == counted


def _assert_claims_match(scenario: Scenario, run: str) -> None:
    """Each claim has its entry, and each entry its claim: they commit together."""
    with connected(scenario.target) as connection:
        of_run = {"run": run}
        claims, entries = (
            sorted(
                tuple(row)
                for row in connection.execute(sa.text(f"select pass_no, range_no from {name} where run = :run"), of_run)
            )
            for name in ("migrate_batch", "migrate_applied")
        )
    assert claims == entries
    assert len(set(entries)) == len(entries)


def _assert_nothing_open(scenario: Scenario, run: str) -> None:
    """All ranges are done, the last one is open to the end, and nothing is pending."""
    with connected(scenario.target) as connection:
        of_run = {"run": run}

        def numbers(statement: str) -> list[Any]:
            return list(connection.execute(sa.text(statement), of_run).scalars())

        ranges = numbers("select range_no from migrate_range where run = :run order by range_no")
        done = numbers("select range_no from migrate_applied where run = :run and range_no >= 0 order by range_no")
        assert ranges == done == list(range(len(ranges)))
        assert numbers("select range_no from migrate_range where run = :run and upto_key is null") == [ranges[-1]]
        assert numbers("select count(*) from migrate_pending where run = :run") == [0]


def _rows(connection: sa.Connection, table: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in connection.execute(sa.text(f"select * from {table}"))), key=repr)


def _texts(connection: sa.Connection, table: str, *columns: str) -> list[tuple[str, ...]]:
    found = connection.execute(sa.text(f"select {', '.join(columns)} from {table}"))
    return sorted(tuple(str(value) for value in row) for row in found)


def _named(entries: list[tuple[str, ...]], mapping_of: dict[str, str]) -> list[tuple[str, ...]]:
    return sorted((mapping_of[run], *rest) for run, *rest in entries)


def _counts(scenario: Scenario, place: int) -> dict[str, Any]:
    """The counts of a mapping's newest run, without what differs from run to run."""
    options = RunOptions(target=scenario.target)
    [summary] = status(scenario.mappings[place], options)
    document = summary.to_json()
    kept = ("mapping", "state", "rows", "warnings", "targets", "digests", "passes")
    return json.loads(json.dumps({name: document[name] for name in kept}))  # type: ignore[no-any-return]
