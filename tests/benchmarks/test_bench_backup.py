"""`migrate backup create`, `check` and `restore` of many rows, each in a process of its own, with the memory that it took at most.

The restore has everything to do: half of the rows are gone, and each of the others was changed. Wall time stands beside that of the run which
wrote the rows, without a limit; `BENCH_ROWS` as in `test_bench_migrate`.
"""

import json
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from migrate.stores.opening import open_target
from tests.benchmarks.conftest import MOST_BYTES, ROWS, Race
from tests.benchmarks.weighing import weighed
from tests.databases import PostgresServer
from tests.rig.legacy_vat import MAPPING, fill, only_key, settle, target

MOST_MIB = MOST_BYTES / 2**20
STEPS = {"create": [], "check": [], "restore": ["--yes", "--json"]}


def damage(url: str) -> None:
    """Delete every other row, and change those that stay."""
    store = open_target(url, None)
    try:
        with store.engine().begin() as connection:
            connection.execute(sa.text("delete from invoice where right(key, 1) in ('0', '2', '4', '6', '8')"))
            connection.execute(sa.text("update invoice set buyer_name = 'somebody else'"))
    finally:
        store.close()


def test_backup_in_bounded_memory(
    benchmark: Any, bench_postgres: PostgresServer, races: list[Race], tmp_path: Path
) -> None:
    """400 MB each, whatever the number of rows; a check that holds, and a restore that brings every row back."""
    contests = {step: Race(f"backup {step}, beside the run", ROWS, most_mib=MOST_MIB) for step in STEPS}
    with (
        bench_postgres.fresh_database() as source,
        target(bench_postgres.fresh_database, only_key) as url,
    ):
        fill(source, ROWS)
        settle(bench_postgres, source, in_key_order=True)
        environment = {"LEGACY_URL": source, "NEW_URL": url}
        started = time.perf_counter()
        weighed(["run", str(MAPPING)], environment)
        run_seconds = time.perf_counter() - started
        printed: dict[str, str] = {}

        def all_steps() -> None:
            for step, more in STEPS.items():
                if step == "restore":
                    damage(url)
                started = time.perf_counter()
                done = weighed(["backup", step, str(MAPPING), "--dir", str(tmp_path), *more], environment)
                contests[step].toolkit.append(time.perf_counter() - started)
                contests[step].yardstick.append(run_seconds)
                contests[step].peak_mib.append(done.peak_mib)
                printed[step] = done.stdout

        benchmark.pedantic(all_steps, rounds=1)
    for contest in contests.values():
        contest.end(benchmark, races)
    restored = json.loads(printed["restore"])["restore"]["targets"]["invoice"]
    assert restored["identical"] == 0
    assert min(restored["inserted"], restored["overwritten"]) > 0.4 * ROWS
    assert {step: contest.peak_mib for step, contest in contests.items() if max(contest.peak_mib) > MOST_MIB} == {}
