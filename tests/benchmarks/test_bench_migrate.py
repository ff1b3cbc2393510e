"""`migrate run` beside what an expert would write by hand, in turn, warm, on servers with default settings.

Everything is on: mapping, checks, digests, undo, ledger. Wall time, with the start of the process in it. Rows by environment variable:
`BENCH_ROWS` (default 2,000,000) for PostgreSQL → PostgreSQL, whose ratio and memory have limits; a quarter of it for the other pairs,
whose figures are only printed. The limits hold for a source that lies in the order of its key and a target with only its primary key,
where the pipe is fastest; indexes and constraints of the target cost both sides the same, and bring the ratio nearer to 1.
Run it on a quiet machine: `make bench`.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from migrate.stores.opening import open_target
from tests.benchmarks.conftest import MOST_BYTES, ROUNDS, ROWS, Race
from tests.benchmarks.weighing import weighed
from tests.databases import MariaDbServer, PostgresServer
from tests.rig import by_hand
from tests.rig.legacy_vat import MAPPING, NewDatabase, canonical, fill, only_key, settle, target

OTHER_ROWS = max(ROWS // 4, 1)
MOST_RATIO = 1.5


def counted(url: str) -> tuple[int, str, int]:
    """Rows, sum of the amounts, and sum of the versions (of a remainder, which no SQLite overflows): equal for two targets that got the same rows."""
    store = open_target(url, None)
    try:
        with store.engine().connect() as connection:
            row = connection.execute(
                sa.text(
                    "select count(*), cast(sum(cast(gross as decimal(20,2))) as char(24)), sum(version % 1000003) from invoice"
                )
            ).one()
    finally:
        store.close()
    return int(row[0]), f"{float(row[1]):.2f}", int(row[2])


def migrate(source: str, url: str) -> float:
    """One `migrate run` in a process of its own; its peak memory in MiB."""
    return weighed(["run", str(MAPPING)], {"LEGACY_URL": source, "NEW_URL": url}).peak_mib


def race(
    benchmark: Any,
    contest: Race,
    source: str,
    make: NewDatabase,
    pipe: Callable[[str], None],
    races: list[Race],
) -> None:
    """Round after round: the yardstick into a fresh target, then the toolkit into another; the first round of each only warms up."""
    with contextlib.ExitStack() as open_now:
        expected: list[tuple[int, str, int]] = []
        urls: list[str] = []

        def yardstick() -> None:
            open_now.close()
            with make() as url:
                started = time.perf_counter()
                pipe(url)
                contest.yardstick.append(time.perf_counter() - started)
                expected.append(counted(url))
            urls.append(open_now.enter_context(make()))

        def toolkit() -> None:
            started = time.perf_counter()
            contest.peak_mib.append(migrate(source, urls[-1]))
            contest.toolkit.append(time.perf_counter() - started)
            assert counted(urls[-1]) == expected[-1]

        benchmark.pedantic(toolkit, setup=yardstick, rounds=ROUNDS, warmup_rounds=1)
    contest.end(benchmark, races)


def on_file(folder: Path) -> NewDatabase:
    """Makes SQLite files."""

    @contextlib.contextmanager
    def make() -> Iterator[str]:
        path = folder / "target.db"
        try:
            yield f"sqlite:///{path}"
        finally:
            for each in folder.glob("target.db*"):
                each.unlink()

    return make


@pytest.mark.parametrize("schema", [only_key, canonical])
def test_postgresql_to_postgresql(
    benchmark: Any, bench_postgres: PostgresServer, races: list[Race], schema: Callable[[sa.Engine], None]
) -> None:
    """At most 1.5 times the hand-written pipe, and 400 MB, with everything on.

    Beside it stands what reading, mapping, digests and COPY take by themselves: the rest is the price of safety.
    """
    limit = MOST_RATIO if schema is only_key else None
    contest = Race(f"PostgreSQL → PostgreSQL, {schema.__name__}", ROWS, most_ratio=limit, most_mib=MOST_BYTES / 2**20)
    with bench_postgres.fresh_database() as source:
        fill(source, ROWS)
        settle(bench_postgres, source, in_key_order=schema is only_key)
        race(
            benchmark,
            contest,
            source,
            lambda: target(bench_postgres.fresh_database, schema),
            lambda url: by_hand.by_pipe(bench_postgres, source, url),
            races,
        )
        assert max(contest.peak_mib) <= MOST_BYTES / 2**20
        if limit is not None:
            least = without_safety(bench_postgres, source) / statistics.median(contest.yardstick)
            print(
                f"read, map, digest, COPY alone: {least:.2f} times the pipe; with everything on {contest.ratio / least:.2f} times that"
            )
            assert contest.ratio <= limit


def without_safety(server: PostgresServer, source: str) -> float:
    """Median seconds of the four steps alone, in a process of their own."""
    seconds = []
    for _ in range(ROUNDS):
        with target(server.fresh_database, only_key) as url:
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.bare", source, url],
                check=True,
                env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
            )
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def test_sqlite_to_sqlite(benchmark: Any, tmp_path: Path, races: list[Race]) -> None:
    """Beside one INSERT … SELECT over an attached file."""
    contest = Race("SQLite → SQLite", OTHER_ROWS)
    old = tmp_path / "old.db"
    fill(f"sqlite:///{old}", OTHER_ROWS)
    race(
        benchmark,
        contest,
        f"sqlite:///{old}",
        lambda: target(on_file(tmp_path), canonical),
        lambda url: by_hand.by_attach(old, Path(url.removeprefix("sqlite:///"))),
        races,
    )


def test_sqlite_to_postgresql(
    benchmark: Any, tmp_path: Path, bench_postgres: PostgresServer, races: list[Race]
) -> None:
    """Beside lines that SQLite writes and psycopg copies."""
    contest = Race("SQLite → PostgreSQL", OTHER_ROWS)
    old = tmp_path / "old.db"
    fill(f"sqlite:///{old}", OTHER_ROWS)
    race(
        benchmark,
        contest,
        f"sqlite:///{old}",
        lambda: target(bench_postgres.fresh_database, canonical),
        lambda url: by_hand.from_sqlite(old, url),
        races,
    )


def test_mariadb_to_postgresql(
    benchmark: Any, bench_mariadb: MariaDbServer, bench_postgres: PostgresServer, races: list[Race]
) -> None:
    """Beside the client's output piped into COPY."""
    contest = Race("MariaDB → PostgreSQL", OTHER_ROWS)
    with bench_mariadb.fresh_database() as source:
        fill(source, OTHER_ROWS)
        race(
            benchmark,
            contest,
            source,
            lambda: target(bench_postgres.fresh_database, canonical),
            lambda url: by_hand.from_mariadb(bench_postgres, source, url),
            races,
        )


def test_postgresql_to_mariadb(
    benchmark: Any, bench_postgres: PostgresServer, bench_mariadb: MariaDbServer, races: list[Race]
) -> None:
    """Beside COPY piped into LOAD DATA LOCAL."""
    contest = Race("PostgreSQL → MariaDB", OTHER_ROWS)
    with bench_postgres.fresh_database() as source:
        fill(source, OTHER_ROWS)
        race(
            benchmark,
            contest,
            source,
            lambda: target(bench_mariadb.fresh_database, canonical),
            lambda url: by_hand.to_mariadb(bench_postgres, source, url),
            races,
        )
