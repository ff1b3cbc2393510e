"""Rows of differing buckets beside each other: keys compared with a plain model, duplicates counted, parts that hold whole buckets."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.verify import rows as rows_module
from migrate.verify.buckets import BucketSums
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
