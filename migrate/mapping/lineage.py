"""Lineage of a mapping: which source columns and lookups feed which target fields, and how; a value, which others draw.

Taken from the mapping alone, so that it can be drawn before any database is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from migrate.mapping.expressions import ExpressionError, parse_expression
from migrate.mapping.model import FieldSpec, Mapping, TargetTable

NodeKind = Literal["source", "lookup", "step", "target"]


@dataclass(frozen=True)
class Node:
    """A column, lookup, step or field. `group` is the table or lookup that it belongs to, `text` what is shown, `detail` the whole of it."""

    id: str
    kind: NodeKind
    group: str
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Edge:
    """From the id of a node to that of another."""

    start: str
    end: str


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of first use, and edges from source to target."""

    title: str
    source: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def of(self, *kinds: NodeKind) -> tuple[Node, ...]:
        """The nodes of these kinds."""
        return tuple(node for node in self.nodes if node.kind in kinds)

    def feeds(self, target: str) -> frozenset[str]:
        """Ids of the source columns and lookups behind a target node's id."""
        before: dict[str, set[str]] = {}
        for edge in self.edges:
            before.setdefault(edge.end, set()).add(edge.start)
        found: set[str] = set()
        waiting = [target]
        while waiting:
            for start in before.get(waiting.pop(), ()):
                if start not in found:
                    found.add(start)
                    waiting.append(start)
        kinds = {node.id: node.kind for node in self.nodes}
        return frozenset(each for each in found if kinds[each] in ("source", "lookup"))


def mapping_graph(mapping: Mapping) -> Graph:
    """The lineage of every field of a mapping. An expression that does not parse gives a step without columns."""
    builder = _Builder(mapping)
    for target in mapping.targets:
        for name, spec in target.fields.items():
            builder.field(target, name, spec)
    source = mapping.source
    title = source.table or source.files or "query"
    return Graph(f"{mapping.name} v{mapping.version}", title, tuple(builder.nodes.values()), tuple(builder.edges))


class _Builder:
    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._source = mapping.source.table or mapping.source.files or "query"
        self.nodes: dict[str, Node] = {}
        self.edges: dict[Edge, None] = {}

    def field(self, target: TargetTable, name: str, spec: FieldSpec) -> None:
        """Add a field, its step unless it is a plain copy, and what they come from."""
        columns = _columns(spec, grouped=target.one_row_per is not None)
        text, detail = describe(spec)
        end = self._add("target", target.table, name)
        if text:
            step = f"step:{target.table}.{name}"
            self.nodes[step] = Node(step, "step", target.table, text, detail)
            self.edges[Edge(step, end)] = None
            end = step
        for column in columns:
            self.edges[Edge(self._add("source", self._source, column), end)] = None
        if spec.lookup is not None:
            found = self._add("lookup", "lookups", f"{spec.lookup}.{spec.take}")
            self.edges[Edge(found, end)] = None

    def _add(self, kind: NodeKind, group: str, name: str) -> str:
        node = f"{kind}:{group}.{name}"
        self.nodes.setdefault(node, Node(node, kind, group, name))
        return node


def _columns(spec: FieldSpec, *, grouped: bool) -> tuple[str, ...]:
    if spec.from_ is not None:
        return spec.from_
    if spec.sql is None:
        return ()
    try:
        return parse_expression(spec.sql, aggregates=grouped).columns
    except ExpressionError:
        return ()


def describe(spec: FieldSpec) -> tuple[str, str]:
    """A field's step in a few words, and in full; both empty for a plain copy."""
    if spec.value is not None:
        return f"= {spec.value}", ""
    parts = []
    detail = ""
    if spec.sql is not None:
        detail = " ".join(spec.sql.split())
        parts.append(detail)
    parts += _steps(spec)
    if spec.default is not None:
        parts.append(f"default {spec.default}")
    text = " → ".join(parts)
    return text, detail or text


_NULL_WORDS = {"": "empty", " ": "blank"}


def _steps(spec: FieldSpec) -> Iterable[str]:
    if spec.nulls:
        yield f"{', '.join(_NULL_WORDS.get(each, each) for each in spec.nulls)} is NULL"
    yield from spec.clean or ()
    if spec.values:
        yield ", ".join(f"{old}→{new}" for old, new in spec.values.items())
    if spec.lookup:
        yield f"look up {spec.lookup}"
    if spec.type:
        yield spec.type
