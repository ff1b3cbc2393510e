"""Figures that a verification implies: what became of each row, and by how much two sums differ. Pure, and exact."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from typing import Final

from migrate.errors import InputError
from migrate.stores.typed_keys import key_text, load_key
from migrate.units import count_text
from migrate.verify.verdict import KINDS, Cell, Live, TargetResult, Verification

_PLAIN: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def outcomes(result: TargetResult) -> dict[str, int]:
    """Rows of one target by what the comparison found, in the order in which they are shown; superseded rows last.

    The first are the rows without a difference: `same`, or `unproven` where the verdict is that it is not known.
    """
    counts: dict[str, int] = {kind: result.counts.get(kind, 0) for kind in KINDS}
    here = sum(count for kind, count in counts.items() if kind != "extra") + result.superseded
    calm = "unproven" if result.verdict == "NOT_VERIFIED" else "same"
    return {calm: max(result.source_rows - here, 0), **counts, "superseded": result.superseded}


def found(verification: Verification, kind: str) -> int:
    """How many differences of a kind all targets have together."""
    return sum(outcomes(result)[kind] for result in verification.targets.values())


def unit_text(name: str) -> str:
    """A source unit as people read it: the values of its key, and its rank where several units have that key."""
    text, _, rank = (name, "", "") if name.endswith("]") else name.rpartition("#")
    try:
        key = load_key(text)
    except InputError:
        return name
    return f"{key_text(key)}{f' #{rank}' if rank else ''}"


def looks_of(live: Live) -> dict[str, str]:
    """What the sentence about several looks says."""
    return {"looks": str(live.looks), "settled": count_text(live.settled)}


def gap(sums: Cell) -> str | None:
    """Actual minus expected, signed, with all digits of both; None where one of them is missing or is no plain number."""
    if sums.expected is None or sums.actual is None:
        return None
    if not _PLAIN.fullmatch(sums.expected) or not _PLAIN.fullmatch(sums.actual):
        return None
    with localcontext() as context:
        # One digit more than both together: nothing can be rounded.
        context.prec = len(sums.expected) + len(sums.actual) + 1
        return f"{Decimal(sums.actual) - Decimal(sums.expected):+f}"
