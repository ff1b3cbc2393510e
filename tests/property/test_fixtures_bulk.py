"""The bulk generator, for any seed and size: rows depend on the seed and their position only, and are always consistent."""

from collections import defaultdict
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import bulk, uscc
from fixtures.block import BLOCK_ROWS, make_block
from fixtures.columns import HEADERS, LINES, cents_text, decimal_text, header_batch
from tests.unit.fixtures import example_mapping
from tests.unit.fixtures.data import clean

seeds = st.integers(0, bulk.MAX_SEED)


@given(seeds, st.integers(1, 900), st.integers(1, 1000))
def test_batches_do_not_change_the_rows(seed: int, rows: int, batch_rows: int) -> None:
    """The same headers and lines, however they are cut; every batch but the last is full."""
    for generate, schema in ((bulk.headers, HEADERS), (bulk.lines, LINES)):
        batches = list(generate(rows, seed, batch_rows))
        assert pa.Table.from_batches(batches, schema) == pa.Table.from_batches(generate(rows, seed), schema)
        assert all(batch.num_rows == batch_rows for batch in batches[:-1])
        assert 0 < batches[-1].num_rows <= batch_rows


@given(seeds, st.integers(1, 600), st.integers(0, 600))
def test_more_rows_only_add_rows(seed: int, rows: int, more: int) -> None:
    """The first rows stay as they are, but for the status of blue invoices that a later row takes back."""
    short, long = clean(rows, seed), clean(rows + more, seed)
    for before, after in zip(short.headers, long.headers, strict=False):
        changed = {column for column in before if before[column] != after[column]}
        assert changed <= {"zt", "gxsj"}
        assert not changed or (before["zt"] in ("0", "4") and after["zt"] in ("3", "4"))
    assert long.lines[: len(short.lines)] == short.lines


@settings(max_examples=10)
@given(seeds, st.integers(1, 5))
def test_rows_beyond_a_block_depend_on_their_position_only(seed: int, batches: int) -> None:
    """A block made alone equals the same rows within a longer data set."""
    rows = BLOCK_ROWS + 50
    table = pa.Table.from_batches(bulk.headers(rows, seed, rows // batches))
    assert table.slice(BLOCK_ROWS).combine_chunks().to_batches()[0] == header_batch(make_block(seed, 1, 50))


@given(seeds, st.integers(1, 400))
def test_every_data_set_is_consistent(seed: int, rows: int) -> None:
    """Unique keys, valid ids, sums that agree, red sums within their blue amount, and nothing that the example mapping rejects."""
    books = clean(rows, seed)
    assert "rejected" not in example_mapping.outcomes(books.headers)
    keys = {(row["fpdm"], row["fphm"]) for row in books.headers}
    assert len(keys) == rows
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in books.lines:
        sums[line["fpdm"], line["fphm"]] += Decimal(line["je"])
    taken: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    gross = {}
    for row in books.headers:
        assert uscc.is_valid(row["xsf_nsrsbh"])
        if not (row["je"] or "").strip():
            continue
        key = row["fpdm"], row["fphm"]
        gross[key] = Decimal(row["jshj"])
        assert sums[key] == Decimal(row["je"])
        assert gross[key] == Decimal(row["je"]) + Decimal(row["se"])
        if gross[key] < 0:
            taken[row["yfpdm"], row["yfphm"]] -= gross[key]
    assert all(taken[key] <= gross[key] for key in taken)


@given(st.lists(st.integers(-(10**16), 10**16), max_size=20))
def test_amounts_are_written_exactly(cents: list[int]) -> None:
    """As Python's decimals write them, negative and small ones too."""
    expected = [f"{Decimal(value).scaleb(-2):.2f}" for value in cents]
    assert cents_text(np.array(cents, dtype=np.int64)).to_pylist() == expected


@given(st.lists(st.integers(-(10**17), 10**17), max_size=20), st.sampled_from([1000, 10**8]))
def test_quantities_and_prices_keep_every_decimal(values: list[int], scale: int) -> None:
    """Only zeros at the end are dropped, and never one before the point."""
    for value, text in zip(values, decimal_text(np.array(values, dtype=np.int64), scale).to_pylist(), strict=True):
        assert Decimal(text) * scale == value
        assert not text.endswith(".")
        assert "." not in text or not text.endswith("0")
