"""`migrate verify` beside the hand-written pipe and beside reladiff, in turn, warm, on a server with default settings.

A verification reads both sides, maps the source again and compares every row by SHA-256; the pipe only moves the rows, and reladiff
compares two tables of one shape by MD5 inside of the server. Wall time, with the start of the process in it; `BENCH_ROWS` as in
`test_bench_migrate`.
"""

import json
import time
from pathlib import Path
from typing import Any

from migrate.stores.urls import parse_url
from tests.benchmarks.conftest import MOST_BYTES, ROUNDS, ROWS, Race
from tests.benchmarks.weighing import weighed
from tests.databases import PostgresServer
from tests.rig import by_hand
from tests.rig.legacy_vat import MAPPING, fill, only_key, settle, target
from tests.rig.reladiff import reladiff

MOST_OF_PIPE = 1.2
MOST_OF_RELADIFF = 1.0


def timed_verification(contest: Race, words: list[str], environment: dict[str, str]) -> None:
    """One `migrate verify` that must say EQUAL of all its rows."""
    started = time.perf_counter()
    done = weighed(["verify", *words, "--json"], environment)
    contest.toolkit.append(time.perf_counter() - started)
    contest.peak_mib.append(done.peak_mib)
    found = json.loads(done.stdout)
    assert found["verdict"] == "EQUAL"
    assert all(each["target_rows"] > 0.9 * ROWS for each in found["targets"].values())


def test_verify_beside_the_pipe(benchmark: Any, bench_postgres: PostgresServer, races: list[Race]) -> None:
    """At most 1.2 times the pipe that moved the rows, and 400 MB."""
    contest = Race("verify, beside the pipe", ROWS, most_ratio=MOST_OF_PIPE, most_mib=MOST_BYTES / 2**20)
    with bench_postgres.fresh_database() as source, target(bench_postgres.fresh_database, only_key) as migrated:
        fill(source, ROWS)
        settle(bench_postgres, source, in_key_order=True)
        environment = {"LEGACY_URL": source, "NEW_URL": migrated}
        weighed(["run", str(MAPPING)], environment)
        settle(bench_postgres, migrated)

        def pipe() -> None:
            with target(bench_postgres.fresh_database, only_key) as url:
                started = time.perf_counter()
                by_hand.by_pipe(bench_postgres, source, url)
                contest.yardstick.append(time.perf_counter() - started)

        benchmark.pedantic(
            lambda: timed_verification(contest, [str(MAPPING)], environment), setup=pipe, rounds=ROUNDS, warmup_rounds=1
        )
    contest.end(benchmark, races)
    assert contest.ratio <= MOST_OF_PIPE
    assert max(contest.peak_mib) <= MOST_BYTES / 2**20


def test_verify_beside_reladiff(
    benchmark: Any, bench_postgres: PostgresServer, races: list[Race], tmp_path: Path
) -> None:
    """Two tables of one shape with an integer key: no slower than reladiff over all columns, and 400 MB."""
    contest = Race(
        "verify of two tables, beside reladiff", ROWS, most_ratio=MOST_OF_RELADIFF, most_mib=MOST_BYTES / 2**20
    )
    with target(bench_postgres.fresh_database, only_key) as url, bench_postgres.fresh_database() as source:
        fill(source, ROWS)
        by_hand.by_pipe(bench_postgres, source, url)
        columns = ", ".join(by_hand.COLUMNS)
        for table in ("first", "second"):
            for statement in (
                f"create table {table} as select row_number() over (order by key) as id, {columns} from invoice",
                f"alter table {table} add primary key (id)",
            ):
                bench_postgres.execute(statement, parse_url(url).database)
        settle(bench_postgres, url)

        def other_tool() -> None:
            started = time.perf_counter()
            found = reladiff(tmp_path, (url, "first"), (url, "second"), "id")
            contest.yardstick.append(time.perf_counter() - started)
            assert (found.only, found.updated) == ((0, 0), 0)

        words = ["--source", url, "--table", "first", "--target", url, "--into", "second"]
        benchmark.pedantic(
            lambda: timed_verification(contest, words, {}), setup=other_tool, rounds=ROUNDS, warmup_rounds=1
        )
    contest.end(benchmark, races)
    assert contest.ratio <= MOST_OF_RELADIFF
    assert max(contest.peak_mib) <= MOST_BYTES / 2**20
