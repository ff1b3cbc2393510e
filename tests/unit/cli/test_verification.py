"""A verification on the terminal: numbers whole at any width, the first differences, and what is not shown counted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest
from rich.cells import cell_len

from migrate.cli.screen import Screen, Settings
from migrate.cli.texts import Lang
from migrate.cli.verification import LISTED, verification_summary
from migrate.verify.notes import Note
from migrate.verify.verdict import Cell, Difference, TotalDifference, Verdict, Verification
from tests.unit.report.samples import CHANGED, DIFFERENT, EQUAL, EQUAL_INVOICES, NOT_VERIFIED, WITH_RULES

SAMPLES = {sample.verdict: sample for sample in (EQUAL, WITH_RULES, DIFFERENT, NOT_VERIFIED)}


def shown(verification: Verification, lang: Lang = "en", width: int = 120) -> str:
    """What a terminal of that width shows, without colours."""
    screen = Screen(Settings(lang=lang))
    screen.out.width = width
    with screen.out.capture() as captured:
        screen.out.print(verification_summary(verification, screen))
    return captured.get()


def different(*differences: Difference) -> Verification:
    """A verification that found these."""
    counts = {**EQUAL_INVOICES.counts, "changed": len(differences)}
    result = replace(EQUAL_INVOICES, verdict="DIFFERENT", counts=counts, differences=differences)
    return replace(EQUAL, verdict="DIFFERENT", targets={"invoice": result})


@pytest.mark.parametrize("lang", get_args(Lang))
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_numbers_are_whole_at_any_width(verdict: Verdict, width: int, lang: Lang) -> None:
    """No line is wider than the page, and counts and sums stand unbroken in one line each."""
    text = shown(SAMPLES[verdict], lang, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    numbers = ["1,284,530", "1 min 34 s"]
    if verdict == "DIFFERENT":
        numbers += ["1,284,531", "1,208", "48210993.10", "48210894.10", "-99.00", "1,203"]
    assert [number for number in numbers if number not in text] == []


@pytest.mark.parametrize(
    ("verdict", "english", "chinese"),
    [
        ("EQUAL", "EQUAL", "一致"),
        ("EQUAL_WITH_DECLARED_RULES", "EQUAL UNDER DECLARED RULES", "按声明规则一致"),
        ("DIFFERENT", "DIFFERENT", "存在差异"),
        ("NOT_VERIFIED", "NOT VERIFIED", "未能核验"),
    ],
)
def test_the_verdict_is_the_first_line(verdict: Verdict, english: str, chinese: str) -> None:
    """Mapping and verdict come first, in the user's language; then what the verdict means."""
    assert shown(SAMPLES[verdict], "en").splitlines()[0].startswith(f"legacy_vat  {english}")
    assert shown(SAMPLES[verdict], "zh").splitlines()[0].startswith(f"legacy_vat  {chinese}")


def test_sums_of_any_length_are_whole() -> None:
    """Sums too long for columns stand one above the other."""
    sums = {"gross": Cell("12345678901234567890123.45", "12345678901234567890123.54")}
    text = shown(replace(DIFFERENT, totals=(TotalDifference("invoice", {}, sums),)), width=60)
    assert all(sum_ in text for cell in sums.values() for sum_ in (cell.expected or "", cell.actual or ""))


@pytest.mark.parametrize("count", [1, LISTED, LISTED + 1, 25])
def test_the_first_differences_are_shown_and_the_others_counted(count: int) -> None:
    """At most ten are shown; how many more there are is said with the option that shows them."""
    text = shown(different(*(Difference("missing", {"key": f"k{number}."}) for number in range(count))))
    assert text.count("key=k") == min(count, LISTED)
    assert (f"… and {count - LISTED} more (--report FILE and --json list --max-differences N of them)" in text) == (
        count > LISTED
    )
    assert ("--report" in text) == (count > LISTED)


def test_differences_that_the_verifier_only_counted_are_counted() -> None:
    """The number of further differences comes from the exact counts, not from the list."""
    assert "… and 1,203 more (--report FILE and --json list --max-differences N of them)" in shown(DIFFERENT)
    assert "… 另有 1,203 处（--report FILE 与 --json 可列出 --max-differences N 处）" in shown(DIFFERENT, "zh")


def test_invisible_differences_carry_code_points() -> None:
    """Expected and actual stand one above the other, and a trailing wide space can be seen without colours."""
    text = shown(different(CHANGED[1]))
    assert re.search("expected  北京样例科技有限公司 *\n", text)
    assert "北京样例科技有限公司‹U+3000›" in text


def test_data_cannot_steer_the_terminal() -> None:
    """Markup is text, and control characters, marks of direction and line ends are shown by their code points."""
    hostile = "[bold]x[/bold] :smile:\x1b[2J\u202e\n"
    difference = Difference(
        "changed", {"key": hostile}, {hostile: Cell(hostile, "")}, "value", Note.of("ledger_rejected", reason=hostile)
    )
    text = shown(replace(different(difference), mapping=hostile, run=hostile, source=hostile), width=200)
    assert not {"\x1b", "\u202e"} & set(text)
    assert text.count("[bold]x[/bold] :smile:‹U+001B›[2J‹U+202E›‹U+000A›") == 7


def test_null_and_empty_are_words() -> None:
    """A value that is NULL, one that is empty, and a group of totals that one side has not are told apart."""
    text = shown(different(Difference("changed", {"key": None}, {"status": Cell("", None)}, "value")))
    assert "key=NULL" in text
    assert "expected  empty text" in text
    assert "actual    NULL" in text
    assert "not there" in shown(DIFFERENT)


def test_what_was_not_verified_is_shown() -> None:
    """Every reason is there, also beside a verdict that is worse."""
    for sample in (DIFFERENT, NOT_VERIFIED):
        text = " ".join(shown(sample).split())
        assert all(": ".join(each.sentences()) in text for each in sample.not_verified)


def test_how_each_table_was_scanned_is_shown() -> None:
    """One line per table of each side: way, reason, what the database says, rows of the self-test."""
    text = " ".join(shown(EQUAL).split())
    assert "source fp_main · rows read here: the mapping is replayed" in text
    assert "target invoice · summed up by the database: faster on a sample · 4000 rows: 18.2 ms by SQL" in text
    assert "61.0 ms streamed · rows tested: 1,004" in text


def test_rules_and_rejects_are_shown_where_there_are_any() -> None:
    """Declared rules are listed; the ledger is mentioned only where it does not agree with the verifier."""
    assert all(rule in shown(WITH_RULES) for rule in WITH_RULES.rules)
    assert "derived by the verifier: 6; in the ledger: 5" in shown(DIFFERENT)
    assert "not in the ledger: fpdm=011002400111, fphm=23918402" in shown(DIFFERENT)
    assert "ledger" not in shown(EQUAL)


def test_an_explanation_without_a_text_is_shown_by_its_name() -> None:
    """What explains rows may be new; no summary fails for want of a word."""
    result = replace(EQUAL_INVOICES, explained={"merged_elsewhere": 3, "filtered": 1})
    text = shown(replace(EQUAL, targets={"invoice": result}))
    assert "merged_elsewhere 3" in text
    assert "filtered by the mapping 1" in text
