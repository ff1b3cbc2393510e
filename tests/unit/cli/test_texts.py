"""Everything that users see exists in both languages."""

from __future__ import annotations

import ast
import string
from pathlib import Path
from typing import get_args

import pytest

import migrate.cli
from migrate.cli.texts import _TEXTS, locale_language, translator
from migrate.engine.events import Phase
from migrate.ledger.runs import State

SOURCES = [
    *Path(migrate.cli.__file__).parent.glob("*.py"),
    *(Path(migrate.cli.__file__).parents[1] / "progress").glob("*.py"),
]


FAMILIES = (
    "level_",
    "phase_",
    "verdict_",
    "means_",
    "kind_",
    "cause_",
    "explained_",
    "side_",
    "scan_",
    "reason_",
    "state_",
    "step_",
    "row_",
)
"""Beginnings of keys whose rest is a value."""


def values_of(text: str) -> set[str]:
    """The names of the values that a text shows."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", sorted(_TEXTS))
def test_both_languages_show_the_same_values(key: str) -> None:
    """A translation leaves no value out, and says something."""
    english, chinese = _TEXTS[key]
    assert english
    assert chinese
    assert values_of(english) == values_of(chinese)


def said_keys() -> set[str]:
    """Every key that the code asks for by a literal: `say("key")`, `screen.table("key", …)`."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                asked = node.args if called == "table" else node.args[:1] if called in ("say", "_say") else []
                found |= {
                    each.value for each in asked if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
    return found


def test_every_key_that_the_code_says_exists() -> None:
    """No command fails for want of a text."""
    assert said_keys() - _TEXTS.keys() == set()
    assert {"mapping", "unexpected"} <= said_keys()


def test_every_phase_of_a_run_has_a_text() -> None:
    """The display of a run names its phase, that of a replay too."""
    assert {f"phase_{phase}" for phase in get_args(Phase)} - _TEXTS.keys() == set()


def test_every_state_of_a_run_has_a_text() -> None:
    """A run's state is shown in the user's language, whichever it is."""
    assert set(get_args(State)) - _TEXTS.keys() == set()


@pytest.mark.parametrize(
    ("environ", "lang"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_HK"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_language_follows_the_locale(environ: dict[str, str], lang: str) -> None:
    """LC_ALL outranks LC_MESSAGES outranks LANG; an empty variable counts as not set."""
    assert locale_language(environ) == lang


def test_texts_are_found_by_key_and_language() -> None:
    """The same key gives the English or the Chinese text, with its values."""
    assert translator("en")("batches_of", done=1, planned=2) == "1 of 2 batches"
    assert translator("zh")("batches_of", done=1, planned=2) == "批次 1/2"


def test_every_text_is_used() -> None:
    """No text is kept that nothing says: each key, or the beginning of its family, is a literal of the code."""
    literals = set()
    for path in SOURCES:
        if path.name != "texts.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            literals |= {
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    families = tuple(literal for literal in literals if literal in FAMILIES)
    assert {key for key in _TEXTS if key not in literals and not key.startswith(families)} - set(
        get_args(State)
    ) == set()
