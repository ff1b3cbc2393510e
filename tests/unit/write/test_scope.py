"""Which stored rows a mapping answers for."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from migrate.mapping import duck
from migrate.write.scope import rows_in_scope

INSTANTS = pa.table(
    {"at": pa.array([datetime(2025, 1, 1, 3, tzinfo=UTC), datetime(2025, 1, 1, 9, tzinfo=UTC), None])},
    schema=pa.schema([("at", pa.timestamp("us", "UTC"))]),
)


def test_instants_are_judged_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine's own time is another, a constant without a zone means UTC all the same, as it does to the verifier."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    duck._shared.cache_clear()
    assert rows_in_scope(INSTANTS, "\"at\" >= '2025-01-01 05:00:00'").to_pylist() == [False, True, False]
    monkeypatch.undo()
    time.tzset()


def test_one_question_does_not_see_the_rows_of_another() -> None:
    """Questions share an instance of DuckDB, and nothing else."""
    with duck.connect_briefly() as one, duck.connect_briefly() as other:
        one.register("stored", pa.table({"n": [1]}))
        other.register("stored", pa.table({"n": [2]}))
        assert one.sql("SELECT n FROM stored").fetchall() == [(1,)]
        assert other.sql("SELECT n FROM stored").fetchall() == [(2,)]
    assert rows_in_scope(pa.table({"n": [1, None, 3]}), '"n" > 2').to_pylist() == [False, False, True]
