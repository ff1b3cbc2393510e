"""Reads a mapping file: failsafe YAML with line numbers, every mistake of the file reported at once.

Failsafe means that every scalar is text: `01`, `no`, `1e3` and `2025-01-01` are what they look like. Duplicate and unknown
keys, tags and aliases to a surrounding node are mistakes. Nothing of the environment is looked at: `${NAME}` stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode, SequenceNode

from migrate.errors import InputError
from migrate.mapping.findings import Finding, MappingErrors, nearest
from migrate.mapping.model import (
    Changes,
    Check,
    FieldSpec,
    Limits,
    Lookup,
    Mapping,
    MappingFile,
    Newer,
    Source,
    Strict,
    Target,
    TargetTable,
    Total,
)
from migrate.mapping.remains import CONTRADICTIONS, Loc, leave_out

_ATTEMPTS = 5
"""Leaving a part out can show that what is around it cannot be meant either; as deep as parts stand in each other."""

_MODELS: tuple[tuple[Loc, type[Strict]], ...] = (
    ((), MappingFile),
    (("source",), Source),
    (("source", "changes"), Changes),
    (("target",), Target),
    (("lookups", "*"), Lookup),
    (("targets", "*"), TargetTable),
    (("targets", "*", "on_conflict"), Newer),
    (("targets", "*", "fields", "*"), FieldSpec),
    (("checks", "*"), Check),
    (("totals", "*"), Total),
    (("limits",), Limits),
)
_YAML = "tag:yaml.org,2002:"


def read_mapping(path: str | Path) -> Mapping:
    """Read and validate one mapping file.

    Raises MappingErrors with all mistakes that need no schema of a database, InputError when the file cannot be read.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"The mapping file cannot be read: {error.strerror}.",
            where=str(path),
            next_step="Give the path of a mapping file.",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"The mapping file is not UTF-8 (byte {error.start}).", where=str(path), next_step="Save it as UTF-8."
        ) from error
    return parse_mapping(text, path)


def parse_mapping(text: str, path: Path) -> Mapping:
    """The mapping that `text` says; `path` is its name in messages and the place that its relative files start from.

    Raises MappingErrors with every mistake of the text, and with the mapping that is left without the parts that cannot be meant.
    """
    document = _Document(path)
    content = document.load(text)
    if content is None:
        raise MappingErrors(sorted(document.findings))
    model, mistakes, left_out = _validated(content, document)
    if model is None:
        raise MappingErrors(sorted({*document.findings, *mistakes}))
    mapping = _mapping(model, text, document, left_out)
    findings = sorted({*document.findings, *mistakes, *_duplicates(model, document)})
    if findings:
        raise MappingErrors(findings, mapping)
    return mapping


def _validated(content: Any, document: _Document) -> tuple[MappingFile | None, set[Finding], frozenset[str]]:
    """The model of `content`, its mistakes, and the paths that had to be left out for there to be a model; None without any."""
    findings: set[Finding] = set()
    left_out: set[str] = set()
    for attempt in range(_ATTEMPTS):
        try:
            return MappingFile.model_validate(content), findings, frozenset(left_out)
        except ValidationError as error:
            details = error.errors(include_url=False)
        findings |= _findings([each for each in details if not attempt or each["type"] in CONTRADICTIONS], document)
        if not isinstance(content, dict):
            break
        left_out |= leave_out(content, [(_real_loc(each["loc"]), each["type"]) for each in details])
    return None, findings, frozenset()


def _mapping(model: MappingFile, text: str, document: _Document, left_out: frozenset[str]) -> Mapping:
    return Mapping(
        name=model.mapping,
        version=model.version,
        path=document.path,
        text=text,
        source=model.source,
        target=model.target,
        lookups=model.lookups,
        targets=model.targets,
        checks=model.checks,
        totals=model.totals,
        limits=model.limits,
        lines={render_path(loc): line for loc, line in document.lines.items()},
        left_out=left_out,
    )


def render_path(loc: Iterable[str | int]) -> str:
    """`('targets', 0, 'fields', 'net')` as `targets[0].fields.net`; the whole file is `(file)`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(file)"


class _Document:
    """Turns YAML nodes into dicts, lists and text, remembers the line of each path, collects mistakes; None is in the place of what is `unreadable`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Loc, int] = {}
        self.findings: list[Finding] = []
        self.unreadable: set[Loc] = set()

    def load(self, text: str) -> Any:
        loader = YAML(typ="safe", pure=True)
        try:
            root = loader.compose(text)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            self._add(line, (), f"broken YAML: {error.problem or error.context}")
            return None
        except YAMLError as error:
            self._add(1, (), f"broken YAML: {error}")
            return None
        if root is None:
            self._add(1, (), "the file is empty")
            return None
        return self._value(root, (), ())

    def _add(self, line: int, loc: Loc, message: str, suggestion: str | None = None) -> None:
        self.findings.append(Finding(str(self.path), line, render_path(loc), message, suggestion))

    def _value(self, node: Node, loc: Loc, above: tuple[Node, ...]) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(loc, line)
        if any(node is one for one in above):
            self._add(line, loc, "an alias may not point at a node around itself")
            self.unreadable.add(loc)
            return None
        if isinstance(node, ScalarNode):
            self._no_tag(node, loc, str(node.tag).startswith(_YAML))
            return node.value
        if isinstance(node, SequenceNode):
            self._no_tag(node, loc, node.tag == f"{_YAML}seq")
            return [self._value(item, (*loc, index), (*above, node)) for index, item in enumerate(node.value)]
        return self._mapping(node, loc, above)

    def _no_tag(self, node: Node, loc: Loc, implicit: bool) -> None:  # noqa: FBT001 - a fact about the node
        if not implicit:
            tag = str(node.tag).replace(_YAML, "!!")
            message = f"tags such as {tag} are not allowed: every scalar is text"
            self._add(node.start_mark.line + 1, loc, message)

    def _mapping(self, node: Node, loc: Loc, above: tuple[Node, ...]) -> dict[str, Any]:
        self._no_tag(node, loc, node.tag == f"{_YAML}map")
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._add(line, loc, "a key must be text")
                continue
            key = str(key_node.value)
            if key in found:
                self._add(line, (*loc, key), f"duplicate key `{key}`, first on line {self.lines[(*loc, key)]}")
                continue
            self.lines[(*loc, key)] = line
            found[key] = self._value(value_node, (*loc, key), (*above, node))
        return found

    def line(self, loc: Loc) -> int:
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def _duplicates(model: MappingFile, document: _Document) -> Iterator[Finding]:
    """Tables and check ids that occur twice."""
    for part, names in (
        ("targets", [target.table for target in model.targets]),
        ("checks", [check.id for check in model.checks]),
    ):
        for index, name in enumerate(names):
            if name in names[:index]:
                key = "table" if part == "targets" else "id"
                loc: Loc = (part, index, key)
                yield Finding(
                    str(document.path),
                    document.line(loc),
                    render_path(loc),
                    f"`{name}` is used twice, first in {part}[{names.index(name)}]",
                )


def _model_at(loc: Loc) -> type[Strict] | None:
    for pattern, model in _MODELS:
        if len(pattern) == len(loc) and all(want in ("*", have) for want, have in zip(pattern, loc, strict=True)):
            return model
    return None


def _real_loc(loc: Loc) -> Loc:
    """pydantic's location without the names of union branches, which are no keys of the file."""
    return tuple(
        part for part in loc if not (isinstance(part, str) and (part == "Newer" or part.startswith("literal[")))
    )


def _findings(details: list[ErrorDetails], document: _Document) -> set[Finding]:
    """One finding per mistake: of a value that may have two forms only what its form lacks, and no list empty for its bad items."""
    places = [(_real_loc(detail["loc"]), detail["type"]) for detail in details]
    found = set()
    for detail, (loc, kind) in zip(details, places, strict=True):
        other_form = kind in ("model_type", "literal_error") and any(
            place[: len(loc)] == loc and other != kind and other in ("literal_error", "extra_forbidden", "missing")
            for place, other in places
            if kind == "model_type" or len(place) > len(loc)
        )
        if other_form or (
            kind == "too_short" and any(place != loc and place[: len(loc)] == loc for place, _ in places)
        ):
            continue
        if loc in document.unreadable:
            continue
        found.add(_finding(detail, document))
    return found


def _finding(detail: ErrorDetails, document: _Document) -> Finding:
    loc = _real_loc(detail["loc"])
    kind = detail["type"]
    message, suggestion = _words(kind, detail, loc)
    line = document.line(loc[:-1] if kind == "missing" else loc)
    return Finding(str(document.path), line, render_path(loc), message, suggestion)


_EXPECTED = {
    "string_type": "text",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "dict_type": "keys with values",
    "tuple_type": "text or a list",
    "list_type": "a list",
    "int_type": "a whole number",
}


def _words(kind: str, detail: ErrorDetails, loc: Loc) -> tuple[str, str | None]:
    """Message and suggestion for one of pydantic's errors."""
    given = detail["input"]
    if kind == "missing":
        return "is missing", None
    if kind == "extra_forbidden":
        model = _model_at(loc[:-1])
        known = sorted(info.alias or name for name, info in model.model_fields.items()) if model else []
        return f"unknown key `{loc[-1]}`", nearest(str(loc[-1]), known) or f"known: {', '.join(known)}"
    if kind == "literal_error":
        expected = str(detail["ctx"]["expected"]) if "ctx" in detail else ""
        options = [part.strip().strip("'") for part in expected.replace(" or ", ",").split(",")]
        return f"expected one of {', '.join(options)}, found {_shown(given)}", nearest(str(given), options)
    if kind == "too_short":
        return "must not be empty", None
    if kind == "string_pattern_mismatch":
        return f"expected a name of letters, digits, `_` and `-` that begins with a letter, found {_shown(given)}", None
    if kind == "model_type" and len(loc) > 1 and loc[-2] == "fields":
        return f"expected a column name, or keys with values, found {_shown(given)}", None
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {_shown(given)}", None
    return detail["msg"], None


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'" if value else "nothing"
    return "a list" if isinstance(value, list) else "keys with values" if isinstance(value, dict) else str(value)
