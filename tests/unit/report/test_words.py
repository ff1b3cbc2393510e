"""Every word of a verification exists in both languages, and is used."""

from __future__ import annotations

import ast
import string
from pathlib import Path
from typing import get_args

import pytest

import migrate.report
from migrate.report.words import PAGE, SHARED
from migrate.verify.verdict import Cause, Kind, Reason, ScanKind, SideName, Verdict

FAMILIES = {
    "verdict": get_args(Verdict),
    "means": get_args(Verdict),
    "kind": get_args(Kind),
    "cause": get_args(Cause),
    "side": get_args(SideName),
    "scan": get_args(ScanKind),
    "reason": get_args(Reason),
}


@pytest.mark.parametrize("key", sorted(PAGE))
def test_both_languages_show_the_same_values(key: str) -> None:
    """A translation leaves no value out, and says something."""
    shown = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in PAGE[key]]
    assert all(PAGE[key])
    assert shown[0] == shown[1]


def test_every_word_of_the_verifier_has_a_text() -> None:
    """No verdict, kind, cause or reason is shown as a name of the code."""
    wanted = {f"{family}_{name}" for family, names in FAMILIES.items() for name in names}
    assert wanted - SHARED.keys() == set()


def test_every_text_is_used() -> None:
    """No text is kept that nothing says: each key is a literal of the code, or of a family."""
    literals = {
        node.value
        for path in Path(migrate.report.__file__).parent.glob("*.py")
        if path.name != "words.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    }
    families = tuple(f"{family}_" for family in (*FAMILIES, "explained"))
    assert {key for key in PAGE if key not in literals and not key.startswith(families)} == set()
