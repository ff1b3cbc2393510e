"""Walk both sides at the same time, and say which of them could not be walked to its end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

from migrate.errors import Interrupted, MigrateError
from migrate.verify.notes import Note, NotVerified

CHUNK_BYTES: Final = 2 * 2**20
"""About how much of a side is read at a time."""

Watch: TypeAlias = Callable[[str, int], None]
"""Hears of which side (`source`, `target`) so many more rows were read; called by several threads, and may raise to stop."""


def unwatched(_side: str, _rows: int) -> None:
    """Nobody watches."""


def walk_both(source: Callable[[], None], target: Callable[[], None]) -> list[NotVerified]:
    """Call both in threads of their own; what the toolkit's errors kept from its end is not verified. Raises everything else, and Interrupted."""
    with ThreadPoolExecutor(2, "verify") as pool:
        futures = {"the_source": pool.submit(source), "the_target": pool.submit(target)}
    faults = []
    for what, future in futures.items():
        error = future.exception()
        if isinstance(error, MigrateError) and not isinstance(error, Interrupted):
            faults.append(NotVerified(Note.of(what), error.message))
        elif error is not None:
            raise error
    return faults
