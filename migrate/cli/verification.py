"""Shows a verification on the terminal: verdict, figures per target, totals that differ, the first differences, what was not verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from migrate.cli.characters import data_text, side_text
from migrate.cli.screen import Screen
from migrate.report.figures import gap, looks_of, outcomes, unit_text
from migrate.report.visible import compared
from migrate.report.words import SHARED
from migrate.units import count_text, duration_text
from migrate.verify.notes import NotVerified
from migrate.verify.verdict import (
    KINDS,
    Cell,
    Coverage,
    Difference,
    Recorded,
    TargetResult,
    TotalDifference,
    Verification,
)

LISTED: Final = 10
"""Differences, and groups of totals, that are shown before the rest is left to the report."""

_VERDICTS: Final = {
    "EQUAL": "bold green",
    "EQUAL_WITH_DECLARED_RULES": "bold cyan",
    "DIFFERENT": "bold red",
    "NOT_VERIFIED": "bold yellow",
}
_KINDS: Final = {
    "missing": "red",
    "extra": "yellow",
    "changed": "magenta",
    "multiplicity": "blue",
    "superseded": "cyan",
}
_ALWAYS_SHOWN: Final = ("missing", "extra", "changed")
_INDENT: Final = 2
_UNBOUNDED: Final = 10_000


def verification_summary(verification: Verification, screen: Screen) -> RenderableType:
    """The verification for people: nothing of a number or value is cut, and invisible characters are shown with their code points.

    At most `LISTED` differences and groups of totals are shown, with the number of all the others.
    """
    sections = (
        ("rules", [data_text(rule) for rule in verification.rules]),
        ("totals_off", list(_totals(verification, screen))),
        ("differences", list(_differences(verification, screen))),
        ("unverified", list(not_verified_lines(verification.not_verified, screen))),
        ("rejects_off", _rejects(verification.rejects, screen)),
    )
    parts: list[RenderableType] = [_title(verification, screen), _indented(_head(verification, screen))]
    for heading, content in sections:
        if content:
            parts += [Text(), Text(screen.say(heading), style="bold"), _indented(content)]
    scans = [line for each in verification.coverage for line in _scanned(each, screen)]
    return Group(*parts, Text(), _indented([*scans, *_foot(verification)]))


def not_verified_lines(found: Iterable[NotVerified], screen: Screen) -> Iterator[RenderableType]:
    """What, and why; of rows that cannot be read the first, each with its key and reason."""
    chinese = screen.settings.lang == "zh"
    for each in found:
        yield Text("：" if chinese else ": ").join(map(data_text, each.sentences(chinese=chinese)))
        rows = [
            Text("  ").join([*_pairs(row.key), data_text(row.told(chinese=chinese), "dim")])
            for row in each.rows[:LISTED]
        ]
        if rows:
            yield _indented([*rows, *_more(each.count - len(rows), screen, "more_rows")])


def _title(verification: Verification, screen: Screen) -> Text:
    parts = [data_text(verification.mapping, "bold"), _verdict(verification.verdict, screen)]
    if verification.run is not None:
        parts.append(data_text(verification.run, "dim"))
    return Text("  ").join(parts)


def _head(verification: Verification, screen: Screen) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if verification.unfinished is not None:
        # First of all: what is missing may be so because it was taken back, or not written yet.
        parts.append(data_text(verification.unfinished.text(chinese=screen.settings.lang == "zh"), "bold yellow"))
    parts.append(Text(screen.say(f"means_{verification.meaning}")))
    if verification.targets:
        parts += [Text(), _targets(verification.targets, screen)]
    parts += [
        Text(" · ").join([Text(name), *(_explained(what, count, screen) for what, count in result.explained.items())])
        for name, result in verification.targets.items()
        if result.explained
    ]
    if verification.groups and not verification.totals:
        agree = "totals_partly" if verification.not_verified else "totals_agree"
        parts.append(Text(screen.say(agree, groups=count_text(verification.groups))))
    if verification.rejects is None and not verification.of_tables:
        parts.append(Text(screen.say("no_ledger")))
    if verification.live is not None:
        parts.append(Text(screen.say("looks", **looks_of(verification.live))))
    return parts


def _scanned(coverage: Coverage, screen: Screen) -> Iterator[Text]:
    """How a table was summed up, why, and what the self-test and the database say about it; what else it was asked, a line each."""
    chinese = screen.settings.lang == "zh"
    parts = [
        Text.assemble(screen.say(f"side_{coverage.side}"), " ", data_text(coverage.table)),
        Text.assemble(screen.say(f"scan_{coverage.scan}"), ": ", screen.say(f"reason_{coverage.reason}")),
    ]
    parts += map(data_text, coverage.details(chinese=chinese))
    if coverage.tested:
        parts.append(Text(screen.say("scan_tested", count=count_text(coverage.tested))))
    line = Text(" · ").join(parts)
    line.stylize("dim")
    yield line
    for note in coverage.notes:
        yield Text("  ") + data_text(note.text(chinese=chinese), "dim")


def _foot(verification: Verification) -> list[Text]:
    ends = Text(" → ", style="dim").join([data_text(verification.source, "dim"), data_text(verification.target, "dim")])
    took = Text(f" · {duration_text(verification.seconds)}", style="dim")
    return [ends, Text.assemble(data_text(verification.began, "dim"), took)]


def _explained(what: str, count: int, screen: Screen) -> Text:
    key = f"explained_{what}"
    return Text(f"{screen.say(key) if key in SHARED else what} {count_text(count)}", style="dim")


def _targets(targets: Mapping[str, TargetResult], screen: Screen) -> RenderableType:
    """One line per target; one number per line where the page is too narrow: a number is never broken."""
    found = {name: outcomes(result) for name, result in targets.items()}
    shown = [kind for kind in _KINDS if kind in _ALWAYS_SHOWN or any(rows[kind] for rows in found.values())]
    headings = ("target", "source_rows", "target_rows", *(f"kind_{kind}" for kind in shown))
    table = screen.table(*headings, "verdict", numbers=range(1, len(headings)))
    blocks = Table.grid(padding=(0, 3, 0, 0))
    blocks.add_column(overflow="fold")
    blocks.add_column(justify="right")
    for name, result in targets.items():
        rows = [Text(count_text(count)) for count in (result.source_rows, result.target_rows)]
        counts = [*rows, *(_count(kind, found[name][kind]) for kind in shown)]
        table.add_row(data_text(name), *counts, _verdict(result.verdict, screen))
        blocks.add_row(data_text(name), _verdict(result.verdict, screen))
        for heading, count in zip(headings[1:], counts, strict=True):
            blocks.add_row(Text(f"  {screen.say(heading)}"), count)
    return table if _fits(table, screen) else blocks


def _totals(verification: Verification, screen: Screen) -> Iterator[RenderableType]:
    for total in verification.totals[:LISTED]:
        yield _by(total)
        yield _indented([_sums(total.sums, screen)])
    yield from _more(len(verification.totals) - LISTED, screen, "more_totals")


def _by(total: TotalDifference) -> Text:
    return Text("  ").join([data_text(total.target), *_pairs(total.by)])


def _sums(sums: Mapping[str, Cell], screen: Screen) -> RenderableType:
    table = screen.table("sum", "expected", "actual", "gap", numbers=range(1, 4))
    for name, cell in sums.items():
        table.add_row(data_text(name), *_sides(cell, screen, none="not_there"), Text(gap(cell) or ""))
    # Two indents stand before it.
    return table if _fits(table, screen, 2 * _INDENT) else _cells(sums, screen, none="not_there")


def _differences(verification: Verification, screen: Screen) -> Iterator[RenderableType]:
    every = ((name, each) for name, result in verification.targets.items() for each in result.differences)
    listed = list(islice(every, LISTED))
    for name, each in listed:
        yield _difference(name, each, screen)
        if each.columns:
            yield _indented([_cells(each.columns, screen)])
        if each.note is not None:
            yield _indented([data_text(each.note.text(chinese=screen.settings.lang == "zh"), "dim")])
    yield from _more(sum(map(_found, verification.targets.values())) - len(listed), screen, "more_differences")


def _found(result: TargetResult) -> int:
    return max(sum(result.counts.get(kind, 0) for kind in KINDS), len(result.differences))


def _difference(target: str, difference: Difference, screen: Screen) -> Text:
    kind = Text(screen.say(f"kind_{difference.kind}"), style=_KINDS[difference.kind])
    if difference.columns or difference.cause != "unknown":
        kind.append(f" · {screen.say(f'cause_{difference.cause}')}")
    return Text("  ").join([kind, data_text(target), *_pairs(difference.key)])


def _cells(cells: Mapping[str, Cell], screen: Screen, none: str | None = None) -> Table:
    """Expected above actual, so that the eye finds what differs."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", max_width=max(screen.out.width // 3, 8))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, cell in cells.items():
        expected, actual = _sides(cell, screen, none)
        grid.add_row(data_text(name), screen.say("expected"), expected)
        grid.add_row("", screen.say("actual"), actual)
    return grid


def _sides(cell: Cell, screen: Screen, none: str | None = None) -> tuple[Text, Text]:
    expected, actual = compared(*cell.readable)
    absent = "NULL" if none is None else screen.say(none)
    return side_text(expected, absent, screen), side_text(actual, absent, screen)


def _pairs(values: Mapping[str, str | None]) -> Iterable[Text]:
    """Names with their values; a text of no character is seen by its quotes."""
    return (
        Text.assemble(data_text(name), "=", data_text("''" if value == "" else value)) for name, value in values.items()
    )


def _rejects(rejects: Recorded | None, screen: Screen) -> list[RenderableType]:
    if rejects is None or not (rejects.differ or rejects.only_derived or rejects.only_recorded):
        return []
    counts = {name: count_text(getattr(rejects, name)) for name in ("derived", "recorded", "differ")}
    lists = {"only_derived": rejects.only_derived, "only_recorded": rejects.only_recorded}
    units = [
        Text.assemble(screen.say(name), ": ", data_text(unit_text(unit)))
        for name, units in lists.items()
        for unit in units[:LISTED]
    ]
    return [Text(screen.say("rejects_beside", **counts)), *units]


def _more(count: int, screen: Screen, key: str) -> Iterator[Text]:
    if count > 0:
        yield Text(screen.say(key, count=count_text(count)), style="dim")


def _count(kind: str, count: int) -> Text:
    return Text(count_text(count), style=_KINDS[kind] if count else "dim")


def _verdict(verdict: str, screen: Screen) -> Text:
    return Text(screen.say(f"verdict_{verdict}"), style=_VERDICTS[verdict])


def _indented(parts: Sequence[RenderableType]) -> RenderableType:
    return Padding(Group(*parts), (0, 0, 0, _INDENT))


def _fits(table: Table, screen: Screen, indent: int = _INDENT) -> bool:
    natural = screen.out.measure(table, options=screen.out.options.update(width=_UNBOUNDED)).maximum
    return natural + indent <= screen.out.width
