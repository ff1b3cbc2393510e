"""A bar that shows what became of the rows of one target, drawn as SVG inside of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from migrate.report.markup import Html, tag

WIDTH: Final = 1000
SMALLEST: Final = 8
"""Width of a share that is not nothing: one row in a million is seen."""


def bar(counts: Mapping[str, int]) -> Html:
    """One bar with a part for each count that is not 0, in their order; the parts are as wide as their shares, yet never invisible."""
    parts = widths(counts)
    drawn, left = [], 0.0
    for name, width in parts.items():
        drawn.append(tag("rect", x=f"{left:.2f}", y="0", width=f"{width:.2f}", height="20", css=name))
        left += width
    # The numbers stand in the legend, for readers and for those who listen.
    return tag(
        "svg", *drawn, viewBox=f"0 0 {WIDTH} 20", preserveAspectRatio="none", css="bar", aria_hidden="true"
    )  # fmt: skip


def is_widened(counts: Mapping[str, int]) -> bool:
    """Whether some part of the bar is wider than its share."""
    total = sum(counts.values())
    return any(0 < count * WIDTH < SMALLEST * total for count in counts.values())


def widths(counts: Mapping[str, int]) -> dict[str, float]:
    """The width of each count that is not 0; together `WIDTH`, or nothing at all."""
    some = {name: count for name, count in counts.items() if count > 0}
    total = sum(some.values())
    wanted = {name: max(count / total * WIDTH, SMALLEST) for name, count in some.items()}
    too_much = sum(wanted.values()) - WIDTH
    spare = sum(width - SMALLEST for width in wanted.values())
    if too_much <= 0 or spare <= 0:
        return wanted
    return {name: width - (width - SMALLEST) * too_much / spare for name, width in wanted.items()}
