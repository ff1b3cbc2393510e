"""`migrate rollback` beside the run that it takes back, in turn, warm, on a server with default settings.

Every row was inserted by the run and goes again: its undo record read and held against its digest, the row locked, read, compared to every
column, and deleted. Wall time, with the start of the process in it; `BENCH_ROWS` as in `test_bench_migrate`.
"""

import contextlib
import time
from typing import Any

import sqlalchemy as sa

from migrate.stores.opening import open_target
from tests.benchmarks.conftest import MOST_BYTES, ROUNDS, ROWS, Race
from tests.benchmarks.weighing import weighed
from tests.databases import PostgresServer
from tests.rig.legacy_vat import MAPPING, fill, only_key, settle, target

MOST_OF_RUN = 1.0


def rows_in(url: str) -> int:
    """How many invoices there are."""
    store = open_target(url, None)
    try:
        with store.engine().connect() as connection:
            return int(connection.execute(sa.text("select count(*) from invoice")).scalar_one())
    finally:
        store.close()


def test_rollback_beside_the_run(benchmark: Any, bench_postgres: PostgresServer, races: list[Race]) -> None:
    """No slower than the run, and 400 MB."""
    contest = Race("rollback, beside the run", ROWS, most_ratio=MOST_OF_RUN, most_mib=MOST_BYTES / 2**20)
    with bench_postgres.fresh_database() as source, contextlib.ExitStack() as open_now:
        fill(source, ROWS)
        settle(bench_postgres, source, in_key_order=True)
        urls: list[str] = []

        def forth() -> None:
            open_now.close()
            urls.append(open_now.enter_context(target(bench_postgres.fresh_database, only_key)))
            started = time.perf_counter()
            weighed(["run", str(MAPPING)], {"LEGACY_URL": source, "NEW_URL": urls[-1]})
            contest.yardstick.append(time.perf_counter() - started)
            assert rows_in(urls[-1]) > 0.9 * ROWS

        def back() -> None:
            started = time.perf_counter()
            done = weighed(["rollback", str(MAPPING), "--yes"], {"LEGACY_URL": source, "NEW_URL": urls[-1]})
            contest.toolkit.append(time.perf_counter() - started)
            contest.peak_mib.append(done.peak_mib)
            assert rows_in(urls[-1]) == 0

        benchmark.pedantic(back, setup=forth, rounds=ROUNDS, warmup_rounds=1)
    contest.end(benchmark, races)
    assert contest.ratio <= MOST_OF_RUN
    assert max(contest.peak_mib) <= MOST_BYTES / 2**20
