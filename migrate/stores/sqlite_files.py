"""The state of a SQLite database, as its files show it without being asked."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_CHANGES: Final = slice(24, 28)
"""Where the header counts the transactions that changed the file."""
_HEADER: Final = 100
_LOG_HEADER: Final = 32
_SETTLED_SECONDS: Final = 2.0
"""A file written a moment ago may be written again without its time, size or header showing it: clocks of file systems have ticks."""


def file_position(path: Path) -> str | None:
    """What is different after any change of the database: file, size, time and counter of changes, and the same of its write-ahead log.

    None while the last change is too young to be told from the next one.
    """
    try:
        parts = [str(path.resolve()), *_state(path, _HEADER, _CHANGES)]
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            parts += _state(log, _LOG_HEADER, slice(None))
    except (OSError, _Young):
        return None
    return " ".join(parts)


class _Young(Exception):
    """Written too short a while ago."""


def _state(path: Path, header: int, told: slice) -> list[str]:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if time.time() - found.st_mtime < _SETTLED_SECONDS:
            raise _Young
        start = file.read(header)[told].hex()
    # The time of the change of its entry too, which copying tools do not set back.
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return [str(found.st_dev), str(found.st_ino), str(found.st_size), *map(str, times), start]
