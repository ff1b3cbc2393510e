"""Draws mapping graphs as one self-contained SVG: source columns at the left, steps in the middle, target fields at the right."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from migrate.mapping.lineage import Graph, Node

_ROW = 26
_HEAD = 30
_GAP = 18
_PAD = 24
_TITLE = 44
_TEXT = 12
_WIDTHS = {"left": 190, "middle": 380, "right": 200}
_SPACE = 130
_LEFT = _PAD
_MIDDLE = _LEFT + _WIDTHS["left"] + _SPACE
_RIGHT = _MIDDLE + _WIDTHS["middle"] + _SPACE
_TOTAL = _RIGHT + _WIDTHS["right"] + _PAD
_PALETTE = ("#2563eb", "#0d9488", "#9333ea", "#c2410c", "#be185d", "#4d7c0f", "#0369a1", "#7c2d12")

_STYLE = """
  .mg text { font: 12px ui-sans-serif, system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; fill: #1f2937; }
  .mg .title { font-size: 17px; font-weight: 600; } .mg .head { font-weight: 600; fill: #fff; } .mg .step text { font-size: 11px; fill: #4b5563; }
  .mg .box { fill: #fff; stroke: #d1d5db; } .mg .step rect { fill: #f9fafb; stroke: #e5e7eb; } .mg .back { fill: #f3f4f6; }
  .mg .row { stroke: #eef0f3; } .mg path { fill: none; stroke-width: 1.6; stroke-opacity: .55; } .mg path:hover { stroke-width: 3; stroke-opacity: 1; }
  .mg .node:hover rect { stroke: #6b7280; }
"""


@dataclass(frozen=True)
class _Place:
    """Where a node is: its left and right end, and its middle line."""

    left: int
    right: int
    y: int


def to_svg(graphs: Sequence[Graph]) -> str:
    """The graphs one below the other; valid XML without outside references."""
    parts: list[str] = []
    top = 0
    for graph in graphs:
        drawn, height = _draw(graph, top)
        parts += drawn
        top += height
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mg" viewBox="0 0 {_TOTAL} {top}" width="{_TOTAL}" height="{top}" role="img">'
        f'<style>{_STYLE}</style><rect class="back" width="{_TOTAL}" height="{top}"/>'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def _draw(graph: Graph, top: int) -> tuple[list[str], int]:
    begin = top + _TITLE + _PAD
    targets = _grouped(graph.of("target"))
    right, right_end = _places(targets, _RIGHT, _WIDTHS["right"], begin)
    middle, middle_end = _steps(graph, right, begin)
    lefts = _grouped(_by_height(graph, {**right, **middle}))
    left, left_end = _places(lefts, _LEFT, _WIDTHS["left"], begin)
    places = {**left, **middle, **right}
    parts = [f'<g><text class="title" x="{_PAD}" y="{top + _PAD + 14}">{escape(graph.title)}</text>']
    parts += _curves(graph, places)
    parts += _boxes(lefts, left, _LEFT, _WIDTHS["left"], "#475569")
    parts += [_step(node, middle[node.id]) for node in graph.of("step")]
    parts += _boxes(targets, right, _RIGHT, _WIDTHS["right"], "#1e3a8a")
    parts.append("</g>")
    return parts, max(left_end, middle_end, right_end) - top + _PAD


def _grouped(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.group, []).append(node)
    return groups


def _places(groups: dict[str, list[Node]], left: int, width: int, top: int) -> tuple[dict[str, _Place], int]:
    """A row for each node, below the head of its group."""
    places: dict[str, _Place] = {}
    for nodes in groups.values():
        top += _HEAD
        for node in nodes:
            places[node.id] = _Place(left, left + width, top + _ROW // 2)
            top += _ROW
        top += _GAP
    return places, top


def _steps(graph: Graph, right: dict[str, _Place], begin: int) -> tuple[dict[str, _Place], int]:
    """Each step at the height of its field, so that its line to it is straight."""
    ends = {edge.start: edge.end for edge in graph.edges}
    places = {}
    for node in graph.of("step"):
        places[node.id] = _Place(_MIDDLE, _MIDDLE + _WIDTHS["middle"], right[ends[node.id]].y)
    return places, max((place.y for place in places.values()), default=begin) + _ROW


def _by_height(graph: Graph, places: dict[str, _Place]) -> list[Node]:
    """Source columns and lookups in the order of the mean height of what they feed: fewer lines cross."""
    heights: dict[str, list[int]] = {}
    for edge in graph.edges:
        heights.setdefault(edge.start, []).append(places[edge.end].y if edge.end in places else 0)
    sources = graph.of("source", "lookup")
    return sorted(sources, key=lambda node: (node.kind == "lookup", sum(heights[node.id]) / len(heights[node.id])))


def _curves(graph: Graph, places: dict[str, _Place]) -> list[str]:
    colours = {node.id: _PALETTE[index % len(_PALETTE)] for index, node in enumerate(graph.of("source", "lookup"))}
    for edge in graph.edges:
        # The line from a step to its field has the colour of the first thing that comes into the step.
        if edge.start in colours and edge.end.startswith("step:"):
            colours.setdefault(edge.end, colours[edge.start])
    parts = []
    for edge in graph.edges:
        start, end = places[edge.start], places[edge.end]
        # A plain copy passes at the height of its field, where the middle is empty, instead of behind the steps.
        turn = min(end.left, _MIDDLE) if edge.start in colours and not edge.start.startswith("step:") else end.left
        bend = (turn - start.right) // 2
        path = (
            f"M{start.right},{start.y} C{start.right + bend},{start.y} {turn - bend},{end.y} {turn},{end.y} H{end.left}"
        )
        colour = colours.get(edge.start, "#94a3b8")
        parts.append(
            f'<path d="{path}" stroke="{colour}" data-from="{escape(edge.start)}" data-to="{escape(edge.end)}"/>'
        )
    return parts


def _boxes(groups: dict[str, list[Node]], places: dict[str, _Place], left: int, width: int, colour: str) -> list[str]:
    parts = []
    for group, nodes in groups.items():
        top = places[nodes[0].id].y - _ROW // 2 - _HEAD
        height = _HEAD + _ROW * len(nodes)
        parts.append(f'<rect class="box" x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>')
        round_top = f"M{left},{top + _HEAD} v-{_HEAD - 6} q0,-6 6,-6 h{width - 12} q6,0 6,6 v{_HEAD - 6} z"
        parts.append(f'<path d="{round_top}" style="fill:{colour};stroke:none;fill-opacity:1"/>')
        parts.append(f'<text class="head" x="{left + 12}" y="{top + 20}">{escape(_cut(group, width - 24))}</text>')
        for node in nodes:
            y = places[node.id].y
            line = f'<line class="row" x1="{left}" x2="{left + width}" y1="{y + _ROW // 2}" y2="{y + _ROW // 2}"/>'
            parts.append(
                f'<g class="node" id="{escape(node.id)}"><title>{escape(node.detail or node.text)}</title>'
                f"{line if node is not nodes[-1] else ''}"
                f'<text x="{left + 12}" y="{y + 4}">{escape(_cut(node.text, width - 24))}</text></g>'
            )
    return parts


def _step(node: Node, place: _Place) -> str:
    text = _cut(node.text, place.right - place.left - 20)
    return (
        f'<g class="node step" id="{escape(node.id)}"><title>{escape(node.detail or node.text)}</title>'
        f'<rect x="{place.left}" y="{place.y - 11}" width="{place.right - place.left}" height="22" rx="11"/>'
        f'<text x="{place.left + 12}" y="{place.y + 4}">{escape(text)}</text></g>'
    )


def _cut(text: str, width: int) -> str:
    """As much of a text as fits; Chinese characters are twice as wide as Latin ones."""
    used = 0.0
    for place, character in enumerate(text):
        wide = unicodedata.east_asian_width(character) in ("W", "F")
        used += _TEXT if wide else _TEXT * 0.53
        if used > width:
            return text[: max(place - 1, 1)] + "…"
    return text
