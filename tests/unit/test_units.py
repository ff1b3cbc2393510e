"""Durations and shares are read exactly or refused, and written for people."""

from __future__ import annotations

from decimal import Decimal

import pytest

from migrate.errors import InputError
from migrate.units import count_text, duration_text, parse_duration, parse_share


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("4h", 14400), ("4d", 345600), (" 0s ", 0)])
def test_durations_are_read(text: str, seconds: int) -> None:
    """A duration is a whole number and one of s, m, h, d."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "1.5h", "-4d", "4w", "4 d", "４d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Anything else is an input error, never a guess."""
    with pytest.raises(InputError, match="no duration"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "share"), [("0.5%", "0.005"), ("100%", "1"), ("0%", "0")])
def test_shares_are_read_exactly(text: str, share: str) -> None:
    """A share is a percentage, kept as an exact decimal."""
    assert parse_share(text) == Decimal(share)


@pytest.mark.parametrize("text", ["0.5", "101%", "-1%", "%", "1e1%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    """Anything else is an input error."""
    with pytest.raises(InputError, match="no share"):
        parse_share(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.84, "0.8 s"),
        (42.4, "42 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
        (273600, "3 d 04 h"),
    ],
)
def test_durations_are_written_with_two_units_at_most(seconds: float, text: str) -> None:
    """A duration for people says no more than they can use."""
    assert duration_text(seconds) == text


def test_counts_are_grouped() -> None:
    """A number of rows is readable at a glance."""
    assert count_text(1234567) == "1,234,567"
