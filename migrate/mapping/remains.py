"""What remains of a mapping file when parts of it cannot be meant: something neutral takes their place, so that the rest can be checked.

A part keeps its place, since paths and lines of the others count on it: a field becomes NULL, a check one that always holds, a target one field.
What is left out is remembered by path, since findings there would be about the stand-in, and not about the file.
Only for finding more mistakes: nothing that has a part left out is ever compiled to be run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Loc = tuple[str | int, ...]

CONTRADICTIONS = frozenset({"several_forms", "from_only", "value_default", "one_code"})
"""Mistakes that are there whatever was left out; all others that show only afterwards may be due to just that."""

_UNKNOWN = "extra_forbidden"
_NOTHING = "null"
_ANY = "any"
_SOURCE_KINDS = ("table", "query", "files", "format", "options")
_CHECK_EXTRAS = ("level", "message")


def leave_out(content: dict[str, Any], wrong: Iterable[tuple[Loc, str]]) -> set[str]:
    """Change `content`, a mapping file as dicts, lists and texts, where it is `wrong` (place and pydantic's kind of mistake).

    Returns the paths that now say nothing of the file; one that ends with a dot means what is below it only.
    An unknown key just goes: whatever it was meant to be, the rest is what the file says.
    """
    # From the inside out: what is around a part may go as a whole.
    places = sorted(wrong, key=lambda place: -len(place[0]))
    for loc, kind in places:
        if kind == _UNKNOWN:
            _remove(content, loc)
    found: set[str] = set()
    for loc, kind in places:
        only_for_its_items = kind == "too_short" and any(loc == other[: len(loc)] != other for other, _ in places)
        if kind != _UNKNOWN and loc and not only_for_its_items:
            found |= _PARTS.get(str(loc[0]), _leave_key)(content, loc)
    return found | _leave_dependants(content, found)


def is_left_out(path: str, left_out: Iterable[str]) -> bool:
    """Would a finding at `path` be about a stand-in?"""
    return any(
        path == each or (path.startswith(each) and (each[-1] == "." or path[len(each)] in ".[")) for each in left_out
    )


def _remove(content: Any, loc: Loc) -> None:
    """Take the key at `loc` out, if what is around it is still there."""
    for part in loc[:-1]:
        if isinstance(content, dict):
            content = content.get(str(part))
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            return
    if isinstance(content, dict):
        content.pop(loc[-1], None)


def _leave_key(content: dict[str, Any], loc: Loc) -> set[str]:
    """A part that may be absent: its key goes, or the key below it that is wrong."""
    _remove(content, loc[:2])
    return set()


def _leave_name(content: dict[str, Any], _: Loc) -> set[str]:
    content["mapping"] = "unnamed"
    return {"mapping"}


def _leave_source(content: dict[str, Any], loc: Loc) -> set[str]:
    """Without a table that can be read, only expressions and names inside of the file are left to be looked at."""
    source = content.get("source")
    part = loc[1] if len(loc) > 1 else None
    if not isinstance(source, dict):
        content["source"] = {"table": _ANY}
        return {"source.table"}
    if part is None or part in _SOURCE_KINDS:
        for name in _SOURCE_KINDS:
            source.pop(name, None)
        source["table"] = _ANY
        return {"source.table"}
    source.pop(part, None)
    if part == "timezone":
        source["timezone"] = "UTC"
    return {f"source.{part}"} if part in ("timezone", "key") else set()


def _leave_lookup(content: dict[str, Any], loc: Loc) -> set[str]:
    _remove(content, loc[:2])
    return {".".join(map(str, loc[:2]))}


def _leave_target(content: dict[str, Any], loc: Loc) -> set[str]:
    targets = content.get("targets")
    if len(loc) == 1 or not isinstance(targets, list):
        content["targets"] = [_any_target(0)]
        return {"targets"}
    index = int(loc[1])
    path, target, part = f"targets[{index}]", targets[index], loc[2] if len(loc) > 2 else None  # noqa: PLR2004 - targets, index, key
    if not isinstance(target, dict):
        targets[index] = _any_target(index)
        return {path}
    if part == "table":
        target["table"] = _any_target(index)["table"]
        return {f"{path}.table"}
    if part == "key":
        target["key"] = next(iter(target["fields"]), _ANY) if isinstance(target.get("fields"), dict) else _ANY
        return {f"{path}.key"}
    if part == "fields" and len(loc) > 3:  # noqa: PLR2004 - targets, index, fields, name
        target["fields"][loc[3]] = {"sql": _NOTHING}
        return {f"{path}.fields.{loc[3]}."}
    if part in ("on_conflict", "scope"):
        target.pop(part, None)
        return set()
    # Fields that are none, or a grouping that says how all of them are to be read.
    targets[index] = _any_target(index) | ({"table": target["table"]} if isinstance(target.get("table"), str) else {})
    return {f"{path}.fields", f"{path}.key"}


def _any_target(index: int) -> dict[str, Any]:
    return {"table": f"{_ANY}_{index}", "key": _ANY, "fields": {_ANY: {"sql": _NOTHING}}}


def _leave_check(content: dict[str, Any], loc: Loc) -> set[str]:
    if len(loc) > 2 and loc[2] in _CHECK_EXTRAS:  # noqa: PLR2004 - checks, index, key
        _remove(content, loc)
        return set()
    return _leave_item(content, loc)


def _leave_total(content: dict[str, Any], loc: Loc) -> set[str]:
    if len(loc) > 3 and loc[2] == "by":  # noqa: PLR2004 - totals, index, by, name
        _remove(content, loc[:4])
        return set()
    return _leave_item(content, loc)


def _leave_item(content: dict[str, Any], loc: Loc) -> set[str]:
    """A check or a total: one of any target takes its place."""
    part = str(loc[0])
    if len(loc) == 1:
        content.pop(part, None)
        return set()
    index = int(loc[1])
    known = content.get("targets")
    target = str(known[0].get("table")) if isinstance(known, list) and known and isinstance(known[0], dict) else _ANY
    content[part][index] = (
        {"id": f"{_ANY} {index}", "target": target, "assert": "true"}
        if part == "checks"
        else {"target": target, "sum": _ANY}
    )
    return {f"{part}[{index}]"}


def _leave_dependants(content: dict[str, Any], left_out: set[str]) -> set[str]:
    """Checks and totals over a target that is left out, or that may be meant by the one whose table is not known."""
    targets = content.get("targets")
    tables = [each.get("table") for each in targets if isinstance(each, dict)] if isinstance(targets, list) else []
    unnamed = any(is_left_out(f"targets[{index}].table", left_out) for index in range(len(tables)))
    gone = {table for index, table in enumerate(tables) if f"targets[{index}].fields" in left_out}
    found: set[str] = set()
    for part in ("checks", "totals"):
        items = content.get(part)
        for index, item in enumerate(items) if isinstance(items, list) else ():
            name = item.get("target") if isinstance(item, dict) else None
            if isinstance(name, str) and (name in gone or (unnamed and name not in tables)):
                found |= _leave_item(content, (part, index))
    return found


_PARTS = {
    "mapping": _leave_name,
    "source": _leave_source,
    "lookups": _leave_lookup,
    "targets": _leave_target,
    "checks": _leave_check,
    "totals": _leave_total,
}
