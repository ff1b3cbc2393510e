"""The differences of a verification as HTML: per target and kind, changed rows column by column, the others as a list of keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from migrate.report.markup import NOTHING, Html, both, characters, data, joined, remark, shown, table, tag, text, word
from migrate.report.visible import compared
from migrate.units import count_text
from migrate.verify.verdict import KINDS, Cell, Difference, TargetResult, Verification


def difference_list(verification: Verification) -> Html:
    """The section of all differences that the verification holds, with how many more there are."""
    heading = tag("h2", both("differences"))
    found = [_of_target(name, result) for name, result in verification.targets.items() if _total(result)]
    said = "none_so_far" if verification.verdict == "NOT_VERIFIED" else "no_differences"
    content = found or [tag("p", both(said), css="quiet")]
    return tag("section", heading, *content, id="differences")


def _total(result: TargetResult) -> int:
    return max(sum(result.counts.get(kind, 0) for kind in KINDS), len(result.differences))


def _of_target(name: str, result: TargetResult) -> Html:
    total, listed = _total(result), len(result.differences)
    said = "shown_all" if listed == total else "shown_some"
    return tag(
        "div",
        tag("h3", data(name)),
        tag("p", both(said, shown=count_text(listed), total=count_text(total)), css="quiet"),
        _tally(result.differences),
        *(_of_kind([each for each in result.differences if each.kind == kind]) for kind in KINDS),
        css="target",
    )


def _tally(differences: Iterable[Difference]) -> Html:
    """Which columns differ how often, and why: what many rows have in common is seen before the rows."""
    changed = [each for each in differences if each.columns]
    columns = Counter(name for each in changed for name in each.columns)
    if len(changed) < 2:  # noqa: PLR2004 - one row has nothing in common with others
        return NOTHING
    rows = []
    for name, count in columns.most_common():
        causes = Counter(each.cause for each in changed if name in each.columns)
        said = (
            tag("span", word("cause", cause), text(f" × {count_text(times)}"), css="cause")
            for cause, times in causes.most_common()
        )
        rows.append([data(name), joined(said, text(" ")), text(count_text(count))])
    headings = [both("column"), both("cause"), both("rows")]
    return joined([tag("p", both("tally"), css="quiet"), table(headings, rows, css="tally", numbers=1)])


def _of_kind(differences: list[Difference]) -> Html:
    with_columns = [each for each in differences if each.columns]
    rest = [each for each in differences if not each.columns]
    return joined([_key_list(rest) if rest else NOTHING, *(_card(each) for each in with_columns)])


def _key_list(differences: list[Difference]) -> Html:
    headings = [_kind(differences[0]), both("note")]
    rows = ([key_text(each.key), _note(each)] for each in differences)
    return table(headings, rows, css="stacks keys")


def _note(difference: Difference) -> Html:
    cause = NOTHING if difference.cause == "unknown" else tag("span", word("cause", difference.cause), css="cause")
    note = NOTHING if difference.note is None else remark(difference.note)
    return joined([cause, note], text(" ") if cause and note else NOTHING)


def _card(difference: Difference) -> Html:
    note = NOTHING if difference.note is None else tag("p", remark(difference.note), css="note")
    headings = [both("column"), both("expected"), both("actual")]
    rows = [_cells(name, cell) for name, cell in difference.columns.items()]
    cause = tag("span", word("cause", difference.cause), css="cause")
    return tag(
        "article",
        tag("header", _kind(difference), key_text(difference.key), cause),
        table(headings, rows, css="stacks cells"),
        note,
        css="card difference",
    )


def _cells(name: str, cell: Cell) -> list[Html]:
    expected, actual = compared(*cell.readable)
    return [data(name), *(joined([shown(side), characters(side)]) for side in (expected, actual))]


def _kind(difference: Difference) -> Html:
    return tag("span", word("kind", difference.kind), css=f"kind {difference.kind}")


def key_text(key: Mapping[str, str | None]) -> Html:
    """The columns of a key with their values."""
    pairs = (
        tag("span", tag("span", data(name), css="of"), text(" "), data(value), css="pair")
        for name, value in key.items()
    )
    return tag("span", *pairs, css="key")
