"""Proposes a first mapping file from two schemas, for `migrate init`: what is sure, what is not, and what a person has to fill in.

Pure: schemas in, YAML text out. The same schemas give the same text.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import Literal

from migrate.mapping.names import SOURCE_RESERVED
from migrate.mapping.synonyms import SYNONYMS
from migrate.values import Column, TableShape

FILL_IN = "FILL_IN"
"""Stands for a source column that nobody knows yet; `check` reports it, since no source has such a column."""

_CODED = frozenset(
    {"type_code", "status", "nature", "reason", "origin", "risk", "use_status", "entry_status", "special_type"}
)
"""Columns of codes: a source has codes of its own more often than not."""

_ALIKE = 0.75
_SURE = 0.93
_PROVENANCE = "source_system"
_PLAIN = re.compile(r"[A-Za-z_一-鿿][A-Za-z0-9_一-鿿]*")
_DATE_FORMATS = '["%Y%m%d", "%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日"]'
_TIME_FORMATS = '["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y%m%d%H%M%S"]'


@dataclass(frozen=True)
class _Match:
    """The source column that seems to be meant, how sure that is, and why."""

    column: Column
    sure: bool
    why: str


@dataclass(frozen=True)
class Draft:
    """What to draft: names of the mapping and of both tables, URLs as the file should have them (with `${NAME}`)."""

    name: str
    source_url: str
    target_url: str
    source_kind: Literal["table", "files"] = "table"


def draft_mapping(source: TableShape, target: TableShape, draft: Draft) -> str:
    """YAML of a first mapping from `source` to `target`. Unsure fields carry `# unsure: …`, missing ones `FILL_IN`."""
    key = target.primary_key or next((each.columns for each in target.unique_keys), ())
    made = {column.name for column in target.columns if _made_by_database(column, key)}
    matches = _match(source, target, made)
    fields = [
        (f"# {_scalar(column.name)}", "", f"{column.default_kind} by the database")
        if column.name in made
        else _field(column, matches.get(column.name), draft, key)
        for column in target.columns
    ]
    taken = {match.column.name for match in matches.values()}
    unused = [name for name in source.names if name not in taken and name not in SOURCE_RESERVED]
    lines = [
        "# A first mapping, made from both schemas. Look at every field; those marked `unsure` were matched by name alone,",
        f"# and `{FILL_IN}` stands where the target needs a value and no column of the source looks like it.",
        "# Then look at it with `migrate check`.",
        f"mapping: {draft.name}",
        "version: 1",
        "source:",
        f"  url: {json.dumps(draft.source_url)}" if draft.source_kind == "table" else None,
        f"  {draft.source_kind}: {_scalar(source.name)}",
        _source_key(source),
        "  timezone: Asia/Shanghai",
        "target:",
        f"  url: {json.dumps(draft.target_url)}",
        "targets:",
        f"  - table: {_scalar(target.name)}",
        f"    key: {_list(key)}" if key else f"    key: [{FILL_IN}]   # the target has no unique key: name one",
        f"    scope: \"{_PROVENANCE} = '{draft.name}'\"" if _PROVENANCE in target.names else None,
        "    on_conflict: fail",
        "    fields:",
        *(f"      {line}" for line in _aligned(fields)),
        *(["", f"# Columns of the source that no field uses: {', '.join(unused)}"] if unused else []),
        "",
    ]
    return "\n".join(line for line in lines if line is not None)


def _source_key(source: TableShape) -> str | None:
    if source.primary_key:
        return f"  key: {_list(source.primary_key)}"
    if source.positional:
        return None
    return f"  key: [{FILL_IN}]   # the source has no primary key: name the columns that identify a row"


# ---------------------------------------------------------------- matching


def _made_by_database(column: Column, key: tuple[str, ...]) -> bool:
    """A mapping has to say what its key is, so a number that the database could give is mapped where it is the key."""
    return column.default_kind == "generated" or (column.default_kind == "identity" and column.name not in key)


def _match(source: TableShape, target: TableShape, made: set[str]) -> dict[str, _Match]:
    """Target column: the source column for it. Equal names first, then names known from the field, then names that look alike."""
    folded = {_fold(column.name): column for column in source.columns}
    found: dict[str, _Match] = {}
    for column in target.columns:
        if column.name in made:
            continue
        exact = folded.get(_fold(column.name))
        known = next((folded[_fold(name)] for name in SYNONYMS.get(column.name, ()) if _fold(name) in folded), None)
        if exact is not None:
            found[column.name] = _Match(exact, sure=True, why="the same name")
        elif known is not None:
            found[column.name] = _Match(known, sure=True, why="the usual name")
    free = {name: column for name, column in folded.items() if column not in [match.column for match in found.values()]}
    for column in target.columns:
        if column.name not in found and column.name not in made:
            near = difflib.get_close_matches(_fold(column.name), sorted(free), n=1, cutoff=_ALIKE)
            if near:
                score = difflib.SequenceMatcher(None, _fold(column.name), near[0]).ratio()
                found[column.name] = _Match(free.pop(near[0]), sure=score >= _SURE, why="a similar name")
    return found


def _fold(name: str) -> str:
    return re.sub(r"[^0-9a-z一-鿿]", "", name.lower())


# ---------------------------------------------------------------- fields


def _field(column: Column, match: _Match | None, draft: Draft, key: tuple[str, ...]) -> tuple[str, str, str]:
    """Name, value and comment of a field; a name that begins with # is a line that is commented out."""
    name = _scalar(column.name)
    if match is None and column.name == _PROVENANCE:
        return name, f"{{value: {draft.name}}}", "where the rows came from; the scope rests on it"
    if match is None and column.name in key:
        return name, f"{{from: {FILL_IN}}}", f"must be filled: {column.type}, part of the key"
    if match is None:
        if column.nullable:
            return f"# {name}", "", f"{column.type}: no column of the source looks like it"
        if column.default_kind != "null":
            return f"# {name}", "", f"{column.type}: gets its default"
        return name, f"{{from: {FILL_IN}}}", f"must be filled: {column.type}, NOT NULL"
    value, doubt = _conversion(match.column, column)
    doubts = [doubt] if doubt else []
    if not match.sure:
        doubts.insert(0, match.why)
    if column.default_kind == "identity":
        doubts.append("the database could number the rows itself")
    if column.name in _CODED:
        doubts.append("are these the target's codes? else use `values` or `lookup`")
    return name, value, f"unsure: {'; '.join(doubts)}" if doubts else ""


def _conversion(source: Column, target: Column) -> tuple[str, str]:
    """YAML of the field, and what is doubtful about it."""
    have, want, name = source.type.kind, target.type.kind, _scalar(source.name)
    if have == "float" and want in ("decimal", "integer", "text"):
        column = '\\"' + source.name.replace('"', '\\"\\"') + '\\"'
        return f'{{sql: "cast(float_text({column}) as {_type(target)})"}}', "floating values are no exact amounts"
    if have != "text" or want == "text":
        return _copy(source, target, name)
    nulls = 'nulls: ["", " "]' if want in ("decimal", "integer", "float") else 'nulls: ["", " ", "0"]'
    if want == "decimal":
        return f'{{from: {name}, {nulls}, type: "{_type(target)}", clean: money}}', ""
    if want == "integer":
        return f"{{from: {name}, {nulls}, type: integer}}", "are these whole numbers?"
    if want == "date":
        return f"{{from: {name}, {nulls}, type: date, formats: {_DATE_FORMATS}}}", ""
    if want in ("timestamp", "instant"):
        return f"{{from: {name}, {nulls}, type: {want}, formats: {_TIME_FORMATS}}}", ""
    if want == "boolean":
        return (
            f'{{from: {name}, nulls: ["", " "], values: {{"1": "true", "0": "false", "Y": "true", "N": "false", "是": "true", "否": "false"}}}}',
            "look at its values",
        )
    return name, ""


def _copy(source: Column, target: Column, name: str) -> tuple[str, str]:
    have, want = source.type.kind, target.type.kind
    if have == "text" and target.nullable and source.nullable:
        return f'{{from: {name}, nulls: ["", " "]}}', _shorter(source, target)
    if have == want or (have in ("integer", "decimal") and want in ("integer", "decimal", "text")):
        return name, _shorter(source, target)
    return name, f"{source.type} into {target.type}"


def _shorter(source: Column, target: Column) -> str:
    if source.type.kind == "text" and target.type.length is not None:
        have = source.type.length
        if have is not None and have > target.type.length:
            return f"{have} characters into {target.type.length}: longer values are rejected"
    return ""


def _type(column: Column) -> str:
    kind = column.type
    if kind.kind == "decimal" and kind.scale is not None:
        return f"decimal({kind.precision},{kind.scale})"
    return "bigint" if kind.kind == "integer" else "varchar"


# ---------------------------------------------------------------- text


def _aligned(fields: list[tuple[str, str, str]]) -> list[str]:
    width = max((len(name) for name, value, _ in fields if value), default=0) + 1
    lines = []
    for name, value, comment in fields:
        body = f"{name + ':':<{width}} {value}" if value else f"{name}:"
        lines.append(f"{body}   # {comment}" if comment else body)
    return lines


def _list(names: tuple[str, ...]) -> str:
    return f"[{', '.join(_scalar(name) for name in names)}]"


def _scalar(text: str) -> str:
    """A YAML scalar: plain where it is a simple name, quoted otherwise."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
