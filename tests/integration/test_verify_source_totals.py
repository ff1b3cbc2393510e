"""Control totals in the source's own SQL: they see what reading or mapping lost, and accuse nobody of hostile values that are equal."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrate.mapping.mapped import Mapped
from migrate.mapping.transformer import Transformer
from migrate.stores.mariadb_source import MariaReader
from migrate.stores.postgres_source import PostgresReader
from migrate.stores.sqlite_reader import SqliteReader
from migrate.verify.verdict import Verification, unsteady
from migrate.verify.verify import VerifyOptions, verify_plan
from tests.rig.database import Database
from tests.rig.schedule import plan_of, run_scheduled

READERS: dict[str, type[Any]] = {"postgresql": PostgresReader, "mariadb": MariaReader, "sqlite": SqliteReader}
TYPES = {
    "postgresql": {"amount": "numeric(18,2)", "count": "bigint", "day": "date", "said": "text", "state": "varchar(20)", "bare": "numeric"},
    "mariadb": {"amount": "decimal(18,2)", "count": "bigint", "day": "date", "said": "varchar(200)", "state": "varchar(20)", "bare": "decimal(30,6)"},
    "sqlite": {"amount": "decimal(18,2)", "count": "bigint", "day": "date", "said": "text", "state": "varchar(20)", "bare": "decimal(30,6)"},
}  # fmt: skip
MAPPING = """
mapping: own_sums
source: {table: src, key: [k], where: "coalesce(state, '') <> 'gone' and not (count = -7)"}
targets:
  - table: dst
    key: [id]
    fields:
      id: k
      amount: amount
      count: count
      day: day
      said: {from: said, nulls: ["", " "], clean: money}
      state: {from: state, nulls: [" "], values: {a: "1", "A": "2", "a ": "3"}, default: "9"}
      bare: {sql: "cast(bare as decimal(30,6))"}
totals:
  - {target: dst, by: {month: "strftime(day, '%Y-%m')", state: state}, sum: [amount, count, said, bare]}
"""
ROWS = 40
TEXTS = ("1.00", "-12.5", "0", "-0", "", " ", None, "1,234.50", "￥7", "１２", "12O", "+5", "007", "1e3", ".5", "5.", "1.2345678", "999999999999999.99", "12\n", "--1")  # fmt: skip
STATES = ("a", "A", "a ", "á", "gone", "GONE", "", " ", None, "号", "'\"")


def row(number: int) -> dict[str, Any]:
    """A row with NULLs, blanks, signs, amounts in all spellings, and states that differ in nothing but case or blanks."""
    return {
        "k": number,
        "amount": None if number % 7 == 3 else f"{(-1) ** number * number}.{number % 100:02d}",
        "count": None if number % 5 == 1 else (-1) ** number * 10**9 * number,
        "day": None if number % 11 == 4 else f"19{number + 50}-0{1 + number % 9}-1{number % 10}",
        "said": TEXTS[number % len(TEXTS)],
        "state": STATES[number % len(STATES)],
        "bare": None if number % 3 == 2 else f"{number}.{number:03d}",
    }


class Case:
    """A source on one of the databases, and a target of SQLite."""

    def __init__(
        self, place: Path, url: str, rows: list[dict[str, Any]], mapping: str = MAPPING, **other_types: str
    ) -> None:
        self.source, target = Database(url), Database(f"sqlite:///{place / 'target.db'}")
        types = {**TYPES[self.source.kind], **other_types}
        declared = ", ".join(f"{self.source.quoted(name)} {kind}" for name, kind in types.items())
        self.source.run("DROP TABLE IF EXISTS src", f"CREATE TABLE src (k bigint NOT NULL PRIMARY KEY, {declared})")
        self.source.insert("src", rows)
        money = "DECIMAL_TEXT(18,2)"
        target.run(
            "DROP TABLE IF EXISTS dst",
            f"CREATE TABLE dst (id bigint NOT NULL PRIMARY KEY, amount {money}, count bigint, day date, said {money}, "
            "state text, bare DECIMAL_TEXT(30,6))",
        )
        self.plan = plan_of(place, mapping, url, target.url)

    def migrated_and_verified(self) -> Verification:
        """Run, then verify."""
        run_scheduled(self.plan)
        return verify_plan(self.plan, VerifyOptions(allow_empty=True))


@pytest.fixture
def case(tmp_path: Path, database_url: str) -> Case:
    """Forty rows."""
    return Case(tmp_path, database_url, [row(number) for number in range(ROWS)])


def notes(found: Verification) -> list[str]:
    """What is said about the source."""
    return [each.text() for each in found.coverage[0].notes]


def doubts(found: Verification) -> list[str]:
    """Why the source is not verified."""
    return [": ".join(each.sentences()) for each in found.not_verified]


def test_the_source_agrees_on_hostile_values(case: Case) -> None:
    """Whatever the columns hold, the sums of a healthy run are those of the source, over all of its groups, and the report says so."""
    found = case.migrated_and_verified()
    assert (found.verdict, doubts(found)) == ("EQUAL", []), found.to_json()
    kept = [each for each in map(row, range(ROWS)) if each["state"] != "gone" and each["count"] is not None]
    spelled = sum(
        each["said"] in ("1,234.50", "￥7", "１２", "+5", "007", ".5", "5.", "12\n", "999999999999999.99")
        for each in kept
    )
    assert notes(found) == [
        f"rows counted by the source itself too: {len(kept)}",
        "totals asked of the source in its own SQL, all equal: dst (amount, count, said, bare) / month, state",
        f"left out of these: {spelled} values that are written in a way that only the mapping reads as numbers",
    ]


def test_an_empty_source_agrees(tmp_path: Path, database_url: str) -> None:
    """No rows are no groups, on both sides."""
    found = Case(tmp_path, database_url, []).migrated_and_verified()
    assert (found.verdict, doubts(found)) == ("EQUAL", [])
    assert notes(found)[0] == "rows counted by the source itself too: 0"


VALUES = st.fixed_dictionaries(
    {
        "amount": st.none() | st.decimals(-(10**15), 10**15, places=2).map("{:f}".format),
        "count": st.none() | st.integers(-(2**62), 2**62) | st.just(-7),
        "day": st.none() | st.dates().map(str),
        "said": st.sampled_from(TEXTS) | st.text("0123456789.-, ￥", max_size=18),
        "state": st.sampled_from(STATES),
        "bare": st.none() | st.decimals(-(10**15), 10**15, places=6).map("{:f}".format),
    }
)


def test_it_never_cries_wolf(tmp_path: Path, database_url: str, campaign: Callable[[int], int]) -> None:
    """Whatever values a source holds: after a healthy run its own sums agree, or were not asked; nothing is accused."""

    @settings(max_examples=campaign(60))
    @given(rows=st.lists(VALUES, max_size=25))
    def agrees(rows: list[dict[str, Any]]) -> None:
        if database_url.startswith("sqlite"):
            # What has no exact decimal there is a matter of reading it.
            rows = [{**each, "amount": each["amount"] and each["amount"][:14], "bare": None} for each in rows]
        ordered = [{"k": number, **{name: each[name] for name in TYPES["sqlite"]}} for number, each in enumerate(rows)]
        found = Case(tmp_path, database_url, ordered).migrated_and_verified()
        assert (found.verdict, doubts(found)) == ("EQUAL", []), found.to_json()

    agrees()


def altered(column: str) -> Callable[[pa.Table], pa.Table]:
    """The first value of a column is another one."""

    def fault(rows: pa.Table) -> pa.Table:
        if column not in rows.schema.names or "k" not in rows.schema.names:
            return rows
        place = rows.schema.names.index(column)
        hit = pc.equal(rows["k"], 0)
        other = pc.if_else(hit, pa.scalar(None, rows.schema.field(column).type), rows[column])
        return rows.set_column(place, rows.schema.field(place), other)

    return fault


def lost(rows: Any) -> Any:
    """One row is not there."""
    return rows.filter(pc.invert(pc.equal(rows["k"], 0))) if "k" in rows.schema.names else rows


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        pytest.param(altered("bare"), "dst.bare (month = 1950-01, state = 1) is 0", id="alters"),
        pytest.param(lost, "it counts 29 rows by itself, and 28 were read and kept", id="loses"),
        pytest.param(altered("said"), "dst.said (month = 1950-01, state = 1) is 1 in total, and 0 by", id="text"),
        pytest.param(altered("state"), "dst.rows (month = 1950-01, state = 1) is 1 in total, and 0 by", id="group"),
    ],
)
def test_reading_that_loses_or_alters_is_found(
    case: Case, fault: Callable[[Any], Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that damages a value for run and replay alike makes both sides agree; the source's own sums do not: NOT_VERIFIED, exit 6."""
    if "bare" in why:
        case.source.run("UPDATE src SET bare = '77.5' WHERE k = 0")
        why = why.replace("is 0", "is 77.5 in total, and 0 by")
    damaged(monkeypatch, READERS[case.source.kind], fault)
    found = case.migrated_and_verified()
    assert found.targets["dst"].verdict == "EQUAL"
    assert (found.verdict, found.exit_code) == ("NOT_VERIFIED", 6), found.to_json()
    assert any(why in each for each in doubts(found)), doubts(found)


def test_a_mapping_engine_that_alters_is_found(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler that run and replay share gives other amounts: the source's own sums see it."""
    apply = Transformer.apply

    def doubled(self: Transformer, chunk: pa.Table) -> Mapped:
        mapped = apply(self, chunk)
        rows = mapped.rows["dst"]
        place = rows.schema.get_field_index("amount")
        twice = pc.add(rows["amount"], rows["amount"]).cast(rows["amount"].type)
        return dataclasses.replace(mapped, rows={"dst": rows.set_column(place, rows.schema.field(place), twice)})

    monkeypatch.setattr(Transformer, "apply", doubled)
    found = case.migrated_and_verified()
    assert found.targets["dst"].verdict == "EQUAL"
    assert (found.verdict, found.exit_code) == ("NOT_VERIFIED", 6)
    assert any("dst.amount" in each and "by its own SQL" in each for each in doubts(found)), doubts(found)


def test_a_mapping_engine_that_filters_is_found(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that keeps other rows than `where` says is found by the number of rows that the source counts."""
    apply = Transformer.apply
    monkeypatch.setattr(
        Transformer, "apply", lambda self, chunk: dataclasses.replace(apply(self, chunk.slice(1)), rows_read=len(chunk), filtered=len(chunk) - apply(self, chunk.slice(1)).units.num_rows)
    )  # fmt: skip
    found = case.migrated_and_verified()
    assert any("it counts 29 rows by itself" in each for each in doubts(found)), doubts(found)


def test_a_source_that_moves_accuses_nobody(
    tmp_path: Path, new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that change between the question and the reading, where nothing holds a snapshot, are no loss: the report says that they moved, and nobody knows."""
    case = Case(tmp_path, new_database("mariadb"), [row(number) for number in range(ROWS)])
    case.source.run("ALTER TABLE src ENGINE=MyISAM")
    run_scheduled(case.plan)
    ask, moved = MariaReader.ask, threading.Event()

    def answered_too_early(self: MariaReader, statement: str) -> list[tuple[Any, ...]]:
        found = ask(self, statement)
        if not moved.is_set():
            moved.set()
            case.source.run("UPDATE src SET amount = amount + 1")
        return found

    monkeypatch.setattr(MariaReader, "ask", answered_too_early)
    found = verify_plan(case.plan, VerifyOptions())
    assert moved.is_set()
    about_the_source = [each for each in doubts(found) if each.startswith("the source")]
    assert about_the_source == [": ".join(each.sentences()) for each in unsteady(("source",), "t")], doubts(found)
    assert notes(found)[-1].endswith("and were others when both were asked again")


@pytest.mark.parametrize(
    ("texts", "statements", "spelled"),
    [
        pytest.param(("1.00", "-12.5", "0"), 1, 0, id="one question confirms plain numbers"),
        pytest.param(("1.00", "+5", "007"), 2, 20, id="the server takes more for numbers"),
        pytest.param(("1.00", "NaN", "Infinity"), 2, 0, id="the server takes what the mapping rejects for numbers"),
        pytest.param(("1.00", "12O", "￥7"), 2, 10, id="the server refuses"),
    ],
)
def test_a_cheap_answer_may_confirm_and_never_accuses(
    tmp_path: Path, new_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...], statements: int, spelled: int
) -> None:  # fmt: skip
    """PostgreSQL is asked first to take every text for a number; where that does not confirm what was read, the texts are looked at, and nobody is accused."""
    rows = [{**row(number), "said": texts[number % 3], "count": number, "state": "a"} for number in range(30)]
    case = Case(tmp_path, new_database("postgresql"), rows)
    ask, asked = PostgresReader.ask, []

    def noted(self: PostgresReader, statement: str) -> list[tuple[Any, ...]]:
        asked.append(statement)
        return ask(self, statement)

    monkeypatch.setattr(PostgresReader, "ask", noted)
    found = case.migrated_and_verified()
    assert (len(asked), doubts(found)) == (statements, []), asked
    assert any("dst (amount, count, said, bare)" in each for each in notes(found)), notes(found)
    assert [each for each in notes(found) if "left out" in each] == ([] if spelled == 0 else [
        f"left out of these: {spelled} values that are written in a way that only the mapping reads as numbers"
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("said: {from: said", "said: {from: state"), "dst: said"),
        (("not (count = -7)", "length(state) < 9"), "what `where` says has no SQL"),
        (("amount: amount", 'amount: {sql: "amount * 2", type: "decimal(18,2)"}'), "dst: amount"),
    ],
)
def test_what_cannot_be_asked_is_said(tmp_path: Path, database_url: str, change: tuple[str, str], said: str) -> None:
    """A field or condition that is more than a copy is not asked for, and the report names it; nothing else is left out for it."""
    if "from: state" in change[1]:
        change = ('said: {from: said, nulls: ["", " "], clean: money}', 'said: {sql: "coalesce(amount, 0)"}')
    case = Case(tmp_path, database_url, [row(number) for number in range(ROWS)], MAPPING.replace(*change))
    found = case.migrated_and_verified()
    assert (found.verdict, doubts(found)) == ("EQUAL", []), found.to_json()
    assert any(each.startswith("totals not asked of the source: ") and said in each for each in notes(found)), notes(
        found
    )


@pytest.mark.parametrize(
    ("kind", "change", "types", "said"),
    [
        ("sqlite", ("", ""), {"said": ""}, "dst: said: said has no declared type"),
        ("sqlite", ("", ""), {"state": ""}, "in `where`, state has no declared type"),
        ("sqlite", ("table: src", 'query: "select * from src"'), {}, "in `where`, the database does not say how values of state are stored, as it never does of the columns of a query"),
        ("postgresql", ("", ""), {"said": "char(200)"}, "dst: said: said is of type character(200), of whose values SQL is not known to say exactly the same"),
        ("postgresql", ("", ""), {"state": "char(20)"}, "in `where`, state is of type character(20), of whose values SQL is not known to say exactly the same"),
        ("mariadb", ("", ""), {"state": "varchar(20) character set gbk"}, "in `where`, state is of type varchar gbk, of whose values SQL is not known to say exactly the same"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_asked_about_is_named_with_the_reason(
    tmp_path: Path,
    new_database: Callable[[str], str],
    kind: str,
    change: tuple[str, str],
    types: dict[str, str],
    said: str,
) -> None:
    """A plain copy, or a plain comparison, that is left out for how its column is stored: that is said, and not that the mapping makes more of it."""
    rows = [{**row(number), "state": "a"} for number in range(1, 4)]
    found = Case(tmp_path, new_database(kind), rows, MAPPING.replace(*change), **types).migrated_and_verified()
    assert doubts(found) == []
    assert [each for each in notes(found) if "not asked" in each] == [f"totals not asked of the source: {said}"]
    assert not any("totals not asked" in each.text(chinese=True) for each in found.coverage[0].notes)


def test_a_rejected_number_of_many_digits_accuses_nobody(tmp_path: Path, new_database: Callable[[str], str]) -> None:
    """The source adds up what the mapping rejects; where this side cannot do so exactly, it says that it did not ask."""
    rows = [{**row(number), "bare": "1.123456789"} for number in range(4)]
    found = Case(tmp_path, new_database("postgresql"), rows).migrated_and_verified()
    assert doubts(found) == []
    assert any("more digits than are added up here" in each for each in notes(found)), notes(found)


def test_sums_beyond_any_double_are_exact(tmp_path: Path, database_url: str) -> None:
    """Amounts that a double would round are added up to the last cent by both."""
    if database_url.startswith("sqlite"):
        rows = [{**row(number), "said": "9999999999999.99"} for number in range(1, 9)]
    else:
        rows = [{**row(number), "amount": "9999999999999999.99"} for number in range(1, 9)]
    found = Case(tmp_path, database_url, rows).migrated_and_verified()
    assert (found.verdict, doubts(found)) == ("EQUAL", [])
    assert Decimal("9999999999999999.99") * 8 == Decimal("79999999999999999.92")


def damaged(monkeypatch: pytest.MonkeyPatch, reader: type[Any], fault: Callable[[Any], Any]) -> None:
    """Let everything that this driver reads be damaged."""

    def stream(name: str) -> Any:
        original = getattr(reader, name)

        def spoilt(self: Any, *given_: Any, **named: Any) -> Any:
            for batch in original(self, *given_, **named):
                yield fault(batch)

        return spoilt

    pick = reader.pick
    monkeypatch.setattr(reader, "pick", lambda self, *given_, **named: fault(pick(self, *given_, **named)))
    for name in ("scan", "read"):
        monkeypatch.setattr(reader, name, stream(name))
