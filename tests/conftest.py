"""Fixtures for every test: fresh empty databases on real servers, and the report of what could not be tested.

A database that cannot be had on this machine skips its tests, is named in the summary as *not tested*, and fails
the session where `CI` is set.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.databases import KINDS, MariaDbServer, PostgresServer, Server, UnavailableError, server_of_kind

NOT_TESTED = "not tested: "
MEMORY = Path("/dev/shm")  # noqa: S108 - only a faster place for temporary folders
MEMORY_BYTES = 8 * 2**30
"""Two servers of each kind, and files of tests that write a million rows."""

# Deadlines measure the clock of a shared machine; data on a real database is slow to generate and that is no defect.
# `make test` tries the same examples each time, so that luck does not decide whether a change is good; `make torture` searches for new ones.
settings.register_profile(
    "default",
    derandomize=True,
    phases=[phase for phase in Phase if phase is not Phase.shrink],
    deadline=None,
    max_examples=50,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "torture", settings.get_profile("default"), derandomize=False, phases=list(Phase), max_examples=1000
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--torture`, which runs the fault campaigns at full length."""
    parser.addoption("--torture", action="store_true", help="run the fault campaigns at full length (make torture)")


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples the property tests try, and where the databases are."""
    # What is measured is measured on the disk.
    if not any("benchmarks" in word for word in config.args):
        _keep_databases_in_memory()
    settings.load_profile("torture" if config.getoption("--torture") else "default")


def _keep_databases_in_memory() -> None:
    """Make the temporary folder of all tests one in memory, where the system has one with room: a commit need not wait for the disk then.

    What is committed survives the death of any process there too. A TMPDIR that somebody has set stays.
    """
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give full campaigns the time that they need."""
    if config.getoption("--torture"):
        for item in items:
            if item.get_closest_marker("campaign"):
                item.add_marker(pytest.mark.timeout(0), append=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each database that could not be tested, and how many tests that concerns."""
    reasons = _not_tested(terminalreporter)
    if reasons:
        terminalreporter.section("databases not tested")
        for reason in sorted(set(reasons)):
            terminalreporter.line(f"{reason} ({reasons.count(reason)} tests skipped)")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session in CI that left a database out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and _not_tested(reporter) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _not_tested(reporter: pytest.TerminalReporter) -> list[str]:
    found = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_TESTED in reason:
            found.append(reason[reason.index(NOT_TESTED) :])
    return found


class Servers:
    """The servers of this test process, started when the first test asks for them."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self._unavailable: dict[str, str] = {}

    def get(self, kind: str) -> Server:
        """The running server of a kind; skips the test when this machine cannot run it."""
        if kind in self._unavailable:
            pytest.skip(self._unavailable[kind])
        try:
            if kind not in self._servers:
                self._servers[kind] = server_of_kind(kind)
            self._servers[kind].start()  # a fault test may have left it down
        except UnavailableError as error:
            self._unavailable[kind] = f"{NOT_TESTED}{kind}: {error}"
            pytest.skip(self._unavailable[kind])
        return self._servers[kind]

    def close(self) -> None:
        """End all servers and remove their data."""
        for server in self._servers.values():
            server.close()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The database servers of this test process."""
    running = Servers()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def postgres_server(servers: Servers) -> PostgresServer:
    """The PostgreSQL server, with `restart()`, `kill()`, `start()`, `execute()` for fault tests."""
    server = servers.get("postgresql")
    assert isinstance(server, PostgresServer)
    return server


@pytest.fixture
def mariadb_server(servers: Servers) -> MariaDbServer:
    """The MariaDB server, with `restart()`, `kill()`, `start()`, `execute()` for fault tests."""
    server = servers.get("mariadb")
    assert isinstance(server, MariaDbServer)
    return server


@pytest.fixture
def new_database(servers: Servers, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """A function that makes a fresh empty database of a kind (see `KINDS`) and returns its URL."""
    with contextlib.ExitStack() as stack:
        made: list[str] = []

        def make(kind: str) -> str:
            if kind == "sqlite":
                url = f"sqlite:///{tmp_path / f'database{len(made)}.db'}"
            else:
                url = stack.enter_context(servers.get(kind).fresh_database())
            made.append(url)
            return url

        yield make


@pytest.fixture
def postgres_url(new_database: Callable[[str], str]) -> str:
    """The URL of a fresh empty database on PostgreSQL."""
    return new_database("postgresql")


@pytest.fixture
def mariadb_url(new_database: Callable[[str], str]) -> str:
    """The URL of a fresh empty database on MariaDB."""
    return new_database("mariadb")


@pytest.fixture
def sqlite_url(new_database: Callable[[str], str]) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return new_database("sqlite")


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Runs a test once per kind of database: `postgresql`, `mariadb`, `sqlite`."""
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, new_database: Callable[[str], str]) -> str:
    """The URL of a fresh empty database; runs a test on all three kinds."""
    return new_database(database_kind)


@pytest.fixture
def second_database_url(database_kind: str, new_database: Callable[[str], str]) -> str:
    """A fresh database of another kind than `database_url`, for a source; the three pairs cover each kind on each side."""
    return new_database(KINDS[(KINDS.index(database_kind) + 1) % len(KINDS)])


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """Rounds to do of a campaign of so many: all with `--torture`, else a tenth (at least one)."""
    full = bool(request.config.getoption("--torture"))
    return lambda rounds: rounds if full else max(1, rounds // 10)
