"""What row digests cost: the chosen engine beside the two that were not chosen, in turn on the same rows.

Rates are by processor time, so that a busy machine does not change the ratios. docs/decisions/0002-digest-engine.md
draws the conclusion; `make bench` takes its figures anew.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from migrate.checksum.contract import Contract
from migrate.checksum.encoding import encode_row
from migrate.checksum.set_digest import SetDigest
from migrate.checksum.vectorised import key_digests, key_hashes, row_digests
from migrate.values import LogicalType

ROWS = 200_000
ROUNDS = 5
LEAST_RATIO = 1.4
"""To DuckDB's `sha256` over the same text; measured 2.5."""

TEXT, MONEY = LogicalType("text"), LogicalType("decimal", 18, 2)


def invoices(rows: int) -> pa.Table:
    """17 columns like those of a migrated invoice: 11 texts (3 with NULLs), 3 amounts, a date, a flag, a bigint."""
    random = np.random.default_rng(1)
    sequence = np.arange(rows)
    tax_ids = pa.array([f"91110108MA{number:08}" for number in range(5000)])
    names = pa.array([f"北京某某科技发展有限公司{number}分公司" for number in range(5000)])
    seller, buyer = (pa.array(random.integers(0, 5000, rows)) for _ in range(2))
    number = pc.binary_join_element_wise("251", pa.array(sequence + 25_112_000_000_000_000).cast(pa.string()), "")
    digital, known = pa.array(random.random(rows) < 0.8), pa.array(random.random(rows) < 0.9)
    net = random.integers(-100_000_000, 50_000_000_000, rows)
    return pa.table(
        {
            "key": pc.binary_join_element_wise("O-", tax_ids.take(seller), "-SD-", number, ""),
            "direction": pa.repeat("O", rows),
            "owner_tax_id": tax_ids.take(seller),
            "type_code": pa.array(["81", "82", "01", "04"]).take(pa.array(random.integers(0, 4, rows))),
            "digital_no": pc.if_else(digital, number, None),
            "code": pc.if_else(digital, None, "011002100111"),
            "no": pc.if_else(digital, None, pc.utf8_slice_codeunits(number, 12, 20)),
            "issue_date": pa.array(random.integers(18_000, 20_400, rows), pa.int32()).cast(pa.date32()),
            "seller_tax_id": tax_ids.take(seller),
            "seller_name": names.take(seller),
            "buyer_tax_id": pc.if_else(known, tax_ids.take(buyer), None),
            "buyer_name": names.take(buyer),
            "net": cents(net),
            "tax": cents(net * 6 // 100),
            "gross": cents(net + net * 6 // 100),
            "is_blue": pa.array(net >= 0),
            "version": pa.array(20_250_101_000_000 + sequence),
        }
    )


def cents(amounts: np.ndarray[Any, Any]) -> pa.Array:
    """Amounts in cents as decimal128(18, 2)."""
    words = np.stack([amounts, amounts >> 63], axis=1)
    return pa.Array.from_buffers(pa.decimal128(18, 2), len(amounts), [None, pa.py_buffer(words)])


def type_of(arrow: pa.DataType) -> LogicalType:
    """The logical type of a column of `invoices`."""
    simple = {pa.string(): "text", pa.int64(): "integer", pa.bool_(): "boolean", pa.date32(): "date"}
    return MONEY if arrow == pa.decimal128(18, 2) else LogicalType(simple[arrow])  # type: ignore[arg-type]


INVOICES = invoices(ROWS)
CONTRACT = Contract(tuple((field.name, type_of(field.type)) for field in INVOICES.schema), ("key",))


def by_duckdb(rows: pa.Table) -> pa.ChunkedArray:
    """The same digests by DuckDB's SQL over Arrow, in one thread."""
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    row = " || ".join(_duckdb_field(f'"{name}"', logical) for name, logical in CONTRACT.columns)
    connection.register("rows", rows)
    return connection.sql(f"select sha256({row}) as r from rows").to_arrow_table().column("r")


def _duckdb_field(column: str, logical: LogicalType) -> str:
    if logical.kind == "boolean":
        return f"case when {column} is null then 'N;' when {column} then 'B1:1;' else 'B1:0;' end"
    tag = {"text": "S", "integer": "I", "decimal": "D", "date": "A"}[logical.kind]
    text = column if logical.kind == "text" else f"cast({column} as varchar)"
    return f"case when {column} is null then 'N;' else '{tag}' || strlen({text}) || ':' || {text} || ';' end"


def by_polars(rows: pa.Table) -> pl.DataFrame:
    """The same digests by polars' expressions alone, with its own thread pool."""
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    row = pl.concat_str([_polars_field(name, logical) for name, logical in CONTRACT.columns])
    return frame.select(row.alias("row")).select(plh.col("row").chash.sha2_256().alias("r"))


def _polars_field(name: str, logical: LogicalType) -> pl.Expr:
    column = pl.col(name)
    if logical.kind == "boolean":
        written = pl.when(column).then(pl.lit("B1:1;")).when(~column).then(pl.lit("B1:0;"))
        return written.otherwise(pl.lit("N;"))
    tag = {"text": "S", "integer": "I", "decimal": "D", "date": "A"}[logical.kind]
    text = column.cast(pl.String)
    return pl.concat_str(pl.lit(tag), text.str.len_bytes(), pl.lit(":"), text, pl.lit(";")).fill_null("N;")


def rate(work: Callable[[pa.Table], object], rows: pa.Table) -> float:
    """Rows per second of processor time, all threads added up; the median of some rounds."""
    work(rows.slice(0, 1000))
    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work(rows)
        seconds.append(time.process_time() - started)
    return len(rows) / statistics.median(seconds)


def test_row_digests_beside_other_engines(benchmark: Any) -> None:
    """All engines find the same digests; the chosen one takes the least processor time by far of DuckDB."""
    expected = [digest.as_py().hex() for digest in row_digests(INVOICES, CONTRACT)]
    assert by_duckdb(INVOICES).to_pylist() == expected
    assert by_polars(INVOICES)["r"].to_list() == expected
    rates = {
        "Arrow kernels + polars-hash": rate(lambda rows: row_digests(rows, CONTRACT), INVOICES),
        "polars expressions + polars-hash": rate(by_polars, INVOICES),
        "DuckDB": rate(by_duckdb, INVOICES),
        "reference evaluator": rate(
            lambda t: [encode_row(CONTRACT, r) for r in t.to_pylist()], INVOICES.slice(0, 5000)
        ),
    }
    benchmark.extra_info.update({name: round(figure) for name, figure in rates.items()})
    for name, figure in rates.items():
        print(f"\n{name:34} {figure:12,.0f} rows/s of one core", end="")
    benchmark.pedantic(row_digests, (INVOICES, CONTRACT), rounds=ROUNDS)
    assert rates["Arrow kernels + polars-hash"] >= LEAST_RATIO * rates["DuckDB"]


@pytest.mark.parametrize("workers", [1, 2])
def test_row_digests_in_worker_threads(benchmark: Any, workers: int) -> None:
    """Workers digest chunks of one table side by side, as batches of a run do; the wall clock tells how well."""
    chunks = [INVOICES.slice(start, 50_000) for start in range(0, ROWS, 50_000)]
    with ThreadPoolExecutor(workers) as pool:
        digests = benchmark(lambda: list(pool.map(lambda rows: row_digests(rows, CONTRACT), chunks)))
    if benchmark.stats:
        figure = ROWS / benchmark.stats.stats.median
        print(f"\n{workers} worker threads: {figure:,.0f} rows/s by the wall clock", end="")
    assert sum(map(len, digests)) == ROWS


def test_keys_and_sums(benchmark: Any) -> None:
    """Key digests, key hashes and the sums of a set digest, each beside row digests."""
    digests = row_digests(INVOICES, CONTRACT)
    whole = rate(lambda rows: row_digests(rows, CONTRACT), INVOICES)
    for name, work in {
        "key digests": lambda rows: key_digests(rows, CONTRACT),
        "key hashes": lambda rows: key_hashes(rows, ["key"]),
        "set digest of digests": lambda _rows: SetDigest.from_row_digests(digests),
    }.items():
        figure = rate(work, INVOICES)
        benchmark.extra_info[name] = round(figure)
        print(f"\n{name:34} {figure:12,.0f} rows/s of one core, {figure / whole:.1f} times row digests", end="")
    assert benchmark(SetDigest.from_row_digests, digests).count == ROWS
