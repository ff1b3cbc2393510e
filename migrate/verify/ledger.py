"""What the ledger says about a mapping, to be compared with what the replay derives; it explains nothing by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from migrate.engine.plan import Plan
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import Run, State, current_run
from migrate.ledger.standing import open_rejects
from migrate.stores.opening import open_target
from migrate.verify.notes import Note


@dataclass(frozen=True, slots=True)
class Log:
    """The newest run of a mapping, or None, and its state. `rejects`: rejected units with the first reason of each."""

    run: str | None = None
    state: State | None = None
    fingerprint: str | None = None
    rejects: dict[str, str] = field(default_factory=dict)

    @property
    def trouble(self) -> Note | None:
        """Why the target is not final: rows may be missing since the run never came to them, or since they were taken back."""
        return None if self.state in (None, "complete") else Note.of(f"run_{self.state}", run=self.run)


def log_of(plan: Plan) -> Log:
    """Read the ledger of the plan's target; an empty log where there is none, or the mapping was never run."""
    store = open_target(plan.target_url, plan.ledger_schema)
    try:
        ledger = Ledger(store, plan.ledger_schema)
        run = current_run(ledger, plan.name) if ledger.exists() else None
        if run is None:
            return Log()
        return Log(run.run, run.state, run.fingerprint, _rejects(ledger, run))
    finally:
        store.close()


def _rejects(ledger: Ledger, run: Run) -> dict[str, str]:
    """Units that are rejected still, with the first reason of each."""
    table = ledger.tables.reject
    query = sa.select(table.c.unit_key, table.c.rule, table.c.reason).where(open_rejects(ledger, run))
    found: dict[str, str] = {}
    with ledger.reading() as connection:
        for unit, rule, reason in connection.execute(query):
            found.setdefault(unit, reason if reason.startswith(rule) else f"{rule}: {reason}")
    return found
