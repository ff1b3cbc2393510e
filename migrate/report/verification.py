"""The page of one verification: the verdict first, then the figures, the differences, and what the verdict does not cover.

One file that loads nothing and runs no script. Both languages are in it; two radio buttons and the style sheet choose between them.
"""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Final, Literal

from migrate.report.chart import bar, is_widened
from migrate.report.differences import difference_list, key_text
from migrate.report.figures import found, gap, looks_of, outcomes, unit_text
from migrate.report.markup import NOTHING, Html, both, data, facts, joined, shown, table, tag, text, told, word
from migrate.report.visible import compared, pieces
from migrate.report.words import PAGE
from migrate.units import count_text, duration_text
from migrate.verify.notes import NotVerified
from migrate.verify.verdict import KINDS, Coverage, TargetResult, TotalDifference, Verification

_SIGNS: Final = {
    "EQUAL": "M6 17l7 7L27 9",
    "EQUAL_WITH_DECLARED_RULES": "M6 17l7 7L27 9",
    "DIFFERENT": "M8 8l16 16M24 8L8 24",
    "NOT_VERIFIED": "M11 11a5 5 0 1 1 7 5c-1.5.7-2 1.6-2 3.5M16 25.5v.1",
}


def verification_html(verification: Verification, lang: Literal["zh", "en"]) -> str:
    """The page as one HTML document in UTF-8, which shows `lang` first and the other language at a click.

    Every text out of the verification is escaped, whatever is in it; the page asks for no other file and holds no script.
    """
    folder = files("migrate.report")
    page = Template(folder.joinpath("page.html").read_text(encoding="utf-8"))
    verdict, report = (PAGE[key][lang == "zh"] for key in (f"verdict_{verification.verdict}", "title"))
    mapping = "".join(part.written for part in pieces(verification.mapping, whole=True))
    return page.substitute(
        lang="zh-CN" if lang == "zh" else "en",
        title=text(f"{verdict} · {mapping} · {report}"),
        style=folder.joinpath("page.css").read_text(encoding="utf-8"),
        zh="checked" if lang == "zh" else "",
        en="checked" if lang == "en" else "",
        body=_body(verification),
    )


def _body(verification: Verification) -> Html:
    unverified = _not_verified(verification)
    first = verification.verdict == "NOT_VERIFIED"
    return joined(
        [
            _verdict(verification),
            unverified if first else NOTHING,
            _rules(verification),
            _targets(verification),
            _totals(verification),
            difference_list(verification),
            _coverage(verification),
            NOTHING if first else unverified,
            _rejects(verification),
            _about(verification),
        ],
        Html("\n"),
    )


def _section(name: str, *children: Html) -> Html:
    return tag("section", tag("h2", both(name)), *children, id=name)


def _verdict(verification: Verification) -> Html:
    verdict = verification.verdict
    unfinished = verification.unfinished
    sign = tag("svg", tag("path", d=_SIGNS[verdict]), viewBox="0 0 32 32", css="sign", aria_hidden="true")
    figures = {
        "source_rows": sum(result.source_rows for result in verification.targets.values()),
        **{f"kind_{kind}": found(verification, kind) for kind in KINDS},
        "totals_off": len(verification.totals),
        "unverified": len(verification.not_verified),
    }
    return tag(
        "section",
        tag("p", data(verification.mapping), css="eyebrow"),
        tag("div", sign, tag("h1", word("verdict", verdict)), css="verdict"),
        NOTHING
        if unfinished is None
        else tag("p", told(unfinished.text(), unfinished.text(chinese=True)), css="unfinished"),
        tag("p", word("means", verification.meaning), css="means"),
        facts(
            (
                (both(name), tag("span", text(count_text(count)), css="zero" if count == 0 else "some"))
                for name, count in figures.items()
            ),
            css="figures",
        ),
        css=f"banner {verdict}",
    )


def _rules(verification: Verification) -> Html:
    if not verification.rules:
        return NOTHING
    return _section("rules", tag("ul", *(tag("li", data(rule)) for rule in verification.rules)))


def _targets(verification: Verification) -> Html:
    if not verification.targets:
        return _section("targets", tag("p", both("no_targets"), css="quiet"))
    cards = [_target(name, result) for name, result in verification.targets.items()]
    widened = any(is_widened(outcomes(result)) for result in verification.targets.values())
    note = tag("p", both("chart_note"), css="quiet small hint") if widened else NOTHING
    return _section("targets", *cards, note)


def _target(name: str, result: TargetResult) -> Html:
    found_rows = outcomes(result)
    legend = (
        tag("li", tag("i", css=f"swatch {kind}"), word("kind", kind), tag("b", text(count_text(count))))
        for kind, count in found_rows.items()
        if count or kind != "superseded"
    )
    explained = facts(
        ((word("explained", what), text(count_text(count))) for what, count in result.explained.items()),
        css="facts inline",
    )
    rows = ((both("source_rows"), result.source_rows), (both("target_rows"), result.target_rows))
    return tag(
        "article",
        tag(
            "header", tag("h3", data(name)), tag("span", word("verdict", result.verdict), css=f"chip {result.verdict}")
        ),
        facts(((label, text(count_text(count))) for label, count in rows), css="figures small"),
        bar(found_rows),
        tag("ul", *legend, css="legend"),
        joined([tag("p", both("explained"), css="quiet"), explained]) if result.explained else NOTHING,
        css="card",
    )


def _totals(verification: Verification) -> Html:
    groups, off = verification.groups, verification.totals
    if not off:
        agree = "totals_partly" if verification.not_verified else "totals_agree"
        said = both(agree, groups=count_text(groups)) if groups else both("no_totals")
        return _section("totals", tag("p", said, css="quiet"))
    headings = [both(name) for name in ("table", "group", "sum", "expected", "actual", "gap")]
    rows = [row for each in off for row in _total_rows(each)]
    count = both("totals_differ", groups=count_text(groups), count=count_text(len(off)))
    return _section("totals", tag("p", count), table(headings, rows, css="stacks", numbers=3))


def _total_rows(total: TotalDifference) -> list[list[Html]]:
    by = [tag("span", data(name), text(" = "), data(value), css="pair") for name, value in total.by.items()]
    group = joined(by, Html("<br>")) if by else both("all_rows")
    rows = []
    for name, sums in total.sums.items():
        expected, actual = compared(sums.expected, sums.actual)
        sides = [both("not_there") if side is None else shown(side) for side in (expected, actual)]
        rows.append([data(total.target), group, data(name), *sides, tag("span", text(gap(sums) or "–"), css="v")])
    return rows


def _coverage(verification: Verification) -> Html:
    cards = []
    for name, result in verification.targets.items():
        parts = [tag("h3", data(name))]
        left_out = "columns_of_one" if verification.of_tables else "columns_left_out"
        for key, columns in (("columns_compared", result.columns), (left_out, result.left_out)):
            chips = joined(tag("li", data(column)) for column in columns)
            if columns:
                parts += [tag("p", both(key, count=len(columns))), tag("ul", chips, css=f"chips {key}")]
        parts.append(tag("p", both("contract"), text(" "), tag("code", data(result.contract)), css="quiet small"))
        cards.append(tag("article", *parts, css="card"))
    if verification.coverage:
        scans = facts((_scanned(each) for each in verification.coverage), css="reasons")
        cards.append(tag("article", tag("p", both("scanned")), scans, css="card"))
    return _section("coverage", *cards) if cards else NOTHING


def _scanned(coverage: Coverage) -> tuple[Html, Html]:
    """Which table of which side; how, why, and what the self-test and the database say about it."""
    place = joined([word("side", coverage.side), text(" · "), data(coverage.table)])
    parts = [word("scan", coverage.scan), word("reason", coverage.reason)]
    parts += map(told, coverage.sentences(), coverage.sentences(chinese=True))
    if coverage.tested:
        parts.append(both("scan_tested", count=count_text(coverage.tested)))
    return place, joined(parts, text(" · "))


def _not_verified(verification: Verification) -> Html:
    if not verification.not_verified:
        said = "no_targets" if not verification.targets else "all_verified"
        return _section("not_verified", tag("p", both(said), css="quiet"))
    return _section("not_verified", facts(map(_reason, verification.not_verified), css="reasons"))


def _reason(doubt: NotVerified) -> tuple[Html, Html]:
    """What, and why; with the rows, where it is about rows."""
    what, why = (told(*both_sides) for both_sides in zip(doubt.sentences(), doubt.sentences(chinese=True), strict=True))
    if not doubt.rows:
        return what, why
    rows = ([key_text(row.key), told(row.told(), row.told(chinese=True))] for row in doubt.rows)
    listed = table([both("key"), both("reason")], rows, css="stacks keys")
    more = doubt.count - len(doubt.rows)
    return what, joined(
        [why, listed, tag("p", both("more_rows", count=count_text(more)), css="quiet") if more > 0 else NOTHING]
    )


def _rejects(verification: Verification) -> Html:
    rejects = verification.rejects
    if verification.of_tables:
        return NOTHING
    if rejects is None:
        return _section("rejects", tag("p", both("no_ledger"), css="quiet"))
    counts = (("derived", rejects.derived), ("recorded", rejects.recorded), ("differ", rejects.differ))
    lists = (("only_derived", rejects.only_derived), ("only_recorded", rejects.only_recorded))
    return _section(
        "rejects",
        tag("p", both("rejects_note"), css="quiet"),
        facts(((both(name), text(count_text(count))) for name, count in counts), css="figures small"),
        *(
            joined(
                [tag("p", both(name)), tag("ul", *(tag("li", data(unit_text(unit))) for unit in units), css="units")]
            )
            for name, units in lists
            if units
        ),
    )


def _about(verification: Verification) -> Html:
    run = both("no_run") if verification.run is None else data(verification.run)
    pairs = [
        (both("compared_tables" if verification.of_tables else "mapping"), data(verification.mapping)),
        (both("run"), run),
        (both("source"), data(verification.source)),
        (both("target"), data(verification.target)),
        (both("began"), data(verification.began)),
        (both("took"), text(duration_text(verification.seconds))),
        (both("nonce"), tag("code", data(verification.nonce))),
    ]
    if verification.live is not None:
        pairs.insert(-1, (both("live"), both("looks", **looks_of(verification.live))))
    return _section("about", facts(pairs), tag("p", both("footer"), css="quiet small"))
