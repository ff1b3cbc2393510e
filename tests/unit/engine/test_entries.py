"""Raw source rows, as rejects keep them."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa

from migrate.engine.entries import raw_rows
from migrate.stores.port import ANOMALY


def test_raw_rows_are_found_by_key_whatever_columns_are_called() -> None:
    """All rows of a key, NULL among them, in an array; every value as text, bytes in hex, moments in UTC; a key without rows has none."""
    noon = dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)
    chunk = pa.table({
        'a"b': pa.array([1, None, None], pa.int64()),
        "select": pa.array([b"\x01", None, b""], pa.binary()),
        "at": pa.array([noon, None, noon], pa.timestamp("us", "UTC")),
        ANOMALY: pa.nulls(3, pa.string()),
    })  # fmt: skip
    keys = pa.table({'a"b': pa.array([None, 7, 1], pa.int64())})
    of_null, missing, of_one = raw_rows(chunk, keys)
    assert missing is None
    assert json.loads(of_one or "") == [{'a"b': "1", "select": "01", "at": "2025-01-01 12:00:00+00"}]
    found = sorted(json.loads(of_null or ""), key=lambda row: row["select"] is None)
    assert [row["select"] for row in found] == ["", None]


def test_raw_rows_say_why_one_cannot_be_read() -> None:
    """The reason stands with the row, as soon as one row of the chunk has any."""
    chunk = pa.table({"k": pa.array([1, 2], pa.int64()), ANOMALY: pa.array([None, "v: text in a number"], pa.string())})
    [found] = raw_rows(chunk, pa.table({"k": pa.array([2], pa.int64())}))
    assert json.loads(found or "") == [{"k": "2", ANOMALY: "v: text in a number"}]
