"""A second driver beside the one that run and replay share: it sees what that one damages, and accuses nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from migrate.engine.plan import Plan
from migrate.stores.mariadb_source import MariaReader
from migrate.stores.port import ANOMALY
from migrate.stores.postgres_source import PostgresReader
from migrate.stores.sqlite_reader import SqliteReader
from migrate.verify.second_driver import SAMPLE_ROWS, Sample
from migrate.verify.verdict import Verification
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

READERS: dict[str, type[Any]] = {"postgresql": PostgresReader, "mariadb": MariaReader, "sqlite": SqliteReader}
TYPES = {
    "postgresql": {"amount": "numeric(20,4)", "day": "date", "at": "timestamp", "moment": "timestamptz", "raw": "bytea", "yes": "boolean", "tag": "char(6)", "f": "real"},
    "mariadb": {"amount": "decimal(20,4)", "day": "date", "at": "datetime(6)", "moment": "timestamp(6) NULL", "raw": "varbinary(20)", "yes": "boolean", "tag": "char(6)", "f": "float"},
    "sqlite": {"amount": "decimal(20,4)", "day": "date", "at": "timestamp", "moment": "text", "raw": "blob", "yes": "boolean", "tag": "char(6)", "f": "real"},
}  # fmt: skip
TEXTS = ["", " ", "a", "Ａ", "é", "发票代码 ", "𠮷野家", "x\ty\nz", "'\\\"", "…" * 300, None]
ROWS = 40


def row(number: int, kind: str) -> dict[str, Any]:
    """A row with NULLs, blanks, signs, fractions, long and rare characters."""
    odd = number % 7 == 3
    return {
        "k": f"K{number:04d}号",
        "name": TEXTS[number % len(TEXTS)],
        "amount": None if odd else f"{(-1) ** number * number}.{number % 10000:04d}",
        "day": None if odd else f"19{number + 50}-0{1 + number % 9}-1{number % 10}",
        "at": None if odd else f"2025-01-0{1 + number % 9} 23:59:59.{number:06d}",
        "moment": None if odd else f"1987-07-0{1 + number % 9} 01:30:00.{number:06d}",
        "raw": None if odd else bytes([0, 255, number]),
        "yes": None if odd else number % 2 if kind != "postgresql" else bool(number % 2),
        "tag": f"t{number % 3}",
        "f": number / 7,
    }


class Case:
    """A source with a column of each kind on one of the databases, and its copy."""

    def __init__(self, place: Path, url: str) -> None:
        self.source, target = Database(url), Database(f"sqlite:///{place / 'target.db'}")
        types = TYPES[self.source.kind]
        declared = ", ".join(f"{self.source.quoted(name)} {kind}" for name, kind in types.items())
        self.source.run(f"CREATE TABLE src (k varchar(20) NOT NULL PRIMARY KEY, name varchar(400), {declared})")
        self.source.insert("src", [row(number, self.source.kind) for number in range(ROWS)])
        columns = {name: kind for name, kind in TYPES["sqlite"].items() if name != "moment"}
        columns = {"name": "text", **columns, "amount": "DECIMAL_TEXT(20,4)", "f": "text"}
        target.run(
            f"CREATE TABLE dst (k text NOT NULL PRIMARY KEY, {', '.join(f'{name} {kind}' for name, kind in columns.items())})"
        )
        fields = ", ".join(f"{name}: {name}" for name in ("k", *columns) if name != "f") + ', f: {sql: "float_text(f)"}'
        self.plan: Plan = plan_of(
            place,
            f"mapping: second\nsource: {{table: src, key: [k]}}\ntargets: [{{table: dst, key: [k], fields: {{{fields}}}}}]\n",
            url,
            target.url,
        )

    def migrated_and_verified(self) -> Verification:
        """Run, then verify."""
        run_scheduled(self.plan)
        return verify_plan(self.plan, VerifyOptions())


@pytest.fixture
def case(tmp_path: Path, database_url: str) -> Case:
    """Fresh."""
    return Case(tmp_path, database_url)


def said(found: Verification) -> str | None:
    """What is said about the reading of the source."""
    return found.coverage[0].sentences()[0]


def test_two_drivers_agree_on_every_type(case: Case) -> None:
    """Whatever a column holds, a healthy driver is not accused, and the report says how many rows were read twice."""
    found = case.migrated_and_verified()
    assert (found.verdict, found.not_verified) == ("EQUAL", ()), found.to_json()
    text = said(found)
    assert text is not None
    assert text.startswith("read by a second driver too: ")
    assert int(text.rsplit(" ", 2)[1]) >= 3


@pytest.mark.parametrize("column", ["name", "amount", "day"])
def test_damage_by_the_shared_driver_is_seen(case: Case, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that damages one value in each reading makes source and target agree; the second driver does not: NOT_VERIFIED, exit 6."""
    damaged(monkeypatch, READERS[case.source.kind], column)
    found = case.migrated_and_verified()
    assert found.targets["dst"].verdict == "EQUAL"
    assert (found.verdict, found.exit_code) == ("NOT_VERIFIED", 6), found.to_json()
    (doubt,) = found.not_verified
    what, why = doubt.sentences()
    assert what == "the source"
    assert why.startswith(f"a second driver reads {column} of the row k = K")


def test_a_source_that_moves_accuses_nobody(case: Case) -> None:
    """Rows that changed after they were read are read again through both drivers, which agree."""
    if case.source.kind == "sqlite":
        case.source.run("PRAGMA journal_mode=WAL")
    run_scheduled(case.plan)
    moved = threading.Event()

    def move(side: str, _rows: int) -> None:
        if side == "source" and not moved.is_set():
            moved.set()
            case.source.run("UPDATE src SET name = 'moved'")

    found = verify_plan(case.plan, VerifyOptions(), move)
    assert moved.is_set()
    assert (found.verdict, found.not_verified) == ("EQUAL", ()), found.to_json()


def test_the_sample_is_spread_and_bounded() -> None:
    """However many chunks come, the sample has rows of the first and of the last, never more than its size, and every extreme."""
    sample = Sample()
    for number in range(3000):
        values = [number * 10 + place for place in range(10)]
        extreme = ["x" * 50 if number == 1234 else "x"] * 10
        sample.add(pa.table({"n": values, "t": extreme, ANOMALY: pa.nulls(10, pa.string())}))
    rows = sample.rows()
    assert rows is not None
    numbers = rows["n"].to_pylist()
    assert len(numbers) <= SAMPLE_ROWS + 10
    assert {0, 29999} <= set(numbers)
    assert max(map(len, rows["t"].to_pylist())) == 50
    gaps = [after - before for before, after in zip(sorted(numbers), sorted(numbers)[1:], strict=False)]
    assert max(gaps) < 30000 / 60


def damaged(monkeypatch: pytest.MonkeyPatch, reader: type[Any], column: str) -> None:
    """Let everything that this driver reads have another value in one column of the row that is first in its key."""

    def spoil(rows: Any) -> Any:
        if column not in rows.schema.names or "k" not in rows.schema.names:
            return rows
        hit = pc.equal(rows["k"], "K0000号")
        other = pc.if_else(hit, pa.scalar(None, rows.schema.field(column).type), rows[column])
        return rows.set_column(rows.schema.names.index(column), rows.schema.field(column), other)

    def stream(name: str) -> Any:
        original = getattr(reader, name)

        def spoilt(self: Any, *given: Any, **named: Any) -> Iterator[pa.RecordBatch]:
            for batch in original(self, *given, **named):
                yield spoil(batch)

        return spoilt

    pick = reader.pick
    monkeypatch.setattr(reader, "pick", lambda self, *given, **named: spoil(pick(self, *given, **named)))
    for name in ("scan", "read"):
        monkeypatch.setattr(reader, name, stream(name))
