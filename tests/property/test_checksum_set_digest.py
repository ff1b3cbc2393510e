"""The set digest: free of order and of chunking, and sensitive to whatever happens to rows."""

from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import assume, given
from hypothesis import strategies as st

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import NotEncodable, encode_row
from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import row_digests
from migrate.values import LogicalType
from tests.property.checksum_rows import Rows, Sample, exact_decimals, samples, texts, values_of

INVOICE = {"key": LogicalType("text"), "net": LogicalType("decimal", 18, 2), "date": LogicalType("date")}
invoices = st.lists(
    st.fixed_dictionaries({"key": texts, "net": exact_decimals(18, 2), "date": st.none() | st.dates()}),
    min_size=2,
    max_size=6,
)


def digest(rows: Rows, types: dict[str, LogicalType]) -> SetDigest:
    """The set digest of the rows."""
    sample = Sample(types, rows)
    return SetDigest.from_row_digests(row_digests(sample.table(), sample.contract))


def encodings(rows: Rows, types: dict[str, LogicalType]) -> Counter[bytes]:
    """The multiset of encodings: what a set digest stands for."""
    contract = Contract(tuple(types.items()))
    return Counter(encode_row(contract, row) for row in rows)


@given(samples(), st.randoms(use_true_random=False), st.lists(st.integers(0, 6), max_size=3))
def test_order_and_chunks_do_not_count(sample: Sample, random: Any, cuts: list[int]) -> None:
    """Shuffled rows, cut anywhere and added up part by part, have the digest of the whole."""
    whole = SetDigest.from_row_digests(row_digests(sample.table(), sample.contract))
    shuffled = Sample(sample.types, random.sample(sample.rows, len(sample.rows)))
    table = shuffled.table([min(cut, len(sample.rows)) for cut in cuts])
    assert SetDigest.from_row_digests(row_digests(table, sample.contract)) == whole
    parts = SetDigest()
    for batch in table.to_batches(max_chunksize=2):
        parts = parts + SetDigest.from_row_digests(row_digests(pa.Table.from_batches([batch]), sample.contract))
    assert parts == whole
    assert SetDigest.parse(str(parts)) == whole


@given(invoices, st.data())
def test_any_single_changed_value_is_seen(rows: Rows, data: st.DataObject) -> None:
    """One value of one row replaced by any other value changes the digest."""
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(sorted(INVOICE)))
    changed = [dict(each) for each in rows]
    changed[row][column] = data.draw(values_of(INVOICE[column]))
    same = encodings(changed, INVOICE) == encodings(rows, INVOICE)
    assert (digest(changed, INVOICE) == digest(rows, INVOICE)) == same


@given(invoices, st.sampled_from(sorted(INVOICE)))
def test_values_exchanged_between_two_rows_are_seen(rows: Rows, column: str) -> None:
    """Two rows that exchanged one value are another set, although all the column's values are still there."""
    assume(rows[0][column] != rows[1][column])
    exchanged = [dict(each) for each in rows]
    exchanged[0][column], exchanged[1][column] = rows[1][column], rows[0][column]
    assume(encodings(exchanged, INVOICE) != encodings(rows, INVOICE))
    assert digest(exchanged, INVOICE) != digest(rows, INVOICE)


@given(invoices)
def test_values_exchanged_between_two_columns_are_seen(rows: Rows) -> None:
    """A row whose two columns exchanged their values is another row."""
    types = {"key": LogicalType("text"), "net": LogicalType("decimal", 20, 2), "tax": LogicalType("decimal", 20, 2)}
    two = [{"key": row["key"], "net": row["net"], "tax": row["net"] + 1} for row in rows]
    crossed = [{**row, "net": row["tax"], "tax": row["net"]} for row in two]
    assert digest(crossed, types) != digest(two, types)


@given(invoices, st.integers(1, 3))
def test_duplicated_pairs_are_seen(rows: Rows, times: int) -> None:
    """Rows that are there twice, thrice or four times more are seen; in an XOR a pair would cancel itself out."""
    assert digest(rows + [rows[0]] * times, INVOICE) != digest(rows, INVOICE)
    replaced = [rows[0], rows[0], *rows[2:]]
    assert (digest(replaced, INVOICE) == digest(rows, INVOICE)) == (
        encodings(replaced, INVOICE) == encodings(rows, INVOICE)
    )


@given(samples(least=1))
def test_a_row_without_encoding_is_poison(sample: Sample) -> None:
    """A value that has no encoding never disappears: its row is counted as poison."""
    refused = 0
    for row in sample.rows:
        try:
            encode_row(sample.contract, row)
        except NotEncodable:
            refused += 1
    total = SetDigest.from_row_digests(row_digests(sample.table(), sample.contract))
    assert (total.count, total.poison) == (len(sample.rows), refused)
