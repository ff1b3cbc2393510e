"""How fast invoices are made: the bulk generator beside Faker with one call per field, in turn on the same core.

Rates are by processor time, so that a busy machine does not change the ratio.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from faker import Faker

from fixtures import bulk

ROUNDS = 5
BULK_ROWS = 300_000
FAKER_ROWS = 1_000
LEAST_RATIO = 50
"""300,000 invoices/s where Faker makes 6,000: the first step; the goal is 100."""


def faker_invoices() -> list[tuple[object, ...]]:
    """Twelve fields per invoice, each by a call of Faker: no check digits, no sums, no red invoices."""
    fake = Faker("zh_CN")
    fake.seed_instance(0)
    return [
        (
            fake.numerify("##########"), fake.numerify("########"), fake.date(), fake.company(), fake.bothify("91################"),
            fake.company(), fake.bothify("91################"), fake.pydecimal(5, 2), fake.pydecimal(5, 2), fake.name(),
            fake.word(), fake.address(),
        )
        for _ in range(FAKER_ROWS)
    ]  # fmt: skip


def drain(generate: Callable[[int], Iterator[pa.RecordBatch]], rows: int) -> int:
    """Generate all batches, keep none, count their rows."""
    return sum(batch.num_rows for batch in generate(rows))


def processor_seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def test_bulk_headers_beside_faker(benchmark: Any) -> None:
    """Headers as Arrow, with valid ids, sums, red invoices and skew, against bare fields of Faker."""
    drain(bulk.headers, BULK_ROWS)
    faker_invoices()
    in_turn = [
        (processor_seconds(lambda: drain(bulk.headers, BULK_ROWS)), processor_seconds(faker_invoices))
        for _ in range(ROUNDS)
    ]
    rate = BULK_ROWS / statistics.median(bulk_seconds for bulk_seconds, _ in in_turn)
    faker_rate = FAKER_ROWS / statistics.median(faker_seconds for _, faker_seconds in in_turn)
    benchmark.extra_info.update(invoices_per_second=round(rate), times_faker=round(rate / faker_rate))
    print(
        f"\nbulk headers {rate:,.0f} invoices/s; Faker, 12 fields, {faker_rate:,.0f}/s; ratio {rate / faker_rate:.0f}"
    )
    benchmark.pedantic(drain, (bulk.headers, BULK_ROWS), rounds=3)
    assert rate / faker_rate >= LEAST_RATIO


def test_bulk_lines(benchmark: Any) -> None:
    """The lines of the invoices, which need the headers' keys and so make them too."""
    rows = BULK_ROWS // 2
    lines = drain(bulk.lines, rows)
    rate = rows / statistics.median(processor_seconds(lambda: drain(bulk.lines, rows)) for _ in range(ROUNDS))
    benchmark.extra_info.update(invoices_per_second=round(rate))
    print(f"\nbulk lines of {rate:,.0f} invoices/s, {rate * lines / rows:,.0f} lines/s")
    benchmark.pedantic(drain, (bulk.lines, rows), rounds=3)
    assert lines > rows


@pytest.mark.parametrize("rows", [100_000, 1_000_000])
def test_memory_does_not_grow_with_the_rows(rows: int) -> None:
    """What Arrow holds at any time is a few blocks, whatever the number of rows."""
    peak, before = 0, pa.total_allocated_bytes()
    for _ in bulk.headers(rows):
        peak = max(peak, pa.total_allocated_bytes() - before)
    print(f"\n{rows:,} headers: at most {peak / 2**20:.0f} MiB in Arrow")
    assert peak < 64 * 2**20
