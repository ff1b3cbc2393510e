"""Planted defects, for any seed, size and share."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.fixtures import example_mapping
from tests.unit.fixtures.data import dirty


@settings(max_examples=25)
@given(st.integers(0, 2**64 - 1), st.integers(200, 1500), st.floats(0.001, 0.3))
def test_the_manifest_holds_for_any_data_set(seed: int, rows: int, share: float) -> None:
    """As many defects as asked for, one per invoice, and the example mapping does with each what the manifest says."""
    with tempfile.TemporaryDirectory() as folder:
        books = dirty(Path(folder), rows, share, seed)
    defects = books.manifest["defects"]
    assert len(defects) == books.manifest["planted"] == round(share * rows)
    expected = {(entry["invoice"]["fpdm"], entry["invoice"]["fphm"]): entry["example_mapping"] for entry in defects}
    assert len(expected) == len(defects)
    assert len(books.headers) == len({(row["fpdm"], row["fphm"]) for row in books.headers}) == rows
    for row, outcome in zip(books.headers, example_mapping.outcomes(books.headers), strict=True):
        untouched = {"9": "filtered", "": "warned", "1": "warned"}.get(row["zt"], "mapped")
        assert outcome == expected.get((row["fpdm"], row["fphm"]), untouched)
