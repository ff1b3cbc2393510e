"""Servers with default settings for the benchmarks, and the table of ratios at the end."""

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import pytest

from tests.conftest import NOT_TESTED
from tests.databases import MariaDbServer, PostgresServer, UnavailableError

S = TypeVar("S", PostgresServer, MariaDbServer)

ROWS: Final = int(os.environ.get("BENCH_ROWS", "2000000"))
ROUNDS: Final = 3
MOST_BYTES: Final = 400_000_000

RESULTS: pytest.StashKey[list["Race"]] = pytest.StashKey()


@dataclass
class Race:
    """A yardstick and the toolkit, run in turn: wall seconds of each round, and the toolkit's peak memory in MiB."""

    name: str
    rows: int
    yardstick: list[float] = field(default_factory=list)
    toolkit: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    most_ratio: float | None = None
    most_mib: float | None = None

    @property
    def ratio(self) -> float:
        """The toolkit's median to the yardstick's."""
        return statistics.median(self.toolkit) / statistics.median(self.yardstick)

    @property
    def line(self) -> str:
        """One line of the summary."""
        limit = "" if self.most_ratio is None else f"  (at most {self.most_ratio})"
        memory = "" if self.most_mib is None else f"  (at most {self.most_mib:.0f})"
        return (
            f"{self.name:36}{self.rows:>10,}{statistics.median(self.yardstick):>10.2f} s{statistics.median(self.toolkit):>9.2f} s"
            f"{self.rows / statistics.median(self.toolkit):>10,.0f}/s{self.ratio:>8.2f}{limit}{max(self.peak_mib):>7.0f} MiB{memory}"
        )

    def end(self, benchmark: Any, races: list["Race"]) -> None:
        """Leave out the rounds that only warmed up, and put the result into the benchmark's record and the table at the end."""
        for seconds in (self.yardstick, self.toolkit):
            del seconds[:-ROUNDS]
        benchmark.extra_info.update(ratio=round(self.ratio, 3), peak_mib=round(max(self.peak_mib)))
        races.append(self)
        print(f"\n{self.line}")


class DefaultPostgres(PostgresServer):
    """PostgreSQL with the settings that it comes with; only on a socket of its own."""

    def _command(self) -> list[str]:
        place = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}"]
        return [str(self.programs / "postgres"), "-D", str(self.data), *place]


class DefaultMariaDb(MariaDbServer):
    """MariaDB without the settings that make tests quick."""

    def _command(self) -> list[str]:
        return [word for word in super()._command() if "innodb" not in word]


@pytest.fixture(scope="session")
def bench_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with default settings."""
    yield from _running(DefaultPostgres)


@pytest.fixture(scope="session")
def bench_mariadb() -> Iterator[MariaDbServer]:
    """A MariaDB server with default settings."""
    yield from _running(DefaultMariaDb)


def _running(kind: type[S]) -> Iterator[S]:
    try:
        server = kind()
    except UnavailableError as error:
        pytest.skip(f"{NOT_TESTED}{kind.kind}: {error}")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def races(pytestconfig: pytest.Config) -> list[Race]:
    """Where benchmarks leave their results for the table at the end."""
    return pytestconfig.stash.setdefault(RESULTS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print each race: medians, rate, ratio and memory."""
    races = config.stash.get(RESULTS, [])
    if not races:
        return
    terminalreporter.section("run, verify and rollback beside their yardsticks (medians of wall time)")
    terminalreporter.line(
        f"{'':36}{'rows':>10}{'yardstick':>12}{'toolkit':>11}{'rate':>12}{'ratio':>8}{'peak memory':>14}"
    )
    for race in races:
        terminalreporter.line(race.line)
