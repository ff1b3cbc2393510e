"""Sorting on disk is sorting."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrate.certificate.spill import Spill


@given(st.lists(st.lists(st.binary(min_size=3, max_size=3), min_size=1, max_size=40), max_size=4))
def test_records_come_back_in_the_order_of_their_bytes(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[bytes]]
) -> None:
    """Whatever pieces they came in, all of them, also those with zero bytes, and duplicates as often as they are there."""
    with closing(Spill(tmp_path_factory.mktemp("spill"), 3)) as spill:
        for piece in pieces:
            spill.add(np.frombuffer(b"".join(piece), np.uint8).reshape(-1, 3))
        found = [bytes(record) for part in spill.sorted() for record in part]
    every = sorted(record for piece in pieces for record in piece)
    assert found == every
    assert spill.count == len(every)


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    """The parts have no names, so that a process that is killed leaves none."""
    with closing(Spill(tmp_path, 1)) as spill:
        spill.add(np.zeros((4, 1), np.uint8))
        assert list(tmp_path.iterdir()) == []
