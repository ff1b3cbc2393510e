"""The state file: private, whole, of one verification, and never believed about a side that may have changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.engine.plan import Plan
from migrate.errors import InputError, StateError
from migrate.verify.buckets import BucketSums, Sorted, Sorting
from migrate.verify.pieces import rows_read, rows_written, sums_read, sums_written
from migrate.verify.state import StateAt, StateFile
from tests.rig.database import Database
from tests.rig.schedule import plan_of

MAPPING = """
mapping: kept
source: {table: src, key: [id]}
targets: [{table: dst, key: [id], fields: {id: id, v: v}}]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A mapping between two files."""
    source, target = (Database(f"sqlite:///{tmp_path / name}.db") for name in ("old", "new"))
    source.run("CREATE TABLE src (id integer PRIMARY KEY, v text)")
    target.run("CREATE TABLE dst (id integer NOT NULL PRIMARY KEY, v text)")
    return plan_of(tmp_path, MAPPING, source.url, target.url)


def test_a_piece_holds_while_its_position_does(plan: Plan, tmp_path: Path) -> None:
    """Equal position: kept; another one, or none: forgotten, and said once. A side without a position keeps nothing."""
    told: list[tuple[str, str]] = []
    at = StateAt(tmp_path / "s", lambda what, piece: told.append((what, piece)))
    first = at.open(plan)
    first.keep("one", "p1", {"n": 1})
    first.keep("two", "p1", {"n": 2})
    first.keep("three", None, {"n": 3})
    again = at.open(plan)
    assert again.nonce == first.nonce
    assert again.piece("one", "p1") == {"n": 1}
    assert (again.piece("one", "p1"), again.piece("two", "p2"), again.piece("two", "p1")) == ({"n": 1}, None, None)
    assert (again.piece("three", "p1"), at.open(plan).piece("one", None)) == (None, None)
    assert told == [("untold", "three"), ("kept", "one"), ("moved", "two"), ("untold", "one")]
    again.remove()
    assert at.open(plan).nonce != first.nonce


def test_it_is_private_and_leaves_nothing_beside_it(plan: Plan, tmp_path: Path) -> None:
    """Mode 0600, also where it takes the place of another; no temporary file stays."""
    before = set(tmp_path.iterdir())
    state = StateFile(tmp_path / "s", plan)
    for number in range(3):
        state.keep("one", "p", {"n": number})
        assert state.path.stat().st_mode & 0o777 == 0o600
    assert set(tmp_path.iterdir()) - before == {state.path}


def _altered(path: Path) -> None:
    document = json.loads(path.read_bytes())
    document["body"]["pieces"]["one"]["content"]["n"] = 2
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("[]"),
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_text('{"format": "other", "sha256": "", "body": {}}'),
        _altered,
    ],
)
def test_a_spoilt_file_is_refused(plan: Plan, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    """Cut off, emptied, of something else or with one figure altered: exit 4, and the file stays as it is."""
    state = StateFile(tmp_path / "s", plan)
    state.keep("one", "p", {"n": 1})
    spoil(state.path)
    content = state.path.read_bytes()
    with pytest.raises(StateError, match="is no state file of a verification, or is damaged"):
        StateFile(state.path, plan)
    assert state.path.read_bytes() == content


def test_a_file_of_another_version_is_told_as_that(plan: Plan, tmp_path: Path) -> None:
    """It is not called damaged."""
    path = tmp_path / "s"
    path.write_text(json.dumps({"format": "migrate verify state 1", "sha256": "", "body": {}}), encoding="utf-8")
    with pytest.raises(StateError, match="was written by another version of the toolkit"):
        StateFile(path, plan)


def test_a_file_of_another_verification_is_refused(plan: Plan, tmp_path: Path) -> None:
    """Another mapping, other fields, or other totals: exit 4, with what is other, and the file stays."""
    state = StateFile(tmp_path / "s", plan)
    state.keep("one", "p", {"n": 1})
    source, target = str(plan.source.url), plan.target_url
    for text, what in (
        (MAPPING.replace("mapping: kept", "mapping: other"), "mapping"),
        (MAPPING.replace("v: v", "v: {sql: \"v || ''\"}"), "definition"),
        (MAPPING + "totals: [{target: dst, by: {v: v}, sum: [id]}]", "totals"),
    ):
        with pytest.raises(StateError, match=f"belongs to another verification: .*{what}"):
            StateFile(state.path, plan_of(tmp_path, text, source, target))
    assert StateFile(state.path, plan).piece("one", "p") == {"n": 1}


def test_a_place_where_no_file_can_be_is_refused(plan: Plan, tmp_path: Path) -> None:
    """A folder, or a file in none: exit 2, before anything is read."""
    for path in (tmp_path, tmp_path / "nowhere" / "s"):
        with pytest.raises(InputError):
            StateFile(path, plan)


@given(
    st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=32, max_size=32) | st.none()), max_size=20),
    st.sampled_from([12, 16]),
)
def test_sums_come_back_as_they_were(rows: list[tuple[int, bytes | None]], bits: int) -> None:
    """Sums through JSON are the same sums, to which more can be added."""
    sums = BucketSums(Sorting("hash", bits))
    added = Sorted(
        np.array([bucket for bucket, _ in rows], np.int64), pa.array([row for _, row in rows], pa.binary(32))
    )
    sums.add_sorted(added)
    back = sums_read(json.loads(json.dumps(sums_written(sums))))
    assert (back.sorting, back.poison, back.count) == (Sorting("hash", bits), sums.poison, sums.count)
    assert back.differing(sums).tolist() == []
    back.add_sorted(added)
    assert sorted(back.differing(sums).tolist()) == sorted({bucket for bucket, row in rows if row is not None})


def test_rows_come_back_as_they_were() -> None:
    """A few rows of any type, and none."""
    rows = pa.table({"a": ["x", None], "b": pa.array([b"\x00", b""], pa.binary()), "c": [1, 2]})
    assert rows_read(rows_written(rows)) == rows
    assert rows_read(rows_written(None)) is None
