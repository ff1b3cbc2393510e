"""Single batches and passes of a run are taken back and done again: the end is that of a run that nobody disturbed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from migrate.engine.events import BatchDone, Event
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan
from migrate.engine.rejects import rejects_list
from migrate.engine.replay import Replayed, rejects_replay
from migrate.engine.run import run
from migrate.engine.steer import status
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary
from migrate.errors import InputError, Interrupted, RowsChanged, StateError
from migrate.rollback.request import Request
from migrate.rollback.rollback import RolledBack, rollback
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.integration.test_undo import backwards
from tests.rig.back import log_verdict, rolled_back
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled
from tests.rig.undo import Content

MAPPING = """
mapping: parts
source: {table: src, key: [id]}
targets:
  - table: doc
    key: [k]
    on_conflict: update
    fields: {k: k, n: n, up: up}
"""
PLAIN = [(f"k{number}", number, None) for number in range(12)]
"""Units that have nothing to do with each other, three to a batch."""


def test_batches_are_taken_back_and_done_again(tmp_path: Path, database_url: str) -> None:
    """What two batches inserted and updated is as before, the rest stands; `run` does them in a new pass of the same run, and verifies."""
    plan = prepared(tmp_path, database_url, PLAIN, there=[("k1", 77), ("k4", 78)])
    before = Content.read(plan)
    first = run_scheduled(plan, workers=2)
    after = Content.read(plan)
    done = rolled_back(tmp_path, database_url, Request(batches=(1, 3)))
    gone = {("k3",), ("k5",), ("k9",), ("k10",), ("k11",)}
    assert Content.read(plan).rows["doc"] == {
        key: before.rows["doc"][key] if key == ("k4",) else row
        for key, row in after.rows["doc"].items()
        if key not in gone
    }
    assert (done.batches, done.rows, done.summary.state) == (2, 6, "interrupted")
    assert done.summary.reason == "batches 1, 3 of it taken back; `migrate run` does again what is open"
    assert (done.summary.counts.read, done.summary.counts.mapped) == (6, 6)
    assert done.summary.planned - done.summary.done == 2
    again = run_scheduled(plan, workers=2)
    assert Content.read(plan) == after
    assert again.outcome == first.outcome
    assert (again.summary.run, again.summary.state) == (first.summary.run, "complete")
    assert [(each.kind, each.planned, each.done) for each in again.summary.passes] == [
        ("full", 5, 5),
        ("rollback", 2, 2),
        ("full", 2, 2),
    ]
    assert verified(plan) == "EQUAL"
    rolled_back(tmp_path, database_url)
    assert Content.read(plan) == before


def test_what_is_back_already_is_left_alone(tmp_path: Path, database_url: str) -> None:
    """The same request once more takes nothing back; a batch that the run never had is an error; all batches leave a run that is rolled back."""
    plan = prepared(tmp_path, database_url, PLAIN)
    before = Content.read(plan)
    run_scheduled(plan)
    assert rolled_back(tmp_path, database_url, Request(batches=(1,))).batches == 1
    assert rolled_back(tmp_path, database_url, Request(batches=(1,))).batches == 0
    with pytest.raises(InputError, match="has no batch 9") as unknown:
        rolled_back(tmp_path, database_url, Request(batches=(9,)))
    assert unknown.value.next_step == "its batches: 0 to 4"
    with pytest.raises(InputError, match="has no pass 7"):
        rolled_back(tmp_path, database_url, Request(pass_no=7))
    done = rolled_back(tmp_path, database_url, Request(batches=(0, 1, 2, 3, 4)))
    assert (done.batches, done.summary.state) == (4, "rolled_back")
    assert Content.read(plan) == before


def test_a_pass_goes_only_as_the_newest(tmp_path: Path, database_url: str) -> None:
    """A pass on which another was built is refused; the newest goes back, its ranges are open again; the first one then takes all with it."""
    plan = prepared(tmp_path, database_url, PLAIN)
    before = Content.read(plan)
    run_scheduled(plan)
    after = Content.read(plan)
    rolled_back(tmp_path, database_url, Request(batches=(2,)))
    run_scheduled(plan)
    refused(plan, Request(pass_no=1), "built upon by pass 3", "--pass 3")
    refused(plan, Request(pass_no=2), "is a rollback", "does again")
    assert rolled_back(tmp_path, database_url, Request(pass_no=3)).summary.state == "interrupted"
    run_scheduled(plan)
    assert Content.read(plan) == after
    assert rolled_back(tmp_path, database_url, Request(pass_no=5)).batches == 1
    done = rolled_back(tmp_path, database_url, Request(pass_no=1))
    assert (done.batches, done.summary.state) == (4, "rolled_back")
    assert Content.read(plan) == before


def test_batches_that_share_a_row_go_together(tmp_path: Path, database_url: str) -> None:
    """What a later batch found identical is not taken from under it: refused, with the command that takes both; the later one goes alone."""
    units = [*PLAIN[:9], ("k0", 0, None), *PLAIN[10:]]
    plan = prepared(tmp_path, database_url, units)
    run_scheduled(plan)
    after = Content.read(plan)
    refused(
        plan,
        Request(batches=(0,)),
        "without batch 3: they have rows in common",
        "together: migrate rollback --batch 0 --batch 3",
    )
    refused(plan, Request("skip", batches=(0,)), "without batch 3", "together: migrate rollback --batch 0 --batch 3")
    rolled_back(tmp_path, database_url, Request(batches=(3,)))
    assert Content.read(plan).rows["doc"].keys() == after.rows["doc"].keys() - {("k10",), ("k11",)}
    run_scheduled(plan)
    assert Content.read(plan) == after
    rolled_back(tmp_path, database_url, Request(batches=(0, 3)))
    again = run_scheduled(plan)
    assert Content.read(plan) == after
    assert again.summary.counts.targets["doc"].identical == 1
    assert verified(plan) == "EQUAL"


def test_units_that_the_last_phase_settled_together_go_together(tmp_path: Path, database_url: str) -> None:
    """Batches whose units waited go with each other and with the last phase; others go alone, unless the last phase has a row of theirs."""
    units = [*PLAIN, ("k1", 99, None), ("k2", 98, None), ("k20", 20, None), ("k21", 21, None)]
    plan = prepared(tmp_path, database_url, units)
    first = run_scheduled(plan, backwards, workers=2)
    after = Content.read(plan)
    # Backwards, the units of batch 0 find their keys taken, wait, and take back those of batch 4.
    refused(plan, Request(batches=(4,)), "without batch 0", "together: migrate rollback --batch 0 --batch 4")
    for batches in ((2,), (0, 4), (0,)):
        rolled_back(tmp_path, database_url, Request(batches=batches))
        again = run_scheduled(plan, backwards, workers=2)
        assert Content.read(plan) == after
        assert again.outcome == first.outcome
    assert verified(plan) == "EQUAL"
    # What was rejected in a batch that was taken back is not said twice.
    assert [group.count for group in rejects_list(plan.mapping.path, options(plan))] == [2]


def test_a_row_at_which_another_batch_points_holds(tmp_path: Path, database_url: str) -> None:
    """A parent cannot go without its children, whatever becomes of changed rows; with them it can, also when others went before it was refused."""
    units = [*PLAIN[:9], ("k30", 30, "k1"), *PLAIN[10:]]
    plan = prepared(tmp_path, database_url, units)
    run_scheduled(plan)
    after = Content.read(plan)
    for request in (Request(batches=(0,)), Request("skip", batches=(0,))):
        with pytest.raises(RowsChanged, match="doc k1: held fast") as held:
            rolled_back(tmp_path, database_url, request)
        assert "again with the batches that wrote those" in (held.value.next_step or "")
        assert Content.read(plan) == after
    with pytest.raises(RowsChanged, match="doc k1: held fast"):
        rolled_back(tmp_path, database_url, Request(batches=(0, 2)))
    refused(plan, Request(batches=(0, 3)), "batches 0, 2 of run", "--batch 0 --batch 2")
    rolled_back(tmp_path, database_url, Request(batches=(0, 2, 3)))
    run_scheduled(plan)
    assert Content.read(plan) == after


def test_a_batch_whose_rejects_were_replayed_goes_after_the_replay(tmp_path: Path, database_url: str) -> None:
    """The replay goes first, and leaves the run complete with its rejects open again; then the batch goes; replaying anew gives the same."""
    units = [*PLAIN[:4], ("k4", None, "nobody"), *PLAIN[5:]]
    plan = prepared(tmp_path, database_url, units)
    assert len(run_scheduled(plan).rejects) == 1
    Database(plan.source.url or "").run("UPDATE src SET up = NULL, n = 4 WHERE id = 4")
    assert replayed(plan).mapped == 1
    after = Content.read(plan)
    refused(plan, Request(batches=(1,)), "pass 2 replayed rejects of it", "--pass 2")
    refused(plan, Request(pass_no=1), "built upon by pass 2", "--pass 2")
    refused(plan, Request(pass_no=2, batches=(0,)), "a replay goes as a whole", "--pass 2")
    done = rolled_back(tmp_path, database_url, Request(pass_no=2))
    assert (done.summary.state, done.summary.counts.rejected) == ("complete", 1)
    assert [group.count for group in rejects_list(plan.mapping.path, options(plan))] == [1]
    again = replayed(plan)
    assert (again.units, again.mapped) == (1, 1)
    assert Content.read(plan) == after
    assert verified(plan) == "EQUAL"
    # A batch without rejects goes whatever was replayed.
    rolled_back(tmp_path, database_url, Request(batches=(0,)))
    run_scheduled(plan)
    assert Content.read(plan) == after
    rolled_back(tmp_path, database_url, Request(pass_no=6))
    rolled_back(tmp_path, database_url, Request(pass_no=again.summary.passes[-1].number))
    rolled_back(tmp_path, database_url, Request(batches=(1,)))
    assert run_scheduled(plan).summary.counts.rejected == 0
    assert Content.read(plan) == after


def test_a_replay_does_not_make_a_run_with_open_ranges_complete(tmp_path: Path, database_url: str) -> None:
    """Rejects can be replayed while a batch is taken back; the run is complete only when that is done again too."""
    units = [*PLAIN[:4], ("k4", None, "nobody"), *PLAIN[5:]]
    plan = prepared(tmp_path, database_url, units)
    run_scheduled(plan)
    rolled_back(tmp_path, database_url, Request(batches=(0,)))
    Database(plan.source.url or "").run("UPDATE src SET up = NULL, n = 4 WHERE id = 4")
    assert replayed(plan).summary.state == "interrupted"
    assert run_scheduled(plan).summary.state == "complete"
    assert verified(plan) == "EQUAL"


def test_an_interrupted_run_goes_on_after_a_part_of_it_was_taken_back(tmp_path: Path, database_url: str) -> None:
    """A run that stopped amid its batches, with units that wait: what was taken back and what was never done are done in one new pass."""
    units = [*PLAIN, ("k1", 99, None), ("k40", 40, "k0"), ("k2", 98, None), ("k41", 41, None)]
    plan = prepared(tmp_path, database_url, units)
    undisturbed = run_scheduled(plan)
    after = Content.read(plan)
    rolled_back(tmp_path, database_url)
    stopped_after(plan, 3)
    done = rolled_back(tmp_path, database_url, Request(batches=(0, 2)))
    assert done.summary.state == "interrupted"
    again = run_scheduled(plan)
    assert Content.read(plan) == after
    assert again.outcome == undisturbed.outcome
    assert [each.kind for each in again.summary.passes] == ["full", "rollback", "full"]
    assert again.summary.planned == again.summary.done
    assert verified(plan) == "EQUAL"


def test_a_part_that_was_begun_is_ended_first(tmp_path: Path, database_url: str) -> None:
    """Stopped between two batches: another request is refused with the one that was begun; that goes on, and so does the whole run."""
    plan = prepared(tmp_path, database_url, PLAIN)
    before = Content.read(plan)
    run_scheduled(plan)
    after = Content.read(plan)
    with pytest.raises(Interrupted):
        back_until_stopped(plan, Request(batches=(0, 1, 2)))
    refused(plan, Request(batches=(3,)), "batches 0, 1, 2 of run", "--batch 0 --batch 1 --batch 2")
    with pytest.raises(StateError, match="is being rolled back"):
        run_scheduled(plan)
    assert rolled_back(tmp_path, database_url, Request(batches=(0, 1, 2))).batches == 2
    run_scheduled(plan)
    assert Content.read(plan) == after
    with pytest.raises(Interrupted):
        back_until_stopped(plan, Request(batches=(0, 1)))
    assert rolled_back(tmp_path, database_url).summary.state == "rolled_back"
    assert Content.read(plan) == before


def test_a_row_that_was_changed_since_is_left_and_met_again(tmp_path: Path, database_url: str) -> None:
    """With `skip` the row of a batch stays as somebody left it; done again, the batch meets it as one that was there before."""
    plan = prepared(tmp_path, database_url, PLAIN)
    run_scheduled(plan)
    after = Content.read(plan)
    target = Database(database_url)
    target.run("UPDATE doc SET n = 1000 WHERE k = 'k4'", "DELETE FROM doc WHERE k = 'k3'")
    with pytest.raises(RowsChanged, match="doc k4: changed since"):
        rolled_back(tmp_path, database_url, Request(batches=(1,)))
    done = rolled_back(tmp_path, database_url, Request("skip", batches=(1,)))
    assert {each.name for each in done.staying} == {"k3", "k4"}
    again = run_scheduled(plan)
    assert Content.read(plan) == after
    counts = again.summary.counts.targets["doc"]
    assert (counts.written, counts.updated) == (11, 1)


def test_a_source_without_a_key_is_taken_back_whole(tmp_path: Path, sqlite_url: str) -> None:
    """Its rows cannot be read again in the same ranges: a part is refused, and the whole run goes."""
    plan = prepared(tmp_path, sqlite_url, PLAIN, source_key="")
    before = Content.read(plan)
    run_scheduled(plan)
    refused(plan, Request(batches=(0,)), "has no key", "take all of the run back")
    rolled_back(tmp_path, sqlite_url)
    assert Content.read(plan) == before


def prepared(
    folder: Path,
    target: str,
    units: Sequence[tuple[str, int | None, str | None]],
    *,
    there: Sequence[tuple[str, int]] = (),
    source_key: str = ", key: [id]",
) -> Plan:
    """Units of three to a batch, rows that are there before them, and the plan."""
    source, database = Database(f"sqlite:///{folder / 'units.db'}"), Database(target)
    key = "PRIMARY KEY" if source_key else ""
    source.run(f"CREATE TABLE src (id integer {key}, k varchar(20), n integer, up varchar(20))")
    source.insert("src", [{"id": at, "k": k, "n": n, "up": up} for at, (k, n, up) in enumerate(units)])
    database.run(
        "CREATE TABLE doc (k varchar(20) NOT NULL PRIMARY KEY, n integer, up varchar(20), spare varchar(9) DEFAULT 'x',"
        " FOREIGN KEY (up) REFERENCES doc (k))"
    )
    database.insert("doc", [{"k": k, "n": n, "spare": "mine"} for k, n in there])
    return plan_of(folder, MAPPING.replace(", key: [id]", source_key), source.url, target, 3)


def options(plan: Plan) -> RunOptions:
    """Those that the plan was made with."""
    return RunOptions(
        source=plan.source.url, target=plan.target_url, batch_rows=plan.batch_rows, workers=1, no_backup=True
    )


def refused(plan: Plan, request: Request, why: str, next_step: str) -> None:
    """The request ends with exit 4, says why and what to do, and changes nothing, neither rows nor log."""
    left, log = Content.read(plan), log_verdict(plan.target_url)
    with pytest.raises(StateError, match=why) as error:
        rolled_back(plan.mapping.path.parent, plan.target_url, request)
    assert next_step in (error.value.next_step or "")
    assert error.value.exit_code == 4
    assert (Content.read(plan), log_verdict(plan.target_url)) == (left, log)


def replayed(plan: Plan) -> Replayed:
    """Replay the rejects."""
    return rejects_replay(plan.mapping.path, options(plan), stop=StopToken(), listen=lambda _: None)


def verified(plan: Plan) -> str:
    """The verdict of an independent look at both sides."""
    found = verify_plan(plan, VerifyOptions())
    assert found.to_json()["not_verified"] == []
    return found.verdict


def stopped_after(plan: Plan, batches: int) -> RunSummary:
    """A run that is told to stop when so many batches are done."""
    stop, seen = StopToken(), 0

    def listen(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, BatchDone)
        if seen == batches:
            stop.set("a signal")

    with contextlib.suppress(Interrupted):
        run([plan.mapping.path], options(plan), stop=stop, listen=listen)
    [found] = status(plan.mapping.path, options(plan))
    return found


def back_until_stopped(plan: Plan, request: Request) -> RolledBack:
    """A rollback that is told to stop when one batch is back."""
    stop = StopToken()

    def listen(event: Event) -> None:
        if isinstance(event, BatchDone):
            stop.set("a signal")

    return rollback(plan.mapping.path, options(plan), request, stop=stop, listen=listen)
