"""Databases that restart, connections that are cut, locks that are not given up, deadlocks and full disks in the middle of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import Servers
from tests.databases import Server
from tests.faults.injection import Strike
from tests.faults.outcome import Outcome, assert_sound, outcome, undisturbed
from tests.faults.runner import DEADLINE_SECONDS, Ending, Job, finished, started
from tests.faults.scenario import Scenario, connected, prepare, reset

SERVERS = ("postgresql", "mariadb")
CUT = (
    Strike("begin", "after", 2, "hold", "batches"),
    Strike("insert header", "before", 2, "hold", "batches"),
    Strike("insert migrate_applied", "after", 2, "hold", "batches"),
    Strike("commit", "before", 2, "hold", "batches"),
    Strike("ledger insert migrate_range", "before", 3, "hold", "batches"),
    Strike("commit", "before", 2, "hold", "settle"),
    Strike("ledger update migrate_run", "before", 1, "hold", "finish"),
)
"""Where the connection is cut, or the server restarted, from outside."""


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """A server that can be restarted."""
    return servers.get(request.param)


@pytest.fixture
def scenario(server: Server, new_database: Callable[[str], str], tmp_path: Path) -> Scenario:
    """Source and target on the same server, so that both are lost with it."""
    return prepare(new_database(server.kind), new_database(server.kind), tmp_path, ("docs",))


def _assert_ends_well(scenario: Scenario, ending: Ending, expected: Outcome, story: object) -> None:
    """It went on by itself, or stopped with exit 3 and goes on when it is run again."""
    assert ending.code in (0, 3), f"{story}: {ending.error}"
    if ending.code == 3:
        assert_sound(scenario, complete=False)
        again = finished(Job(scenario))
        assert again.code == 0, f"{story}: {again.error}"
    assert outcome(scenario) == expected, story
    assert_sound(scenario)


def _cut_all(server: Server, scenario: Scenario) -> None:
    """End every connection to the target's database but our own."""
    database = sa.make_url(scenario.target).database
    if server.kind == "postgresql":
        server.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{database}'")
        return
    for (number,) in server.execute(f"select id from information_schema.processlist where db = '{database}'"):
        server.execute(f"kill connection {number}")


@pytest.mark.campaign
def test_a_run_survives_that_its_connections_are_cut(
    server: Server, scenario: Scenario, campaign: Callable[[int], int]
) -> None:
    """With all connections ended by the administrator the run goes on by itself, or stops with exit 3 and goes on when told."""
    expected = undisturbed(scenario)
    for strike in CUT if campaign(10) == 10 else CUT[3:]:
        reset(scenario.target)
        with started(Job(scenario, workers=1, strikes=(strike,))) as running:
            running.until_held()
            _cut_all(server, scenario)
            running.let_go()
            ending = running.ending()
        _assert_ends_well(scenario, ending, expected, strike)


@pytest.mark.campaign
def test_a_run_survives_a_restart_of_the_server(
    server: Server, scenario: Scenario, campaign: Callable[[int], int]
) -> None:
    """A server that crashes and comes back in the middle of a batch costs no row."""
    expected = undisturbed(scenario)
    for strike in CUT if campaign(10) == 10 else CUT[1:4:2]:
        reset(scenario.target)
        with started(Job(scenario, strikes=(strike,))) as running:
            running.until_held()
            server.restart()
            running.let_go()
            ending = running.ending()
        _assert_ends_well(scenario, ending, expected, strike)


def test_a_batch_waits_for_a_server_that_is_down(server: Server, scenario: Scenario) -> None:
    """While the server is away the batch is tried again and the reason of the wait is told; no row is lost by it."""
    expected = undisturbed(scenario)
    strikes = (Strike("commit", "before", 3, "hold", "batches"), Strike("event Waiting", "after", 2, "hold"))
    with started(Job(scenario, workers=1, strikes=strikes)) as running:
        running.until_held()
        server.kill()
        running.let_go()
        running.until_held()
        server.start()
        running.let_go()
        ending = running.ending()
    assert any("again, attempt 2" in event for event in ending.events)
    _assert_ends_well(scenario, ending, expected, "server down")


@pytest.mark.parametrize("phase", ["batches", "settle"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_whose_answer_is_lost_is_applied_exactly_once(
    database_url: str, second_database_url: str, tmp_path: Path, phase: str, when: str
) -> None:
    """Whether the lost COMMIT took effect or not: the batch is there once, and the run completes by itself."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    lost = tuple(Strike("commit", "after" if when == "after" else "before", hit, "lose", phase) for hit in (1, 2, 4))
    ending = finished(Job(scenario, strikes=lost))
    assert ending.code == 0, ending.error
    assert outcome(scenario) == expected
    assert_sound(scenario)


def test_a_lock_held_past_the_time_out_is_waited_for(
    database_kind: str, database_url: str, second_database_url: str, tmp_path: Path
) -> None:
    """A lock wait that times out rolls back the whole batch; it is tried again, and done once the lock is given up."""
    scenario = prepare(second_database_url, database_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    meeting = Strike("begin", "before", 1, "hold", "batches")
    timed_out = Strike("event Waiting", "after", 1, "hold")
    with started(Job(scenario, workers=1, strikes=(meeting, timed_out), lock_wait=0.3)) as running:
        running.until_held()
        with _locked(database_kind, scenario):
            running.let_go()
            running.until_held()
        running.let_go()
        ending = running.ending()
    assert ending.code == 0, ending.error
    assert any("again, attempt 2" in event for event in ending.events)
    assert outcome(scenario) == expected
    assert_sound(scenario)


@contextmanager
def _locked(kind: str, scenario: Scenario) -> Iterator[None]:
    """Another session keeps a row (on SQLite: the file) locked."""
    with connected(scenario.target) as connection:
        if kind == "sqlite":
            connection.exec_driver_sql("begin immediate")
        else:
            connection.exec_driver_sql("begin")
            connection.exec_driver_sql("select * from header where no = 'D0006' for update")
        try:
            yield
        finally:
            connection.exec_driver_sql("rollback")


def test_a_deadlock_costs_an_attempt_and_nothing_else(server: Server, scenario: Scenario) -> None:
    """The batch that the database chose as the victim of a deadlock is done again, whole."""
    expected = undisturbed(scenario)
    meeting = Strike("insert migrate_batch", "after", 1, "hold", "batches")
    with connected(scenario.target) as other, started(Job(scenario, workers=1, strikes=(meeting,))) as running:
        running.until_held()
        other.exec_driver_sql("create table heavy (n integer)")
        if server.kind == "postgresql":
            # Who has waited so long looks for a deadlock and is its victim: not this session.
            other.exec_driver_sql("set deadlock_timeout = '100s'")
        other.exec_driver_sql("begin")
        # MariaDB rolls back whoever has changed the least.
        other.exec_driver_sql("insert into heavy values " + ", ".join(["(1)"] * 2000))
        other.exec_driver_sql("select * from header where no = 'D0006' for update")
        running.let_go()
        _until_waiting(server)
        # The batch share-locks this row until it ends, and waits for ours.
        other.exec_driver_sql("update migrate_run set reason = 'locked'")
        other.exec_driver_sql("rollback")
        other.exec_driver_sql("drop table heavy")
        ending = running.ending()
    assert ending.code == 0, ending.error
    assert any("again, attempt 2" in event and "eadlock" in event for event in ending.events)
    assert outcome(scenario) == expected
    assert_sound(scenario)


def _until_waiting(server: Server) -> None:
    """Return when some transaction waits for a lock."""
    if server.kind == "postgresql":
        query = "select 1 from pg_locks where not granted"
    else:
        # Not innodb_trx: it stays as it is for whoever asks again within a tenth of a second.
        query = (
            "select 1 from information_schema.global_status "
            "where variable_name = 'innodb_row_lock_current_waits' and variable_value > 0"
        )
    deadline = threading.Event()
    timer = threading.Timer(DEADLINE_SECONDS, deadline.set)
    timer.start()
    try:
        while not server.execute(query):
            assert not deadline.is_set(), "nobody waits for a lock"
    finally:
        timer.cancel()


def test_a_full_disk_stops_the_run_with_exit_3_and_costs_no_row(sqlite_url: str, tmp_path: Path) -> None:
    """Where the target's file cannot grow any more the run stops and says so; with room again it goes on."""
    scenario = prepare(f"sqlite:///{tmp_path / 'source.db'}", sqlite_url, tmp_path, ("docs",))
    expected = undisturbed(scenario)
    full = finished(Job(scenario, file_bytes=300_000))
    assert full.code == 3, full.error
    assert_sound(scenario, complete=False)
    assert finished(Job(scenario)).code == 0
    assert outcome(scenario) == expected
    assert_sound(scenario)
