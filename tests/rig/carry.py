"""A run from beginning to end under the test's schedule, with everything checked that holds of every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrate.engine.jobs import Job, RangeJob
from migrate.engine.plan import Plan
from migrate.values import KeyRange
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import Finished, Order, in_order, plan_of, run_scheduled
from tests.rig.undo import Content, Key, Row, assert_findable, taken_back


@dataclass(frozen=True)
class Carried:
    """A finished run and the target's rows after it."""

    finished: Finished
    rows: dict[str, dict[Key, Row]]

    @property
    def outcome(self) -> dict[str, Any]:
        """Counts and digests."""
        return self.finished.outcome

    @property
    def rejected(self) -> set[str]:
        """The units that were rejected, as the ledger names them."""
        return {each.unit for each in self.finished.rejects}

    def reason(self, unit: int) -> str:
        """The only reason why the unit with this number as its key was rejected, with its rule."""
        (found,) = (each for each in self.finished.rejects if each.unit == f'[["i","{unit}"]]')
        return f"{found.rule}: {found.reason}"


def assert_verified(plan: Plan) -> None:
    """An independent look at both sides finds what the run says it did: no difference, and the same rejects.

    Only what nothing but the database itself can refuse (CHECK) is missing without an explanation, and the ledger's reason stands beside it.
    """
    found = verify_plan(plan, VerifyOptions(allow_empty=True))
    notes = [each.note for target in found.targets.values() for each in target.differences]
    by_constraint = [note is not None and "(CONSTRAINT: " in note.text() for note in notes]
    # Where the first claimant was refused by the database alone, whoever stands in its place seems to be wrong there.
    behind = [note is not None and note.name in ("loser_stands", "unit_refused") for note in notes]
    if any(by_constraint) and all(one or other for one, other in zip(by_constraint, behind, strict=True)):
        return
    assert found.verdict in {"EQUAL", "EQUAL_WITH_DECLARED_RULES"}, found.to_json()


def carry(
    place: Path,
    mapping: str,
    databases: tuple[Database, Database],
    *,
    order: Order = in_order,
    batch_rows: int = 1000,
    job: Callable[[KeyRange], Job] = RangeJob,
) -> Carried:
    """Plan and run `mapping` from the first database into the second; the counts add up, every undo record is found, and all of them together give back what was there before."""
    source, target = databases
    plan = plan_of(place, mapping, source.url, target.url, batch_rows)
    before = Content.read(plan)
    finished = run_scheduled(plan, order, workers=2, job=job)
    after = Content.read(plan)
    counts = finished.summary.counts
    assert counts.read == counts.mapped + counts.filtered + counts.rejected
    assert counts.pending == 0
    for name, each in counts.targets.items():
        if name not in finished.summary.grouped:
            assert each.written + each.updated + each.identical + each.kept == counts.mapped
    assert finished.log.findings == ()
    assert finished.log.unsealed == 0
    assert_findable(plan, finished.summary.run)
    assert taken_back(plan, finished.summary.run).rows == before.rows
    if not any(before.rows.values()):
        # Rows that were there before and are not of this mapping would be differences, and rightly.
        assert_verified(plan)
    return Carried(finished, after.rows)
