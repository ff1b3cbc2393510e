"""Raw source rows, as rejects keep them."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa

from migrate.engine.entries import raw_rows


def test_raw_rows_are_found_by_key_whatever_columns_are_called() -> None:
    """All rows of a key, NULL among them, in an array; every value as text, bytes in hex, moments in UTC; a key without rows has none."""
    noon = dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)
    chunk = pa.table({
        'a"b': pa.array([1, None, None], pa.int64()),
        "select": pa.array([b"\x01", None, b""], pa.binary()),
        "at": pa.array([noon, None, noon], pa.timestamp("us", "UTC")),
    })  # fmt: skip
    keys = pa.table({'a"b': pa.array([None, 7, 1], pa.int64())})
    of_null, missing, of_one = raw_rows(chunk, keys)
    assert missing is None
    assert json.loads(of_one or "") == [{'a"b': "1", "select": "01", "at": "2025-01-01 12:00:00+00"}]
    found = sorted(json.loads(of_null or ""), key=lambda row: row["select"] is None)
    assert [row["select"] for row in found] == ["", None]
