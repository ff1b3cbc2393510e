"""Rows that a target has lost, all or some of them, are missing: the rules by which units lose to each other excuse none that had won."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.carry import carry
from tests.rig.claims import Case, Mode, cases
from tests.rig.places import folder, share_of_examples, sqlite_pair

pytestmark = pytest.mark.campaign


def units(*rows: dict[str, Any], mode: Mode = "fail") -> Case:
    """These units, each a row of `head` that may point at another one."""
    nothing = {"u": None, "v": None, "c": "a", "up": None, "l": 1}
    return Case(mode, unique=False, linked=True, child=False, heads=[], lines=[], batch_rows=1, units=[{**nothing, "id": number, **row} for number, row in enumerate(rows)])  # fmt: skip


@given(cases(), st.sampled_from([("line",), ("line", "head")]))
@settings(max_examples=share_of_examples(0.5))
@example(units({"k": 1, "up": 9}, {"k": 1}, {"k": 2, "up": 1}), ("line", "head"))
@example(units({"k": 1, "up": 9}, {"k": 3, "up": 2}, {"k": 1, "c": "b", "up": 1}, mode="update"), ("line", "head"))
@example(units({"k": 1, "up": 9}, {"k": 1}, {"k": 2, "up": 1}, {"k": 3, "up": 2}), ("line", "head"))
@example(units({"k": 1, "v": 2}, {"k": 1, "u": 1, "up": 9}, mode="newer"), ("line", "head"))
def test_rows_that_are_lost_are_missing(case: Case, emptied: tuple[str, ...]) -> None:
    """Of tables that are emptied, children before parents, every row that was there is missing, and of the others none; on the word of no ledger."""
    case = replace(case, heads=[], lines=[])
    with folder() as place:
        source, target = sqlite_pair(place)
        case.prepare(source, target)
        carried = carry(place, case.mapping, (source, target))
        target.run("UPDATE head SET up = NULL" if "head" in emptied else "SELECT 1")
        target.run(*(f"DELETE FROM {name}" for name in emptied))
        found = verify_plan(carried.finished.plan, VerifyOptions())
    lost = {name: len(carried.rows[name]) if name in emptied else 0 for name in found.targets}
    assert {name: result.counts["missing"] for name, result in found.targets.items()} == lost, found.to_json()
    assert all(result.counts[kind] == 0 for result in found.targets.values() for kind in ("extra", "multiplicity"))
