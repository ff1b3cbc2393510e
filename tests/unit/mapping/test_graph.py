"""Lineage: what feeds which field, and drawings that stand alone."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from migrate.errors import InputError
from migrate.mapping.graph import render_graph
from migrate.mapping.lineage import Graph, mapping_graph
from tests.unit.mapping.harness import mapping_of

MAPPING = mapping_of(
    """
  - table: 发票
    key: [号码]
    fields:
      号码: {sql: "concat(fpdm, '-', fphm)"}
      kind: {from: fplx, lookup: kinds, take: code}
      name: xsf_mc
      both: {sql: "case when fphm = '<&\\">' then fpdm end"}
      fixed: {value: O}
""",
    rest="lookups:\n  kinds: {file: kinds.csv, key: old}\n",
)


def feeds(graph: Graph, field: str) -> set[str]:
    """Names of what feeds a field."""
    return {each.split(":", 1)[1] for each in graph.feeds(f"target:发票.{field}")}


def test_each_field_is_traced_to_its_columns_and_lookups() -> None:
    """Columns in expressions count once each; a constant comes from nowhere."""
    graph = mapping_graph(MAPPING)
    assert feeds(graph, "号码") == {"old.fpdm", "old.fphm"}
    assert feeds(graph, "kind") == {"old.fplx", "lookups.kinds.code"}
    assert feeds(graph, "name") == {"old.xsf_mc"}
    assert feeds(graph, "both") == {"old.fpdm", "old.fphm"}
    assert feeds(graph, "fixed") == set()


def test_the_svg_is_one_self_contained_document() -> None:
    """Well-formed, nothing loaded from outside, every field and column in it, hostile texts escaped."""
    svg = render_graph([MAPPING, MAPPING], "svg")
    root = ET.fromstring(svg)  # noqa: S314 - our own document
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"号码", "fpdm", "kinds.code", "发票"} <= texts
    assert not re.search(r'(href|src|url\()\s*=?\s*["\']?http', svg.replace('xmlns="http://www.w3.org/2000/svg"', ""))


def test_the_page_stands_alone_and_lists_every_field() -> None:
    """One HTML file with the drawing and a table."""
    page = render_graph([MAPPING], "html")
    assert page.count("<tr><td>发票.") == 5
    assert "<svg" in page
    assert "<script src" not in page
    assert "<link" not in page


def test_mermaid_has_an_arrow_for_each_edge() -> None:
    """Quotes and brackets of expressions do not break its syntax."""
    graph = mapping_graph(MAPPING)
    lines = render_graph([MAPPING], "mmd").splitlines()
    assert lines[0] == "flowchart LR"
    assert sum("-->" in line for line in lines) == len(graph.edges)
    for line in lines:
        assert line.count('"') in (0, 2), line


def test_another_form_is_refused() -> None:
    """The name of the file says the form."""
    with pytest.raises(InputError, match="svg, html or mmd"):
        render_graph([MAPPING], "png")
