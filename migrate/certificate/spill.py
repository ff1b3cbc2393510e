"""Sorts records of one width that do not fit into memory: parts on disk by the first bits, each sorted by itself.

The records begin with a hash, so the parts are of about one size. Nothing here knows what is in them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Records: TypeAlias = npt.NDArray[np.uint8]
"""Bytes of shape (n, width)."""

_PARTS: Final = 128
_SHIFT: Final = np.uint8(1)


class Spill:
    """Takes records in any order and gives them back in that of their bytes."""

    def __init__(self, folder: Path, width: int) -> None:
        self._width = width
        self._parts: list[IO[bytes]] = []
        self._folder = folder
        self.count = 0

    def add(self, records: Records) -> None:
        """Keep these records."""
        if not self._parts:
            self._parts = [tempfile.TemporaryFile(dir=self._folder) for _ in range(_PARTS)]  # noqa: SIM115 - closed by `close`
        part = records[:, 0] >> _SHIFT
        by_part = records[np.argsort(part, kind="stable")]
        ends = np.cumsum(np.bincount(part, minlength=_PARTS))
        for file, start, end in zip(self._parts, [0, *ends[:-1]], ends, strict=True):
            if end > start:
                file.write(by_part[start:end].tobytes())
        self.count += len(records)

    def sorted(self) -> Iterator[Records]:
        """All records, a part at a time; each part is sorted, and all of it comes before the next."""
        for file in self._parts:
            file.seek(0)
            records = np.frombuffer(file.read(), f"S{self._width}")
            if len(records):
                yield np.sort(records).view(np.uint8).reshape(-1, self._width)

    def close(self) -> None:
        """Remove the parts."""
        for file in self._parts:
            file.close()
        self._parts = []
