"""What a migration of 200,000 invoices (a tenth of them in every test run) produced, judged by `verify` and by a tool that shares no line with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from migrate.engine.options import RunOptions
from migrate.engine.plan import plan_run
from migrate.stores.urls import parse_url
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.databases import PostgresServer
from tests.rig import by_hand
from tests.rig.legacy_vat import MAPPING, canonical, fill, target
from tests.rig.reladiff import reladiff
from tests.rig.schedule import run_scheduled

ROWS = 200_000


@pytest.mark.campaign
def test_reladiff_agrees_that_a_migration_is_equal_and_sees_the_same_planted_difference(
    postgres_server: PostgresServer,
    new_database: Callable[[str], str],
    tmp_path: Path,
    campaign: Callable[[int], int],
) -> None:
    """The target equals the same mapping written by hand as SQL; a space behind a name and a deleted row are found by both tools."""
    source = new_database("postgresql")
    fill(source, campaign(ROWS))
    with (
        target(postgres_server.fresh_database, canonical) as migrated,
        target(postgres_server.fresh_database, canonical) as expected,
    ):
        by_hand.by_pipe(postgres_server, source, expected)
        (plan,) = plan_run([MAPPING], RunOptions(source=source, target=migrated))
        run_scheduled(plan)

        def both() -> tuple[tuple[object, ...], tuple[tuple[int, int], int]]:
            found = verify_plan(plan, VerifyOptions())
            counts = found.targets["invoice"].counts
            judged = reladiff(tmp_path, (expected, "invoice"), (migrated, "invoice"), "key")
            return (found.verdict, *(counts.get(kind, 0) for kind in ("missing", "extra", "changed"))), (
                judged.only,
                judged.updated,
            )

        assert both() == (("EQUAL", 0, 0, 0), ((0, 0), 0))
        database = parse_url(migrated).database
        postgres_server.execute(
            "UPDATE invoice SET buyer_name = buyer_name || ' ' WHERE key = (SELECT min(key) FROM invoice)", database
        )
        postgres_server.execute("DELETE FROM invoice WHERE key = (SELECT max(key) FROM invoice)", database)
        assert both() == (("DIFFERENT", 1, 0, 1), ((1, 0), 1))
