"""Rows that meet while both sides are read: whatever meets, the sums say the same as without, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.checksum.contract import Contract
from migrate.values import LogicalType
from migrate.verify import meeting as meeting_module
from migrate.verify.buckets import BY_HASH, BucketSums, digested
from migrate.verify.meeting import ByEncoding, Meeting
from migrate.verify.verdict import SideName

CONTRACT = Contract((("k", LogicalType("integer")), ("v", LogicalType("text"))), ("k",))
NONCE = "00" * 16
LIKENESS = ByEncoding(CONTRACT, NONCE)
Row = tuple[int, str | None]
Chunks = list[list[Row]]

VALUES = st.sampled_from(["a", "b", None, "发"])
CHUNKS = st.lists(st.lists(st.tuples(st.integers(0, 9), VALUES), max_size=8), max_size=6)


def table(rows: Sequence[Row]) -> pa.Table:
    """The rows in Arrow."""
    return pa.table({"k": pa.array([k for k, _ in rows], pa.int64()), "v": pa.array([v for _, v in rows], pa.string())})


def met(source: list[pa.Table], target: list[pa.Table], likeness: ByEncoding = LIKENESS) -> dict[SideName, BucketSums]:
    """The sums of both sides, each added by a thread of its own."""
    sums: dict[SideName, BucketSums] = {"source": BucketSums(BY_HASH), "target": BucketSums(BY_HASH)}
    one = Meeting(likeness, sums)

    def walk(side: SideName, chunks: list[pa.Table]) -> None:
        with one.attended(side):
            for each in chunks:
                one.add(side, each)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(walk, "source", source), pool.submit(walk, "target", target)]:
            done.result()
    return sums


def alone(chunks: list[pa.Table]) -> BucketSums:
    """The sums of one side by itself."""
    sums = BucketSums(BY_HASH)
    for each in chunks:
        sums.add_sorted(digested(each, CONTRACT, NONCE, BY_HASH))
    return sums


def check(source: list[pa.Table], target: list[pa.Table]) -> dict[SideName, BucketSums]:
    """Sums that differ in the same buckets, by the same, as those of rows that never met."""
    sums = met(source, target)
    one, other = alone(source), alone(target)
    assert (sums["source"].rows == one.rows).all()
    assert (sums["target"].rows == other.rows).all()
    assert (sums["source"].poison, sums["target"].poison) == (one.poison, other.poison)
    assert sums["source"].met == sums["target"].met
    assert not len(sums["source"].without(sums["target"]).differing(one.without(other)))
    assert sums["source"].differing(sums["target"]).tolist() == one.differing(other).tolist()
    return sums


@pytest.mark.parametrize("room", [0, 200, 2**20])
def test_sums_differ_by_what_the_sides_differ_by(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any order and any cut, with duplicates, and however few rows may wait."""
    monkeypatch.setattr(meeting_module, "ROOM", room)

    @given(CHUNKS, CHUNKS)
    def both(source: Chunks, target: Chunks) -> None:
        check([table(each) for each in source], [table(each) for each in target])

    both()


def test_rows_in_the_order_of_several_workers_all_meet() -> None:
    """Batches that were written beside each other come in another order than they are read in; none of their rows is digested."""
    batches = [[(batch * 1000 + n, f"value {n}") for n in range(1000)] for batch in range(20)]
    stirred = [
        row for pair in range(0, 20, 2) for both in zip(batches[pair], batches[pair + 1], strict=True) for row in both
    ]
    source = [table(each) for each in batches]
    target = [table(stirred[start : start + 700]) for start in range(0, len(stirred), 700)]
    assert check(source, target)["source"].met == 20_000


def test_sides_in_contrary_orders_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody comes for what waits, both sides go on, and after a while without waiting."""
    monkeypatch.setattr(meeting_module, "ROOM", 4_000)
    monkeypatch.setattr(meeting_module, "_IN_VAIN", 20_000)
    rows = [table([(chunk * 100 + n, "v" * 20) for n in range(100)]) for chunk in range(40)]
    assert check(rows, rows[::-1])["source"].met < 4_000


def test_a_row_without_encoding_meets_nobody() -> None:
    """Both sides have it with the same bytes, and both are poisoned by it."""
    damaged = pa.StringArray.from_buffers(2, pa.array([b"\xff", b"a"]).buffers()[1], pa.py_buffer(b"\xffa"))
    rows = pa.table({"k": pa.array([1, 2], pa.int64()), "v": damaged})
    sums = check([rows], [rows])
    assert [(each.poison, each.met) for each in sums.values()] == [(1, 1), (1, 1)]


@pytest.mark.parametrize("turned", [False, True])
def test_null_meets_no_value_without_encoding(turned: bool) -> None:
    """A document with a key twice beside NULL: one side is poisoned and the bucket differs."""
    contract = Contract((("k", LogicalType("integer")), ("v", LogicalType("json"))), ("k",))
    tables = [pa.table({"k": [1, 2], "v": ["1", value]}) for value in ('{"a":1,"a":2}', None)]
    source, target = tables[::-1] if turned else tables
    sums = met([source], [target], ByEncoding(contract, NONCE))
    assert sums["source"].met == 1
    assert (sums["source"].poison, sums["target"].poison) == ((0, 1) if turned else (1, 0))
    assert len(sums["source"].differing(sums["target"])) == 1


@pytest.mark.parametrize("alone_in_each", [1, 3])
def test_rows_that_meet_nobody_hold_only_their_own_memory(alone_in_each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each chunk a few rows find none, side by side or not: what waits is these rows, in few pieces, however many chunks there were."""
    monkeypatch.setattr(meeting_module, "ROOM", 300_000)
    most: dict[str, int] = {"bytes": 0, "pieces": 0}
    make_room = Meeting._make_room

    def watched(self: Meeting, mine: Any) -> Any:
        found = make_room(self, mine)
        for waiting in self._waiting.values():
            most["bytes"] = max(most["bytes"], sum(each._rows.get_total_buffer_size() for each in waiting))
            most["pieces"] = max(most["pieces"], len(waiting))
        return found

    monkeypatch.setattr(Meeting, "_make_room", watched)
    sides = []
    for value in ("a" * 1000, "b" * 1000):
        rows = [
            [(chunk * 100 + n, value if n in (7, 8, 90)[:alone_in_each] else "v" * 1000) for n in range(100)]
            for chunk in range(300)
        ]
        sides.append([table(each) for each in rows])
    sums = check(*sides)
    assert sums["source"].met == 300 * (100 - alone_in_each)
    assert most["pieces"] <= 66
    # Twice the room, and the chunks that are just coming.
    assert most["bytes"] < 2 * 300_000 + 3 * 110_000


def test_one_altered_row_is_the_difference() -> None:
    """All others meet, and it is in the bucket that differs."""
    rows = [(n, "v") for n in range(500)]
    sums = check([table(rows)], [table([*rows[:250], (250, "w"), *rows[251:]])])
    assert sums["source"].met == 499
    assert len(sums["source"].differing(sums["target"])) == 1


@pytest.mark.parametrize("fails", ["source", "target"])
def test_a_side_that_fails_keeps_nobody_waiting(fails: SideName, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the other side goes on when that one breaks off."""
    monkeypatch.setattr(meeting_module, "ROOM", 0)
    sums: dict[SideName, BucketSums] = {"source": BucketSums(BY_HASH), "target": BucketSums(BY_HASH)}
    one = Meeting(ByEncoding(CONTRACT, NONCE), sums)
    waits: SideName = "target" if fails == "source" else "source"
    added: list[Any] = []

    def walk() -> None:
        with one.attended(waits):
            for number in range(3):
                one.add(waits, table([(number, "a")]))
                added.append(number)

    thread = threading.Thread(target=walk)
    thread.start()
    with pytest.raises(OSError, match="away"), one.attended(fails):
        raise OSError("the server went away")
    thread.join()
    assert added == [0, 1, 2]
    assert sums[waits].count == 3
