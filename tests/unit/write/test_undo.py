"""Undo chunks: what was put in comes out, and every unit and key is found by the tokens and the filter of its chunk."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.checksum.vectorised import key_hashes
from migrate.write import undo
from migrate.write.undo import (
    TOKEN_BYTES,
    UndoSubject,
    cut_high,
    cut_low,
    decode_undo,
    encode_undo,
    may_contain,
    unit_tokens,
)

KEY_TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "integer": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "wide": (pa.decimal128(38, 0), st.integers(-(10**38 - 1), 10**38 - 1).map(Decimal)),
    "money": (pa.decimal128(18, 2), st.decimals(-(10**15), 10**15, places=2)),
    "text": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=120)),
    "bytes": (pa.binary(), st.binary(max_size=300)),
    "date": (pa.date32(), st.dates(date(1, 1, 1))),
    "time": (pa.time64("us"), st.times()),
    "timestamp": (pa.timestamp("us"), st.datetimes(datetime(1, 1, 1))),  # noqa: DTZ001 - without zone on purpose
    "instant": (pa.timestamp("us", tz="UTC"), st.datetimes(datetime(1, 1, 2), timezones=st.just(UTC))),  # noqa: DTZ001
    "float": (pa.float64(), st.floats(allow_nan=False)),
    "boolean": (pa.bool_(), st.booleans()),
}


@st.composite
def unit_keys(draw: st.DrawFn) -> pa.Table:
    """Some unit keys of one or two columns of any type, with NULLs."""
    kinds = draw(st.lists(st.sampled_from(list(KEY_TYPES)), min_size=1, max_size=2))
    rows = draw(st.lists(st.tuples(*(st.none() | KEY_TYPES[kind][1] for kind in kinds)), min_size=1, max_size=20))
    columns = list(zip(*rows, strict=True))
    return pa.table({f"c{n}": pa.array(columns[n], KEY_TYPES[kind][0]) for n, kind in enumerate(kinds)})


def records_of(units: pa.Table) -> tuple[UndoSubject, pa.Table]:
    """Undo records of these units, each of which wrote a row whose key is its number."""
    columns = {f"unit_{name}": units[name] for name in units.column_names}
    columns |= {
        "ordinal": pa.array(range(units.num_rows), pa.int64()),
        "key_n": pa.array(range(units.num_rows), pa.int64()),
        "op": pa.array([1] * units.num_rows, pa.int8()),
        "digest": pa.array([bytes(16)] * units.num_rows, pa.binary(16)),
    }
    subject = UndoSubject("t", tuple(units.column_names), ("n",), ("n", "c"), (("free", None), ("extra", "7")))
    return subject, pa.table(columns)


@given(unit_keys())
def test_records_come_back_and_are_found(units: pa.Table) -> None:
    """In any number of chunks: all records, each inside of its chunk's tokens and filter."""
    subject, records = records_of(units)
    found = []
    for chunk in encode_undo(subject, records):
        again, part = decode_undo(chunk.payload)
        assert again == subject
        assert (chunk.target, chunk.rows) == ("t", part.num_rows)
        for token in unit_tokens(part.select([f"unit_{name}" for name in units.column_names])).to_pylist():
            assert chunk.low_unit <= cut_high(token)
            assert cut_low(token) <= chunk.high_unit
        assert may_contain(chunk.key_filter, key_hashes(part.select(["key_n"]), ("key_n",))).all()
        found.append(part)
    assert pa.concat_tables(found).replace_schema_metadata(None) == records


@given(unit_keys())
def test_a_key_by_itself_has_the_token_that_it_has_in_its_column(units: pa.Table) -> None:
    """A unit is looked up by single Python values, whose Arrow types are guessed anew: the token must not change."""
    tokens = unit_tokens(units).to_pylist()
    for row, token in zip(units.to_pylist(), tokens, strict=True):
        alone = pa.table({name: pa.array([value]) for name, value in row.items()})
        assert unit_tokens(alone)[0].as_py() == token


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2))
def test_tokens_of_integers_are_in_their_order(numbers: list[int]) -> None:
    """So the chunks of a run over an integer key overlap little."""
    ordered = sorted(numbers)
    tokens = unit_tokens(pa.table({"k": pa.array(ordered, pa.int64())})).to_pylist()
    assert tokens == sorted(tokens)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_cut_tokens_only_widen(one: bytes, other: bytes) -> None:
    """The low end never lies above its token nor the high end below; both fit the ledger's columns."""
    low, high = sorted((one, other))
    assert cut_low(low) <= low <= high
    assert cut_low(low) <= cut_high(high)
    assert cut_high(high) >= cut_low(high)
    assert len(cut_low(low)) <= TOKEN_BYTES
    assert len(cut_high(high)) <= TOKEN_BYTES + 8


def test_records_are_cut_into_chunks_below_the_packet_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many records make several chunks, and together they are all records in order."""
    monkeypatch.setattr(undo, "CHUNK_BYTES", 2_000)
    subject, records = records_of(pa.table({"k": pa.array(range(500), pa.int64())}))
    chunks = list(encode_undo(subject, records))
    assert len(chunks) > 5
    assert pa.concat_tables([decode_undo(chunk.payload)[1] for chunk in chunks])["unit_k"].to_pylist() == list(
        range(500)
    )


def test_foreign_keys_are_rarely_in_a_filter() -> None:
    """The filter is certain about what is there, and passes almost nothing else."""
    hashes = key_hashes(pa.table({"key_n": pa.array(range(60_000), pa.int64())}), ("key_n",))
    subject, records = records_of(pa.table({"k": pa.array(range(10_000), pa.int64())}))
    (chunk,) = encode_undo(subject, records)
    found = may_contain(chunk.key_filter, hashes)
    assert found[:10_000].all()
    assert int(np.count_nonzero(found[10_000:])) <= 1


def test_no_records_make_no_chunk() -> None:
    """A batch that wrote nothing leaves nothing to take back."""
    subject, records = records_of(pa.table({"k": pa.array([1], pa.int64())}))
    assert list(encode_undo(subject, records.slice(0, 0))) == []
