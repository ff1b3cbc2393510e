"""Runs, rollbacks of all or a part, kills, and rows that somebody changes, in any order: what holds in every state.

- The target is a function of the committed entries: the undo records of the batches that stand describe every row, and lead back to what was there.
- Counts add up, each claim has its entry, the chain verifies, and `status` says what is so.
- A rollback leaves rows alone that somebody changed, unless they are as the run left them again.
- A run that says complete has left what an undisturbed one leaves.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from migrate.engine.options import RunOptions
from migrate.engine.run import run
from migrate.engine.steer import status
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary
from migrate.errors import MigrateError, StateError
from migrate.rollback.request import Request
from migrate.rollback.rollback import rollback
from tests.faults.injection import Strike, When
from tests.faults.runner import Ending, Job, finished
from tests.faults.scenario import Scenario
from tests.rig.back import log_verdict
from tests.rig.database import Database
from tests.rig.places import folder
from tests.rig.schedule import plan_of
from tests.rig.undo import Content, Key, keys_touched, taken_back

pytestmark = pytest.mark.campaign

EXAMPLES, STEPS = 40, 8
"""For each database; a tenth of the examples in every test run."""

MAPPING = """
mapping: states
source: {table: src, key: [id]}
targets:
  - table: doc
    key: [k]
    on_conflict: update
    fields: {k: k, n: n, up: up}
"""
UNITS: tuple[tuple[str, int | None, str | None], ...] = (
    ("a", 1, None), ("b", 2, None), ("c", 3, None),
    ("d", 4, None), ("e", 5, "a"), ("f", 6, "p"),
    ("g", 7, None), ("a", 8, None), ("h", 9, None),
    ("i", 10, None), ("j", 11, "nobody"), ("b", 2, None),
    ("p", 12, None), ("q", 13, "d"), ("g", 14, None),
    ("r", 15, None), ("s", 16, None), ("t", 17, "t"),
    ("u", 18, None), ("v", 19, None), ("w", None, None),
)  # fmt: skip
"""Three to a batch: keys that are wanted twice, found identical, parents in another batch, later, or missing; the last two batches are by themselves."""
THERE = (("c", 70), ("g", 71), ("z", 72))
"""Rows from before."""
FREE = ("c", "h", "i", "q", "r", "u", "x")
"""Keys of rows that somebody may change: no other unit wants them, and none points at them."""

POINTS: tuple[tuple[str, When], ...] = (
    ("begin", "after"),
    ("insert migrate_batch", "after"),
    ("delete doc", "after"),
    ("insert doc", "after"),
    ("delete migrate_pending", "after"),
    ("insert migrate_applied", "after"),
    ("commit", "before"),
    ("commit", "after"),
    ("ledger insert migrate_event", "after"),
    ("ledger insert migrate_pass", "before"),
    ("ledger insert migrate_range", "after"),
    ("ledger update migrate_run", "before"),
    ("ledger update migrate_run", "after"),
    ("ledger insert migrate_seal", "before"),
)
strikes = st.none() | st.builds(
    lambda point, hit: Strike(point[0], point[1], hit), st.sampled_from(POINTS), st.integers(1, 5)
)
requests = st.builds(
    lambda changed, part: Request(changed, *part),
    st.sampled_from(["refuse", "refuse", "skip"]),
    st.sampled_from([(None, ()), (1, ()), (3, ()), (5, ())])
    | st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True).map(lambda found: (None, tuple(sorted(found)))),
)

_UNDISTURBED: dict[str, Content] = {}


class Story(RuleBasedStateMachine):
    """One target, and what happens to it. `new_database` gives the URL of an empty one, within a context."""

    new_database: Callable[[], contextlib.AbstractContextManager[str]]

    def __init__(self) -> None:
        super().__init__()
        self._open = contextlib.ExitStack()
        place = self._open.enter_context(folder())
        self.database = Database(self._open.enter_context(type(self).new_database()))
        self.scenario = prepare(place, self.database)
        self.plan = plan_of(place, MAPPING, self.scenario.source, self.database.url, 3)
        self.before = Content.read(self.plan).rows["doc"]
        # Of each row that somebody changed: the newest batch before that.
        self.changed: dict[Key, int] = {}
        # Of each row that a rollback left: how it would have been else. A later one may take it back after all.
        self.stayed: dict[Key, dict[str, Any] | None] = {}

    def teardown(self) -> None:
        """Whatever happened, the whole rollback ends it."""
        try:
            if self._run() is not None:
                self.take_back(Request("skip"), None)
                assert self.content() == self.before
        finally:
            self._open.close()

    @initialize(strike=strikes)
    def begin(self, strike: Strike | None) -> None:
        """There is something to take back from the beginning."""
        self.run(strike, 2)

    @rule(strike=strikes, workers=st.integers(1, 2))
    def run(self, strike: Strike | None, workers: int) -> None:
        """Run or go on, and perhaps die."""
        ending = carried_out(Job(self.scenario, workers=workers, strikes=(strike,) if strike else ()))
        assert_allowed(ending)
        if ending.code == 4:
            assert "is being rolled back" in ending.error

    @rule(request=requests, strike=strikes)
    def take_back(self, request: Request, strike: Strike | None) -> None:
        """Roll back all or a part, and perhaps die."""
        if self._run() is None:
            return
        left, seen, theirs = self.content(), self._newest(), self._untouched()
        strikes = (strike,) if strike else ()
        ending = carried_out(Job(self.scenario, strikes=strikes, back=True, request=request))
        assert_allowed(ending, InputError=2)
        now = self.content()
        for key in theirs:
            if now.get(key) != left.get(key):
                assert request.whole, f"a part of a rollback touched {key}, which was left"
                assert key in self.stayed, f"the rollback touched {key}, which somebody changed"
                assert now.get(key) == self.stayed.pop(key), f"{key} is neither as it was left nor as before"
                self._keep(key, now)
        # Who points at what was left, or changed it, is somebody else; the row is part of what was there from now on.
        for key in self._left_behind(seen):
            self.stayed.setdefault(key, self.before.get(key))
            self._keep(key, now)
        if (request.whole, ending.code) == (True, 0):
            assert self.state() == "rolled_back"
        together = re.findall(r"--batch (\d+)", ending.error) if "together: " in ending.error else []
        if together:
            self.take_back(Request(request.changed, batches=tuple(map(int, together))), strike)

    @rule(key=st.sampled_from(FREE), n=st.integers(1000, 1003), gone=st.booleans())
    def change(self, key: str, n: int, *, gone: bool) -> None:
        """Somebody changes, writes or removes a row."""
        there = self.database.rows(f"SELECT k FROM doc WHERE k = '{key}'")
        if gone:
            self.database.run(f"DELETE FROM doc WHERE k = '{key}'")
        elif there:
            self.database.run(f"UPDATE doc SET n = {n}, spare = 'theirs' WHERE k = '{key}'")
        else:
            self.database.insert("doc", [{"k": key, "n": n, "spare": "theirs"}])
        self._keep((key,), self.content())

    @invariant()
    def sound(self) -> None:
        """Whatever happened last."""
        run = self._run()
        if run is None:
            assert self.content() == self.before
            return
        assert log_verdict(self.database.url).findings == ()
        assert_claims_match(self.database)
        assert run.counts.adds_up
        assert taken_back(self.plan, run.run, self.changed).rows["doc"] == self.before
        if run.state == "rolled_back":
            assert self.content() == self.before
            assert (run.counts.read, run.counts.mapped, run.counts.rejected, run.counts.pending) == (0, 0, 0, 0)
        if run.state == "complete":
            assert (run.counts.read, run.counts.pending, run.planned) == (len(UNITS), 0, run.done)
            whole = undisturbed(self.database.kind, type(self).new_database).rows["doc"]
            theirs = {key for key in self.changed if key[0] in FREE}
            assert {key: row for key, row in self.content().items() if key not in theirs} == {
                key: row for key, row in whole.items() if key not in theirs
            }

    def content(self) -> dict[Key, dict[str, Any]]:
        """All rows of the target."""
        return Content.read(self.plan).rows["doc"]

    def _keep(self, key: Key, content: dict[Key, dict[str, Any]]) -> None:
        """From now on this is what was there."""
        self.changed[key] = self._newest()
        if key in content:
            self.before[key] = content[key]
        else:
            self.before.pop(key, None)

    def _untouched(self) -> list[Key]:
        """Rows that no batch has met since somebody changed them."""
        run = self._run()
        assert run is not None
        return [key for key, seq in self.changed.items() if key not in keys_touched(self.plan, run.run, seq)]

    def _newest(self) -> int:
        if not has_ledger(self.database):
            return 0
        return int(
            self.database.rows("SELECT coalesce(max(applied_seq), 0) AS newest FROM migrate_applied")[0]["newest"]
        )

    def _left_behind(self, seen: int) -> list[Key]:
        """Rows that the last rollback reported as staying."""
        found = self.database.rows(
            "SELECT f.unit_key FROM migrate_finding f JOIN migrate_applied a"
            " ON a.run = f.run AND a.pass_no = f.pass_no AND a.range_no = f.range_no"
            f" WHERE f.rule = 'ROLLBACK' AND a.applied_seq > {seen}"
        )
        return [(json.loads(row["unit_key"])[0][1],) for row in found]

    def _run(self) -> RunSummary | None:
        try:
            found = status(self.scenario.mappings[0], RunOptions(target=self.database.url))
        except StateError:
            return None
        return found[0] if found else None

    def state(self) -> str:
        """The word for how the run stands."""
        run = self._run()
        assert run is not None
        return run.state


def prepare(place: Path, database: Database) -> Scenario:
    """Both databases, filled, and the mapping file."""
    source = Database(f"sqlite:///{place / 'source.db'}")
    source.run("CREATE TABLE src (id integer PRIMARY KEY, k varchar(9), n integer, up varchar(9))")
    source.insert("src", [{"id": at, "k": k, "n": n, "up": up} for at, (k, n, up) in enumerate(UNITS)])
    database.run(
        "CREATE TABLE doc (k varchar(9) NOT NULL PRIMARY KEY, n integer, up varchar(9), spare varchar(9) DEFAULT 'x',"
        " FOREIGN KEY (up) REFERENCES doc (k))"
    )
    database.insert("doc", [{"k": k, "n": n, "spare": "old"} for k, n in THERE])
    path = place / "states.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return Scenario(source.url, database.url, (path,), batch_rows=3)


def carried_out(job: Job) -> Ending:
    """A job that may die in a process of its own; any other one here, which is quicker."""
    if job.strikes:
        return finished(job)
    scenario = job.scenario
    options = RunOptions(
        scenario.source, scenario.target, batch_rows=scenario.batch_rows, workers=job.workers, no_backup=True
    )
    try:
        if job.request is None:
            run(scenario.mappings, options, stop=StopToken(), listen=lambda _: None)
        else:
            rollback(scenario.mappings[0], options, job.request, stop=StopToken(), listen=lambda _: None)
    except MigrateError as refused:
        return Ending(refused.exit_code, str(refused))
    return Ending(0)


def undisturbed(kind: str, new_database: Callable[[], contextlib.AbstractContextManager[str]]) -> Content:
    """What a run leaves that nobody disturbs."""
    if kind not in _UNDISTURBED:
        with folder() as place, new_database() as url:
            scenario = prepare(place, Database(url))
            ending = finished(Job(scenario))
            assert ending.code == 0, ending.error
            _UNDISTURBED[kind] = Content.read(plan_of(place, MAPPING, scenario.source, url, 3))
    return _UNDISTURBED[kind]


def has_ledger(database: Database) -> bool:
    """Is there a table of entries?"""
    try:
        database.rows("SELECT 1 AS one FROM migrate_applied")
    except Exception:  # noqa: BLE001 - each driver has its own
        return False
    return True


def assert_allowed(ending: Ending, **more: int) -> None:
    """It ended well, died, or was refused."""
    assert ending.code in {0, 4, -signal.SIGKILL, *more.values()}, ending.error


def assert_claims_match(database: Database) -> None:
    """Each claim has its entry, and each entry its claim: they commit together."""
    claims, entries = (
        sorted((row["run"], row["pass_no"], row["range_no"]) for row in database.rows(f"SELECT * FROM {table}"))
        for table in ("migrate_batch", "migrate_applied")
    )
    assert claims == entries


@pytest.fixture
def story(database_kind: str, servers: Any, tmp_path: Path) -> type[Story]:
    """Stories on databases of one kind."""
    numbers = iter(range(10**9))

    @contextlib.contextmanager
    def on_file() -> Any:
        path = tmp_path / f"target{next(numbers)}.db"
        yield f"sqlite:///{path}"
        for each in tmp_path.glob(f"{path.name}*"):
            each.unlink()

    class Here(Story):
        new_database = staticmethod(on_file if database_kind == "sqlite" else servers.get(database_kind).fresh_database)

    return Here


@pytest.mark.timeout(900)
def test_every_state_is_sound(story: type[Story], campaign: Callable[[int], int]) -> None:
    """See the module."""
    run_state_machine_as_test(story, settings=settings(max_examples=campaign(EXAMPLES), stateful_step_count=STEPS))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [1, 5])
def test_a_batch_goes_and_comes_again(story: type[Story], number: int) -> None:
    """One whose units the last phase settled, which takes others along, and one by itself: the same soundness after each step.

    One worker, since the order of batches decides which rows find their parents there, and so which batches hold others fast.
    """
    told = story()
    try:
        told.run(None, 1)
        told.take_back(Request(batches=(number,)), None)
        told.sound()
        assert told.state() == "interrupted"
        told.run(None, 1)
        told.sound()
        assert told.state() == "complete"
    finally:
        told.teardown()
