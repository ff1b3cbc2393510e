"""Canonical JSON: one text for one document, so that a signature over the text is one over the document.

RFC 8785 without floats, which no two languages write alike: amounts are texts here. Reading refuses what a document could hide behind:
a member named twice, a number that is no plain integer.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

_LARGEST: Final = 2**53 - 1
"""RFC 7493: integers beyond it are not the same number in every reader."""


def canonical_json(value: object) -> str:
    """The canonical text. ValueError for floats, integers beyond 2**53, names that are no texts, and halves of characters."""
    text = json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text.encode()
    return text


def canonical_digest(value: object) -> str:
    """SHA-256 of the canonical text, hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def parse_strictly(text: str) -> Any:
    """The value of a JSON text. ValueError for text that is no JSON, and for what `canonical_json` does not write."""
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_float=_refuse, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    canonical_json(value)
    return value


def _ordered(value: object) -> object:
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("a member whose name is no text")
        # RFC 8785 sorts by UTF-16 code units.
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return {name: _ordered(value[name]) for name in names}
    if isinstance(value, list | tuple):
        return [_ordered(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        raise ValueError(f"the integer {str(value)[:40]} is beyond 2**53")
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"a {type(value).__name__} has no canonical text")


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice")
    return members


def _refuse(text: str) -> object:
    raise ValueError(f"{text} is not a plain integer")
