"""The mapping graph: the lineage of some mappings, drawn as SVG, as a page, or as mermaid text."""

from __future__ import annotations

from collections.abc import Sequence

from migrate.errors import InputError
from migrate.mapping.graph_drawing import to_svg
from migrate.mapping.graph_page import to_html, to_mermaid
from migrate.mapping.lineage import mapping_graph
from migrate.mapping.model import Mapping


def render_graph(mappings: Sequence[Mapping], form: str) -> str:
    """The graphs of some mappings as `svg`, `html`, `mmd` or `mermaid`; InputError for another form."""
    writers = {"svg": to_svg, "html": to_html, "htm": to_html, "mmd": to_mermaid, "mermaid": to_mermaid}
    if form not in writers:
        raise InputError(
            f"graphs are written as svg, html or mmd, not as {form or 'nothing'}", next_step="name the file *.svg"
        )
    return writers[form]([mapping_graph(mapping) for mapping in mappings])
