"""Reasons that the ledger has are read in the language of who looks."""

from __future__ import annotations

import pytest

from migrate.cli.recorded import recorded_reason
from migrate.cli.texts import translator
from migrate.rollback.request import Request
from migrate.rollback.staying import CHANGED, DELETED, HELD, Standing, refusal

PARTS = (
    Request(pass_no=2),
    Request(batches=(1,)),
    Request(batches=(1, 3)),
    Request(pass_no=1, batches=(3,)),
    Request(pass_no=1, batches=(3, 4)),
)
REASONS = [
    "interrupted",
    "stopped at a batch border: interrupted",
    "stopped between two batches: interrupted",
    "the rollback of legacy_vat is paused: 午休",
    *(f"{part.what} of it taken back; `migrate run` does again what is open" for part in PARTS),
    *(
        refusal("r", what, [Standing("t", '[["i","1"]]', why, None, None) for why in (CHANGED, DELETED, HELD)]).message
        for what in ("batch 1/3", "batch 2/-1", "the run")
    ),
]


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_is_said_in_both_languages(reason: str) -> None:
    """In English it is what was recorded; in Chinese none of its words is English but names and commands."""
    assert recorded_reason(reason, translator("en")) == reason.splitlines()[0]
    chinese = recorded_reason(reason, translator("zh"))
    for name in ("legacy_vat", "`migrate run`"):
        chinese = chinese.replace(name, "")
    assert not [letter for letter in chinese if letter.isascii() and letter.isalpha()]


def test_what_somebody_wrote_stays() -> None:
    """An operator's own words are nobody's to translate."""
    assert recorded_reason("disk full\nsecond line", translator("zh")) == "disk full"
