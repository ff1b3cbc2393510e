"""Generated documents are what their generators say now."""

import pytest

from tests.docs.documents import ROOT
from tests.docs.generated import GENERATED


@pytest.mark.parametrize("name", GENERATED)
def test_generated_documents_are_up_to_date(name: str) -> None:
    """A generated document never drifts from the code that it describes; `make docs` writes it anew."""
    path = ROOT / name
    assert path.exists(), f"{name} is missing; run `make docs`"
    assert path.read_text(encoding="utf-8") == GENERATED[name](), f"{name} is out of date; run `make docs`"
