"""Folders and orders for property tests, which make many small databases."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import settings

from migrate.values import KeyRange
from tests.rig.database import Database


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one example, in memory where the system has one."""
    memory = Path("/dev/shm")  # noqa: S108 - only a faster place for temporary folders
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


def sqlite_pair(place: Path) -> tuple[Database, Database]:
    """Source and target."""
    return Database(f"sqlite:///{place / 'source.db'}"), Database(f"sqlite:///{place / 'target.db'}")


def shuffled(seed: int) -> Callable[[list[KeyRange]], list[KeyRange]]:
    """Some order of the ranges, one of which comes twice, as after an answer that was lost."""

    def order(ranges: list[KeyRange]) -> list[KeyRange]:
        mixed = [*ranges, ranges[seed % len(ranges)]]
        random.Random(seed).shuffle(mixed)
        return mixed

    return order


def share_of_examples(share: float) -> int:
    """So many of the examples that the profile asks for, but at least three."""
    return max(3, round(_examples() * share))


def _examples() -> int:
    default = settings.default
    return default.max_examples if default is not None else 50
