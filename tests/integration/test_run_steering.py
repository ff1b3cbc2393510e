"""Runs that are paused, throttled, interrupted, and taken up again; and what may not change in between."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from migrate.engine.options import RunOptions
from migrate.engine.steer import ledger_show, pause, resume, throttle
from migrate.errors import StateError
from migrate.ledger import steering
from migrate.ledger.connection import Ledger
from migrate.ledger.runs import current_run
from migrate.stores.opening import open_target
from tests.faults.injection import Strike
from tests.faults.outcome import assert_sound, everything, outcome, undisturbed
from tests.faults.runner import Job, finished, started
from tests.faults.scenario import Scenario, connected, prepare

BEFORE_THE_THIRD_BATCH = Strike("begin", "before", 3, "hold", "batches")
IN_THE_THIRD_BATCH = Strike("insert migrate_batch", "after", 3, "hold", "batches")


@pytest.fixture
def scenario(database_url: str, second_database_url: str, tmp_path: Path) -> Scenario:
    """One mapping, on each database."""
    return prepare(second_database_url, database_url, tmp_path, ("docs",))


@pytest.fixture
def small(sqlite_url: str, tmp_path: Path) -> Scenario:
    """The same on SQLite alone, for what does not depend on the database."""
    return prepare(f"sqlite:///{tmp_path / 'source.db'}", sqlite_url, tmp_path, ("docs",))


def _options(scenario: Scenario) -> RunOptions:
    return RunOptions(target=scenario.target)


def _edit(scenario: Scenario, old: str, new: str) -> None:
    [path] = scenario.mappings
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _batches(scenario: Scenario) -> list[int]:
    return [entry.range_no for entry in ledger_show(scenario.mappings[0], _options(scenario)).entries]


def test_a_pause_from_outside_stops_at_the_next_batch_border(scenario: Scenario) -> None:
    """The process ends with exit 5 and the reason; `run` refuses with the same until `resume`, and then completes."""
    expected = undisturbed(scenario)
    [path] = scenario.mappings
    with started(Job(scenario, workers=1, strikes=(BEFORE_THE_THIRD_BATCH,))) as running:
        running.until_held()
        pause(path, "年底关账", _options(scenario))
        running.let_go()
        paused = running.ending()
    assert (paused.code, "年底关账" in paused.error) == (5, True), paused
    # The third batch saw the pause as it began, and was the last one.
    assert _batches(scenario) == [0, 1, 2]
    before = everything(scenario)
    refused = finished(Job(scenario))
    assert (refused.code, "年底关账" in refused.error) == (5, True), refused
    assert everything(scenario) == before
    _, reason = resume(path, _options(scenario))
    assert reason == "年底关账"
    assert finished(Job(scenario)).code == 0
    assert outcome(scenario) == expected
    assert_sound(scenario)


def test_a_run_that_begins_while_its_pause_is_cleared_has_the_last_word(scenario: Scenario) -> None:
    """`resume` is still at work when somebody runs the mapping to its end: the run stays complete."""
    with started(Job(scenario, workers=1, strikes=(BEFORE_THE_THIRD_BATCH,))) as running:
        running.until_held()
        pause(scenario.mappings[0], "lunch", _options(scenario))
        running.let_go()
        assert running.ending().code == 5
    store = open_target(scenario.target)

    def run_meanwhile(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INSERT INTO migrate_event" in statement:
            assert finished(Job(scenario)).code == 0

    try:
        ledger = Ledger(store)
        sa.event.listen(store.engine(), "before_cursor_execute", run_meanwhile)
        assert steering.resume(ledger, "docs") == "lunch"
        run = current_run(ledger, "docs")
        assert run is not None
        assert run.state == "complete"
    finally:
        store.close()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ("{rejects: 2}", "3 rejects since the last resume are over the limit of 2"),
        ('{rejects: "1%", first_batches: 7}', "over the limit of 1.00%"),
        ("{warnings: 0}", "1 warnings since the last resume are over the limit of 0"),
    ],
)
def test_a_limit_pauses_the_run_with_its_reason(small: Scenario, limits: str, reason: str) -> None:
    """Over a limit the run pauses by itself; each `resume` lets it go on, and in the end nothing is missing."""
    scenario, expected = small, undisturbed(small)
    _edit(scenario, "mapping: docs\n", f"mapping: docs\nlimits: {limits}\n")
    paused = finished(Job(scenario, workers=1))
    assert (paused.code, reason in paused.error) == (5, True), paused.error
    assert_sound(scenario, complete=False)
    times = 0
    while paused.code == 5:
        resume(scenario.mappings[0], _options(scenario))
        paused = finished(Job(scenario, workers=1))
        times += 1
    assert (paused.code, times < 12) == (0, True), paused.error
    assert outcome(scenario) == expected
    assert_sound(scenario)


def test_a_limit_pauses_in_the_last_phase_too(small: Scenario) -> None:
    """Rejects that only the last phase decides, since other units have their keys, go over the limit that those of the batches did not."""
    scenario = small
    _edit(scenario, "mapping: docs\n", "mapping: docs\nlimits: {rejects: 4}\n")
    paused = finished(Job(scenario, workers=1))
    assert (paused.code, "over the limit" in paused.error) == (5, True), paused
    assert min(_batches(scenario)) < 0
    assert_sound(scenario, complete=False)


def test_a_pause_from_outside_stops_the_last_phase_too(small: Scenario) -> None:
    """The transaction in hand is finished, no other is begun; after `resume` the run ends as an undisturbed one."""
    scenario, expected = small, undisturbed(small)
    [path] = scenario.mappings
    with started(Job(scenario, workers=1, strikes=(Strike("begin", "before", 1, "hold", "settle"),))) as running:
        running.until_held()
        pause(path, "年底关账", _options(scenario))
        running.let_go()
        paused = running.ending()
    assert (paused.code, "年底关账" in paused.error) == (5, True), paused
    assert min(_batches(scenario)) == -1
    resume(path, _options(scenario))
    assert finished(Job(scenario)).code == 0
    assert outcome(scenario) == expected
    assert_sound(scenario)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_lets_the_batch_in_hand_finish(scenario: Scenario, number: signal.Signals) -> None:
    """One SIGINT or SIGTERM: the batch in hand is committed, the process exits 130, and the same command goes on."""
    expected = undisturbed(scenario)
    with started(Job(scenario, workers=1, strikes=(IN_THE_THIRD_BATCH,))) as running:
        running.until_held()
        running.send(number)
        running.until_stopping()
        running.let_go()
        stopped = running.ending()
    assert stopped.code == 130, stopped
    assert _batches(scenario) == [0, 1, 2]
    assert finished(Job(scenario)).code == 0
    assert outcome(scenario) == expected
    assert_sound(scenario)


def test_a_second_signal_stops_at_once(small: Scenario) -> None:
    """Twice: the process ends in the middle of its batch with exit 130, and nothing of the batch is there."""
    scenario = small
    expected = undisturbed(scenario)
    with started(Job(scenario, workers=1, strikes=(IN_THE_THIRD_BATCH,))) as running:
        running.until_held()
        running.send(signal.SIGTERM)
        running.send(signal.SIGINT)
        stopped = running.ending()
    assert stopped.code == 130
    assert _batches(scenario) == [0, 1]
    assert finished(Job(scenario)).code == 0
    assert outcome(scenario) == expected
    assert_sound(scenario)


def test_a_throttle_holds_the_run_back_and_can_be_lifted(small: Scenario) -> None:
    """The run says that it is throttled and to what; lifted, it completes."""
    scenario = small
    expected = undisturbed(scenario)
    [path] = scenario.mappings
    waiting = Strike("event Waiting", "after", 1, "hold")
    with started(Job(scenario, workers=1, strikes=(BEFORE_THE_THIRD_BATCH, waiting))) as running:
        running.until_held()
        throttle(path, 1, _options(scenario))
        running.let_go()
        running.until_held()
        throttle(path, None, _options(scenario))
        running.let_go()
        ending = running.ending()
    assert ending.code == 0, ending.error
    assert any("throttled to 1 rows/s" in event for event in ending.events)
    assert outcome(scenario) == expected
    assert_sound(scenario)


def test_a_complete_run_is_left_alone(scenario: Scenario) -> None:
    """`run` on a complete run says so, exits 0 and changes nothing; there is nothing to pause any more."""
    assert finished(Job(scenario)).code == 0
    before = everything(scenario)
    again = finished(Job(scenario))
    assert again.code == 0
    assert any("is complete already" in event for event in again.events)
    assert everything(scenario) == before
    with pytest.raises(StateError, match="nothing to steer"):
        pause(scenario.mappings[0], "too late", _options(scenario))
    assert everything(scenario) == before


def test_another_mapping_begins_a_new_run_over_the_rows_of_the_last(small: Scenario) -> None:
    """With a new fingerprint a complete run is followed by a new one, for which the earlier rows are existing rows."""
    scenario = small
    assert finished(Job(scenario)).code == 0
    first = outcome(scenario)
    _edit(scenario, "amount < 2000", "amount < 20")
    _edit(scenario, "level: warn", "level: reject")
    ending = finished(Job(scenario))
    assert ending.code == 0, ending.error
    second = outcome(scenario)
    assert second.rows == first.rows
    header = ending.runs[0]["targets"]["header"]
    assert (header["written"], header["updated"]) == (0, 0)
    assert header["identical"] == ending.runs[0]["rows"]["mapped"]
    assert_sound(scenario)


def test_an_edited_mapping_does_not_resume(small: Scenario) -> None:
    """Half-way through, a mapping that would map other rows is refused with exit 4, the changed field named; put back, the run completes."""
    scenario = small
    expected = undisturbed(scenario)
    killed = finished(Job(scenario, strikes=(Strike("commit", "after", 3, phase="batches"),)))
    assert killed.code == -signal.SIGKILL
    _edit(scenario, 'A: "01"', 'A: "03"')
    before = everything(scenario)
    refused = finished(Job(scenario))
    assert (refused.code, "is not what run" in refused.error) == (4, True), refused
    assert "changed: targets.header.fields." in refused.error
    assert everything(scenario) == before
    _edit(scenario, 'A: "03"', 'A: "01"')
    assert finished(Job(scenario)).code == 0
    assert outcome(scenario) == expected


@pytest.mark.parametrize("kind", ["file", "target_table"])
def test_an_edited_lookup(small: Scenario, kind: str) -> None:
    """A lookup file that was edited is refused with exit 4; a lookup table that changed is told and the run goes on."""
    scenario = small
    codes = scenario.mappings[0].parent / "codes.csv"
    codes.write_text("old,new\nA,01\nB,02\n", encoding="utf-8")
    with connected(scenario.target) as connection:
        connection.exec_driver_sql("drop table if exists code")
        connection.exec_driver_sql("create table code (old varchar(4) not null primary key, new varchar(4))")
        connection.exec_driver_sql("insert into code values ('A', '01'), ('B', '02')")
    source = "file: codes.csv" if kind == "file" else "target_table: code"
    _edit(scenario, "targets:\n", f"lookups:\n  codes: {{{source}, key: old}}\ntargets:\n")
    _edit(scenario, 'values: {A: "01", B: "02"}', "lookup: codes, take: new")
    killed = finished(Job(scenario, strikes=(Strike("commit", "after", 3, phase="batches"),)))
    assert killed.code == -signal.SIGKILL, killed.error
    codes.write_text("old,new\nA,01\nB,04\n", encoding="utf-8")
    with connected(scenario.target) as connection:
        connection.exec_driver_sql("update code set new = '04' where old = 'B'")
    ending = finished(Job(scenario))
    if kind == "file":
        assert (ending.code, "the content of a lookup file" in ending.error) == (4, True), ending
        codes.write_text("old,new\nA,01\nB,02\n", encoding="utf-8")
        assert finished(Job(scenario)).code == 0
    else:
        assert ending.code == 0, ending.error
        assert any("holds other rows than when this pass began" in event for event in ending.events)
    assert_sound(scenario)
