"""The finished pieces of a first walk: what of it a state file still has, and what is to be kept there."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from migrate.engine.plan import Plan
from migrate.verify.buckets import BucketSums, Sorting
from migrate.verify.notes import Note
from migrate.verify.replay import Replay
from migrate.verify.state import Piece, StateFile
from migrate.verify.stored import Stored
from migrate.verify.verdict import Coverage

SOURCE: Final = "source"


@dataclass(frozen=True, slots=True)
class Pieces:
    """Of one look; without a file nothing is kept. `positions`: where each piece's side stands, in the snapshot that is read."""

    file: StateFile | None
    positions: Mapping[str, str | None]

    def found(self, name: str) -> Piece | None:
        """What is kept of a piece and still holds."""
        return None if self.file is None else self.file.piece(name, self.positions[name])

    def keep(self, name: str, content: Callable[[], Piece | None]) -> None:
        """Keep a piece; None: it has something that only reading it again shows."""
        if self.file is not None and (piece := content()) is not None:
            self.file.keep(name, self.positions[name], piece)


def pieces_of(file: StateFile | None, plan: Plan, replay: Replay, stored: Mapping[str, Stored]) -> Pieces:
    """The pieces with the positions of what is opened."""
    if file is None:
        return Pieces(None, {})
    positions = {target_piece(name): each.position() for name, each in stored.items()}
    # Tables of lookups are read before the snapshot is taken, or elsewhere: its position says nothing about them.
    looked_up = any(lookup.kind != "file" for lookup in plan.program.lookups)
    positions[SOURCE] = None if looked_up else replay.position()
    return Pieces(file, positions)


def target_piece(name: str) -> str:
    """The name of the piece of a target."""
    return f"target {name}"


def sums_written(sums: BucketSums) -> dict[str, Any]:
    """Bucket sums as JSON has them."""
    return {
        "sorting": asdict(sums.sorting),
        "poison": sums.poison,
        "numbers": packed(np.vstack([sums.rows, sums.limbs]).astype("<i8").tobytes()),
    }


def sums_read(written: Mapping[str, Any]) -> BucketSums:
    """The bucket sums that were written so."""
    sums = BucketSums(sorting_read(written))
    numbers = np.frombuffer(unpacked(written["numbers"]), "<i8").astype(np.int64).reshape(-1, sums.sorting.buckets)
    sums.poison, sums.rows, sums.limbs = int(written["poison"]), numbers[0].copy(), numbers[1:].copy()
    return sums


def sorting_read(written: Mapping[str, Any]) -> Sorting:
    """How the rows were sorted whose bucket sums were written so."""
    return Sorting(**written["sorting"])


def rows_written(rows: pa.Table | None) -> str | None:
    """A few rows as text."""
    if rows is None:
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return packed(sink.getvalue().to_pybytes())


def rows_read(written: str | None) -> pa.Table | None:
    """The rows that were written so."""
    return None if written is None else pa.ipc.open_stream(unpacked(written)).read_all()


def coverage_written(coverage: Coverage) -> dict[str, Any]:
    """How a side was scanned, as JSON has it."""
    return asdict(coverage)


def coverage_read(written: Mapping[str, Any]) -> Coverage:
    """How a side was scanned that was written so."""
    detail = written["detail"]
    notes = tuple(_note(each) for each in written["notes"])
    return Coverage(**{**written, "detail": _note(detail) if isinstance(detail, dict) else detail, "notes": notes})


def _note(written: Mapping[str, Any]) -> Note:
    return Note(written["name"], tuple((key, value) for key, value in written["values"]))


def packed(raw: bytes) -> str:
    """Bytes as JSON has them."""
    return base64.b64encode(zlib.compress(raw)).decode("ascii")


def unpacked(text: str) -> bytes:
    """The bytes that were packed so."""
    return zlib.decompress(base64.b64decode(text))
