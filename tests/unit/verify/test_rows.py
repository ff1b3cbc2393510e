"""Rows of differing buckets beside each other: keys compared with a plain model, duplicates counted, parts that hold whole buckets."""

from __future__ import annotations

import resource
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.errors import EnvironmentFault
from migrate.verify import rows as rows_module
from migrate.verify.buckets import BucketSums, buckets_of
from migrate.verify.rows import KEY, ROW, Parts, differing_keys, shares_key
from migrate.verify.verdict import SideName

Side = list[tuple[bytes, bytes]]
SIDES = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.sampled_from([b"1", b"2", b"3"])), max_size=12)


def table(side: Side) -> pa.Table | None:
    """The rows as a part holds them; None for no rows."""
    keys, digests = ([pair[n] for pair in side] for n in (0, 1))
    return pa.table({KEY: pa.array(keys, pa.binary()), ROW: pa.array(digests, pa.binary())}) if side else None


def model(source: Side, target: Side) -> dict[bytes, tuple[str, int, int]]:
    """Kind and counts per key that differs, in plain Python."""
    sides: dict[bytes, tuple[Counter[bytes], Counter[bytes]]] = defaultdict(lambda: (Counter(), Counter()))
    for number, side in enumerate((source, target)):
        for key, row in side:
            sides[key][number][row] += 1
    found = {}
    for key, (mine, its) in sides.items():
        if mine != its:
            before, after = mine.total(), its.total()
            kind = (
                "missing" if not after else "extra" if not before else "multiplicity" if before != after else "changed"
            )
            found[key] = (kind, before, after)
    return found


@given(SIDES, SIDES)
def test_differing_keys_are_those_of_a_plain_model(source: Side, target: Side) -> None:
    """Missing, extra, changed and multiplicity with their counts, and places of rows that have no equal on the other side."""
    found = list(differing_keys(table(source), table(target)))
    named = {}
    for each in found:
        places = [(source, each.source_at), (target, each.target_at)]
        (key,) = {side[at][0] for side, at in places if at is not None}
        named[key] = (each.kind, each.source_rows, each.target_rows)
        for (side, at), other in zip(places, (target, source), strict=True):
            if at is not None:
                assert side.count(side[at]) != other.count(side[at])
        if each.kind == "changed":
            assert each.source_at is not None
            assert each.target_at is not None
            assert source[each.source_at] != target[each.target_at]
    assert named == model(source, target)
    assert len(found) == len(named)


@given(SIDES)
def test_rows_that_share_a_key_are_those_of_a_plain_model(source: Side) -> None:
    """Every row whose key another row has, and no other."""
    rows = table(source)
    if rows is None:
        return
    times = Counter(key for key, _ in source)
    assert shares_key(rows).tolist() == [times[key] > 1 for key, _ in source]


def test_parts_hold_the_rows_of_differing_buckets_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of equal buckets are not kept; a bucket lies in one part with both sides, and no row is lost; the folder goes away."""
    monkeypatch.setattr(rows_module, "PART_ROWS", 3)
    keys = [bytes([number % 8, number]) + bytes(30) for number in range(40)]
    digests = [bytes([number]) * 32 for number in range(40)]
    sides: dict[SideName, list[int]] = {"source": list(range(40)), "target": [n for n in range(40) if n % 8 in (0, 5)]}
    sums = {name: BucketSums() for name in sides}
    arrays = {
        name: (pa.array([keys[n] for n in some], pa.binary(32)), pa.array([digests[n] for n in some], pa.binary(32)))
        for name, some in sides.items()
    }
    for name, (key, row) in arrays.items():
        sums[name].add(key, row)
    with Parts(sums["source"], sums["target"]) as parts:
        folder: Path = parts._folder
        for name, some in sides.items():
            parts.add(name, pa.table({"n": some}), *arrays[name])
        held = [parts.read("source", number) for number in range(parts.count)]
        assert [parts.read("target", number) for number in range(parts.count)] == [None] * parts.count
    kept = [set(part["n"].to_pylist()) for part in held if part is not None]
    assert sorted(n for part in kept for n in part) == [n for n in range(40) if n % 8 not in (0, 5)]
    assert len(kept) > 1
    assert not folder.exists()


def spread_out(rows: int) -> tuple[pa.Table, pa.Array, pa.Array]:
    """Rows of one number each in buckets of their own, with their digests."""
    keys = [number.to_bytes(2, "big") * 2 + bytes(28) for number in range(0, rows * 16, 16)]
    digests = [bytes([number % 256]) * 32 for number in range(rows)]
    return pa.table({"n": range(rows)}), pa.array(keys, pa.binary(32)), pa.array(digests, pa.binary(32))


def test_more_parts_than_a_process_may_have_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything differs, rows come back whole from more parts than can be open at a time, however they came."""
    monkeypatch.setattr(rows_module, "PART_ROWS", 1)
    rows, keys, digests = spread_out(600)
    sums = BucketSums()
    sums.add(keys, digests)
    used = len(list(Path("/dev/fd").iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3 * rows_module.OPEN_FILES, hard))
    try:
        with Parts(sums, BucketSums()) as parts:
            for _ in range(2):
                parts.add("source", rows, keys, digests)
            assert parts.count == 600
            held = [parts.read("source", number) for number in range(parts.count)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [part["n"].to_pylist() for part in held if part is not None] == [[n, n] for n in range(600)]


def test_a_disk_that_takes_no_rows_is_the_environments_fault() -> None:
    """Neither a defect of the toolkit nor a difference."""
    rows, keys, digests = spread_out(3)
    sums = BucketSums()
    sums.add(keys, digests)
    with Parts(sums, BucketSums()) as parts:
        parts._folder.rmdir()
        with pytest.raises(EnvironmentFault, match="cannot be kept on disk") as fault:
            parts.add("source", rows, keys, digests)
    assert "TMPDIR" in str(fault.value)


def test_a_second_reading_must_be_the_first() -> None:
    """A side that gives other rows than it was summed up by is named, in differing buckets; what was added otherwise cut is the same."""
    rows, keys, digests = spread_out(8)
    sums, none = BucketSums(), BucketSums()
    sums.add(keys, digests)
    with Parts(sums, none) as parts:
        for start in (0, 4):
            some = pa.array(range(start, start + 4))
            parts.add("source", rows.take(some), keys.take(some), digests.take(some))
        assert parts.unsteady() == []
    with Parts(sums, none) as parts:
        parts.add("source", rows.slice(1), keys.slice(1), digests.slice(1))
        assert parts.unsteady() == ["source"]
    with Parts(sums, none) as parts:
        parts.add("source", rows, keys, digests)
        parts.add("target", rows.slice(0, 1), keys.slice(0, 1), digests.slice(0, 1))
        assert parts.unsteady() == ["target"]


def test_where_rows_met_only_both_sides_together_are_unsteady() -> None:
    """Rows that met are in no sum: a side with fewer rows is named, and where both have as many as before, neither is by itself."""
    rows, keys, digests = spread_out(8)
    sums: dict[SideName, BucketSums] = {"source": BucketSums(), "target": BucketSums()}
    for each in sums.values():
        each.add_met(buckets_of(keys.slice(4)))
    sums["source"].add(keys.slice(0, 4), digests.slice(0, 4))
    sums["target"].add(keys.slice(0, 4), digests.slice(1, 4))
    for source, target, unsteady in (
        ((keys, digests), (keys, pa.concat_arrays([digests.slice(1, 4), digests.slice(4)])), []),
        ((keys, digests), (keys, digests), ["source", "target"]),
        ((keys.slice(1), digests.slice(1)), (keys, digests), ["source"]),
    ):
        with Parts(sums["source"], sums["target"]) as parts:
            for side, (some, contents) in (("source", source), ("target", target)):
                parts.add(side, rows.slice(8 - len(some)), some, contents)  # type: ignore[arg-type]
            assert parts.unsteady() == unsteady
