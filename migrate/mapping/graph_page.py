"""Mapping graphs as mermaid text, and as one self-contained HTML page with the drawing and a table of all fields."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from migrate.mapping.graph_drawing import to_svg
from migrate.mapping.lineage import Graph, Node

_PAGE_STYLE = """
:root { color-scheme: light; } body { margin: 0; background: #f3f4f6; color: #1f2937; font: 14px/1.5 ui-sans-serif, system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 24px; } svg { max-width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; background: #fff; margin: 12px 0 32px; } th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid #e5e7eb; vertical-align: top; }
th { background: #f9fafb; font-weight: 600; } code { font: 12px ui-monospace, SFMono-Regular, Menlo, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.dim path, .dim .node { opacity: .12; } .dim .on { opacity: 1 !important; }
"""
_PAGE_SCRIPT = """
for (const node of document.querySelectorAll('.mg .node')) {
  node.addEventListener('mouseenter', () => {
    const on = new Set([node.id]), paths = [...document.querySelectorAll('.mg path[data-from]')];
    for (const [near, far] of [['from', 'to'], ['to', 'from']]) {
      const waiting = [node.id];
      while (waiting.length) { const id = waiting.pop(); for (const p of paths) if (p.dataset[near] === id) { p.classList.add('on'); if (!on.has(p.dataset[far])) { on.add(p.dataset[far]); waiting.push(p.dataset[far]); } } }
    }
    for (const id of on) document.getElementById(id)?.classList.add('on');
    node.ownerSVGElement.classList.add('dim');
  });
  node.addEventListener('mouseleave', () => { for (const e of document.querySelectorAll('.on')) e.classList.remove('on'); node.ownerSVGElement.classList.remove('dim'); });
}
"""


def to_mermaid(graphs: Sequence[Graph]) -> str:
    """A `flowchart LR` for GitHub and editors."""
    lines = ["flowchart LR"]
    for number, graph in enumerate(graphs):
        names = {node.id: f"m{number}n{index}" for index, node in enumerate(graph.nodes)}
        for kind, title in (("source", graph.source), ("lookup", "lookups")):
            nodes = graph.of(kind)  # type: ignore[arg-type]
            if nodes:
                lines += [
                    f'  subgraph m{number}{kind}["{_quote(title)}"]',
                    *(f"    {_shape(node, names)}" for node in nodes),
                    "  end",
                ]
        lines += [f"  {_shape(node, names)}" for node in graph.of("step")]
        tables = dict.fromkeys(node.group for node in graph.of("target"))
        for index, table in enumerate(tables):
            nodes = tuple(node for node in graph.of("target") if node.group == table)
            lines += [
                f'  subgraph m{number}t{index}["{_quote(table)}"]',
                *(f"    {_shape(node, names)}" for node in nodes),
                "  end",
            ]
        lines += [f"  {names[edge.start]} --> {names[edge.end]}" for edge in graph.edges]
    return "\n".join(lines) + "\n"


def _shape(node: Node, names: dict[str, str]) -> str:
    text = f'"{_quote(node.text)}"'
    return f"{names[node.id]}({text})" if node.kind == "step" else f"{names[node.id]}[{text}]"


def _quote(text: str) -> str:
    """Mermaid ends a text at a quote and reads # as the start of an entity."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("\n", " ")


def to_html(graphs: Sequence[Graph]) -> str:
    """One page without outside references; pointing at a column lights up what it feeds and what feeds it."""
    title = ", ".join(graph.title for graph in graphs)
    tables = "\n".join(_table(graph) for graph in graphs)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_PAGE_STYLE}</style></head><body><main>\n{to_svg(graphs)}\n{tables}\n</main><script>{_PAGE_SCRIPT}</script></body></html>\n"
    )


def _table(graph: Graph) -> str:
    steps = {edge.end: edge.start for edge in graph.edges if edge.start.startswith("step:")}
    nodes = {node.id: node for node in graph.nodes}
    rows = []
    for node in graph.of("target"):
        sources = ", ".join(sorted(nodes[each].text for each in graph.feeds(node.id)))
        step = nodes[steps[node.id]] if node.id in steps else None
        how = f"<code>{escape(step.detail or step.text)}</code>" if step else "copy"
        rows.append(
            f"<tr><td>{escape(node.group)}.{escape(node.text)}</td><td>{escape(sources)}</td><td>{how}</td></tr>"
        )
    head = "<tr><th>field</th><th>from</th><th>how</th></tr>"
    return f"<h2>{escape(graph.title)}</h2><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
