"""The documents that are made from the code, and the command that makes them: `make docs`.

To add one: write a function without arguments that returns the whole text, and name it in `GENERATED`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from migrate.cli import reference as cli_reference
from migrate.invoice import reference as schema_reference
from migrate.mapping import reference as mapping_reference
from tests.docs.documents import ROOT

GENERATED: Final[dict[str, Callable[[], str]]] = {
    "docs/cli.md": cli_reference.markdown,
    "docs/mapping.md": mapping_reference.markdown,
    "docs/schema.md": schema_reference.markdown,
    "mappings/schema.json": mapping_reference.schema_json,
}
"""Path in the checkout → the function that returns its content."""


def write(root: Path = ROOT) -> list[str]:
    """Write every generated document under `root`; the paths of those that changed."""
    changed = []
    for name, content in GENERATED.items():
        path, text = root / name, content()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    for changed_name in write():
        sys.stdout.write(f"wrote {changed_name}\n")
