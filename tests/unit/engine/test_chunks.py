"""Chunks of a key range: bounded in bytes, never through equal keys, nothing lost and nothing twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.engine.chunks import read_chunks
from migrate.mapping.program import Program
from migrate.stores.port import ANOMALY, SourceReader
from migrate.values import KeyRange
from tests.rig.database import Database
from tests.rig.schedule import plan_of

SCHEMA = pa.schema([("k", pa.int64()), ("t", pa.string()), (ANOMALY, pa.string())])
EVERYTHING = KeyRange(0, ("k",), None, None)


@dataclass(frozen=True)
class Batches:
    """A source that is a list of record batches."""

    batches: tuple[pa.RecordBatch, ...]

    def read(
        self, key_range: KeyRange, order: tuple[str, ...], chunk_bytes: int, columns: tuple[str, ...] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All of them, however large."""
        assert chunk_bytes > 0
        assert (key_range, order, columns) == (EVERYTHING, ("k",), ("k", "t"))
        yield from self.batches


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The program of a mapping that reads (k, t) in the order of k, which is not unique."""
    place: Path = tmp_path_factory.mktemp("chunks")
    source, target = (Database(f"sqlite:///{place / name}.db") for name in ("source", "target"))
    source.run("CREATE TABLE src (k integer, t text)")
    target.run("CREATE TABLE dst (t text PRIMARY KEY, k integer)")
    mapping = """
        mapping: chunks
        source: {table: src, key: [k]}
        targets: [{table: dst, key: [t], fields: {t: t, k: k}}]
        """
    return plan_of(place, mapping, source.url, target.url).program


def reader_of(keys: Sequence[int | None], sizes: Sequence[int]) -> SourceReader:
    """Rows with these keys, cut into batches of these sizes and a last one."""
    rows = pa.table({"k": pa.array(keys, pa.int64()), "t": [str(n) for n in range(len(keys))]})
    rows = rows.append_column(ANOMALY, pa.nulls(len(keys), pa.string())).cast(SCHEMA)
    batches: list[pa.RecordBatch] = []
    start = 0
    for size in (*sizes, len(keys)):
        piece = rows.slice(start, size).combine_chunks()
        batches += piece.to_batches() or [pa.RecordBatch.from_pylist([], SCHEMA)]
        start += size
    return cast("SourceReader", Batches(tuple(batches)))


@given(
    st.lists(st.none() | st.integers(0, 6), max_size=30), st.lists(st.integers(0, 5), max_size=8), st.integers(1, 400)
)
def test_chunks_hold_all_rows_once_and_cut_between_keys(
    program: Program, keys: list[int | None], sizes: list[int], chunk_bytes: int
) -> None:
    """However the source cuts its batches: all rows, in order, and rows with equal keys (NULL too) in one chunk."""
    ordered = sorted(keys, key=lambda key: (key is not None, key or 0))
    chunks = list(read_chunks(reader_of(ordered, sizes), EVERYTHING, program, chunk_bytes))
    assert chunks
    assert all(chunk.schema.names == ["k", "t", ANOMALY] for chunk in chunks)
    found: list[Any] = [chunk["k"].to_pylist() for chunk in chunks]
    assert [key for chunk in found for key in chunk] == ordered
    assert [text for chunk in chunks for text in chunk["t"].to_pylist()] == [str(n) for n in range(len(ordered))]
    filled = [chunk for chunk in found if chunk]
    for one, next_one in itertools.pairwise(filled):
        assert one[-1] != next_one[0]


def test_a_small_bound_gives_many_chunks(program: Program) -> None:
    """With a bound of one byte every key has a chunk of its own, so that memory is bounded by what shares a key."""
    chunks = list(read_chunks(reader_of([1, 1, 2, 3, 3], [1, 1, 1, 1]), EVERYTHING, program, 1))
    assert [chunk["k"].to_pylist() for chunk in chunks if chunk.num_rows] == [[1, 1], [2], [3, 3]]


def test_a_grouped_range_is_one_chunk(program: Program) -> None:
    """Groups may interleave under the source's collation: no place inside of the range is a safe cut."""
    grouped = replace(program, grouped=True)
    (chunk,) = read_chunks(reader_of([1, 2, 1, 2], [1, 1, 1]), EVERYTHING, grouped, 1)
    assert chunk["k"].to_pylist() == [1, 2, 1, 2]
