"""The page of a verification: whole in two languages, closed in itself, and deaf to whatever the data says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, get_args

import pytest

from migrate.report.verification import verification_html
from migrate.verify.verdict import Cause, Cell, Difference, Kind, Verdict, Verification
from tests.unit.report.pages import read
from tests.unit.report.samples import CHANGED, DIFFERENT, EQUAL, EQUAL_INVOICES, NOT_VERIFIED, WITH_RULES

Lang = Literal["zh", "en"]
SAMPLES = {sample.verdict: sample for sample in (EQUAL, WITH_RULES, DIFFERENT, NOT_VERIFIED)}
HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror='alert(2)'>\"${body}&amp;{0}"


def poisoned(value: Any) -> Any:
    """The value with every text in it replaced by a hostile one, except for the words of the verifier."""
    if isinstance(value, str):
        return value if value in {*get_args(Verdict), *get_args(Kind), *get_args(Cause)} else HOSTILE
    if isinstance(value, Mapping):
        return {poisoned(key): poisoned(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(poisoned(each) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: poisoned(getattr(value, each.name)) for each in fields(value)})
    return value


def different(*differences: Difference) -> Verification:
    """A verification that found these."""
    result = replace(EQUAL_INVOICES, verdict="DIFFERENT", differences=differences)
    return replace(EQUAL, verdict="DIFFERENT", targets={"invoice": result})


def changed(expected: str | None, actual: str | None) -> str:
    """The page about one value that differs."""
    return verification_html(different(Difference("changed", {"key": "1"}, {"name": Cell(expected, actual)})), "en")


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_every_verdict_has_its_page(verdict: Verdict, lang: Lang) -> None:
    """The verdict is the only heading of its size, comes first, is coloured, and says what it means, in both languages."""
    html = verification_html(SAMPLES[verdict], lang)
    page = read(html)
    assert len(page.named("h1")) == 1
    first = page.named("section")[0]
    assert first.attributes["class"] == f"banner {verdict}"
    words = {
        "EQUAL": ("EQUAL", "一致", "value for value", "逐值相同"),
        "EQUAL_WITH_DECLARED_RULES": ("DECLARED RULES", "按声明规则一致", "only under them", "不能认定一致"),
        "DIFFERENT": ("DIFFERENT", "存在差异", "look at the differences", "请在割接之前处理"),
        "NOT_VERIFIED": ("NOT VERIFIED", "未能核验", "no statement", "不能认定两侧一致"),
    }[verdict]
    for position, word in enumerate(words):
        assert word in page.text("zh-CN" if position % 2 else "en")


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_the_page_refers_to_nothing_outside(sample: Verification) -> None:
    """It loads no file, runs no script, sends nothing, and says so to the browser."""
    html = verification_html(sample, "zh")
    page = read(html)
    assert {each.name for each in page.elements}.isdisjoint({"script", "link", "img", "iframe", "object", "form", "a"})
    used = {name for each in page.elements for name in each.attributes}
    assert used.isdisjoint({"src", "href", "action", "srcset", "data", "style"})
    assert not any(name.startswith("on") for name in used)
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert style
    assert not re.search(r"url\(|@import|expression|https?:", style)
    policy = next(each for each in page.named("meta") if "http-equiv" in each.attributes)
    assert "default-src 'none'" in str(policy.attributes["content"])


def test_every_text_of_the_data_is_escaped() -> None:
    """Names, keys, values, notes, reasons, URLs: whatever they hold is shown and never obeyed, wherever it stands."""
    page = read(verification_html(poisoned(DIFFERENT), "en"))
    clean = read(verification_html(DIFFERENT, "en"))
    assert {each.name for each in page.elements} <= {each.name for each in clean.elements}
    assert {name for each in page.elements for name in each.attributes} <= {
        name for each in clean.elements for name in each.attributes
    }
    # Title, mapping twice, run, both databases, time, nonce, target, keys, values …
    assert page.text("en").count(HOSTILE) > 30
    assert "$" not in page.text("en").replace(HOSTILE, "")


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_both_languages_are_whole(sample: Verification) -> None:
    """For each sentence in one language there is one in the other; Chinese is in one and not in the other."""
    page = read(verification_html(sample, "zh"))
    english, chinese = (
        [text for language, text in page.texts if language == wanted] for wanted in ("en", "zh-CN")
    )  # fmt: skip
    assert len(english) == len(chinese) > 40
    assert not [text for text in english if re.search("[\u4e00-\u9fff]", text)]
    untranslated = {"nonce"}
    assert [text for text in chinese if not re.search("[\u4e00-\u9fff]", text) and text not in untranslated] == []


def test_only_the_language_of_the_first_view_differs() -> None:
    """The file is the same for both languages, except for which of the two is chosen when it is opened."""
    zh, en = (verification_html(DIFFERENT, lang) for lang in get_args(Lang))
    for html, chosen in ((zh, "zh"), (en, "en")):
        checked = [each.attributes["id"] for each in read(html).named("input") if "checked" in each.attributes]
        assert checked == [chosen]
    assert zh.partition("<main>")[2] == en.partition("<main>")[2]


def test_invisible_differences_carry_code_points() -> None:
    """Spaces, widths, joiners, combining marks and letters that look alike are told apart by their code points and names."""
    page = read(verification_html(different(*CHANGED), "en"))
    text = page.text("en")
    for label in ("U+3000", "U+FF08", "U+0028", "U+00B7", "U+2022", "U+200B", "U+004F", "U+0030", "U+00E9", "U+0301"):
        assert label in text
    assert "ideographic space" in text
    assert "全角空格" in page.text("zh-CN")


def test_what_differs_is_marked() -> None:
    """Only the part that differs is highlighted, on the side that has it."""
    assert re.findall("<mark>(.*?)</mark>", changed("48210993.10", "48210894.10")) == ["993", "894"]


@pytest.mark.parametrize("odd", ["\x00", "\x1b[2J", "\u202e", "\ud800", "\ufeff", "\n", "\ue000"])
def test_no_invisible_character_reaches_the_file(odd: str) -> None:
    """Control characters, halves of pairs and marks of direction are shown by name, so the file stays text in UTF-8."""
    html = verification_html(replace(DIFFERENT, mapping=f"a{odd}b"), "en") + changed(f"a{odd}b", f"{odd}ab")
    html.encode("utf-8")
    assert html.count(f"‹U+{ord(odd[0]):04X}›") == 1
    assert html.count(f"<small>U+{ord(odd[0]):04X}</small>") >= 4
    # The page itself is written in lines.
    assert odd == "\n" or odd[0] not in html


def test_null_is_no_text() -> None:
    """NULL, the text `NULL` and the empty text look different from each other."""
    html = changed(None, "NULL")
    assert '<span class="null">NULL</span>' in html
    assert '<span class="v" translate="no"><mark>NULL</mark></span>' in html
    assert "empty text" in read(changed("", None)).text("en")


def test_counts_are_those_of_the_verification() -> None:
    """Numbers are whole, grouped and exact, and the page says how many differences it does not list."""
    text = read(verification_html(DIFFERENT, "en")).text("en")
    for number in ("1,284,530", "1,284,531", "1,208", "4,112", "3,902,114", "1,283,307"):
        assert number in text
    assert "The first 13 of 1,213 are listed; the counts are exact." in text
    assert "-99.00" in text
    assert "Groups compared: 148. Groups that differ: 2." in text


def test_all_differences_that_the_verification_holds_are_listed() -> None:
    """Each key and each value of a difference is on the page, and its cause in words."""
    page = read(verification_html(DIFFERENT, "zh"))
    assert page.text("en").count("O-91110108MA00XY0A11") == 12
    for cause in ("尾部空格", "相差整小时", "字符集损坏", "小数位数"):
        assert cause in page.text("zh-CN")


def test_what_was_not_verified_is_never_hidden() -> None:
    """Each reason is on the page; where it decides the verdict, it comes next to it, and no row is called the same."""
    for sample in (DIFFERENT, NOT_VERIFIED):
        text = read(verification_html(sample, "en")).text("en")
        assert all(said in text for each in sample.not_verified for said in each.sentences())
    page = read(verification_html(NOT_VERIFIED, "en"))
    assert page.named("section")[1].attributes["id"] == "not_verified"
    assert "not proven" in page.text("en")
    assert not [each for each in page.named("rect") if each.attributes["class"] == "same"]


def test_what_the_verdict_does_not_cover_is_named() -> None:
    """Columns that nothing was compared for, declared rules, rejects that only one side has, and endpoints are listed."""
    text = read(verification_html(DIFFERENT, "en")).text("en")
    for named in (
        "created_at",
        "imported_by_run",
        "fpdm=011002400111",
        DIFFERENT.nonce,
        DIFFERENT.source,
        "1 min 34 s",
    ):
        assert named in text
    assert all(rule in read(verification_html(WITH_RULES, "en")).text("en") for rule in WITH_RULES.rules)
    assert "no ledger" in read(verification_html(WITH_RULES, "en")).text("en")


def test_how_each_table_was_scanned_is_named() -> None:
    """Side, table, way, reason, figures of the self-test: in both languages, with the sentences of the database."""
    page = read(verification_html(DIFFERENT, "en"))
    english, chinese = page.text("en"), page.text("zh-CN")
    assert "target · invoicesummed up by the database · faster on a sample · 4000 rows: 18.2 ms by SQL" in english
    assert "rows tested: 1,004" in english
    assert "由数据库汇总 · 抽样实测更快" in chinese
    assert "extra: jsonb has no canonical form in PostgreSQL" in english
    assert "extra：jsonb 在 PostgreSQL 中没有规范形式" in chinese


def test_nothing_compared_is_said_to_be_nothing() -> None:
    """A verification without any target is a page that claims no agreement."""
    empty = replace(NOT_VERIFIED, targets={}, not_verified=())
    text = read(verification_html(empty, "en")).text("en")
    assert "No target table was compared." in text
    assert "Everything in the contract was compared." not in text


def test_words_that_nobody_foresaw_are_shown_as_they_are() -> None:
    """What explains a row may have a new name; it is shown, escaped, in both languages."""
    result = replace(EQUAL_INVOICES, explained={"lost_<b>": 3})
    page = read(verification_html(replace(EQUAL, targets={"invoice": result}), "en"))
    assert all("lost <b>" in page.text(lang) for lang in ("en", "zh-CN"))
