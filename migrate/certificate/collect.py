"""Takes the rows that a verification reads from the target, while it reads them: what is certified is exactly what was verified.

It never reads the database itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from migrate.certificate.hiding import SECRET_BYTES
from migrate.certificate.leaves import LeavesWriter, TableWriter
from migrate.certificate.roots import DataRoot
from migrate.checksum.vectorised import row_encodings
from migrate.mapping.totals import ProgramTotal
from migrate.signing.keys import write_private
from migrate.verify.totals import Totals
from migrate.write.target import WriteTarget

LEAVES: Final = "leaves"
SECRET: Final = "secret"  # noqa: S105 - the ending of a file name


@dataclass(frozen=True, slots=True)
class Collected:
    """One table: how many rows, and both roots (hex)."""

    rows: int
    data_root: str
    proof_root: str


class Collector:
    """Writes `leaves` and `secret` into a folder of its own, which must be private and empty, and spills there."""

    def __init__(self, folder: Path, targets: Sequence[WriteTarget], totals: Sequence[ProgramTotal]) -> None:
        self.secret = secrets.token_bytes(SECRET_BYTES)
        write_private(folder / SECRET, self.secret.hex().encode() + b"\n")
        self._folder = folder
        self._targets = {target.name: target for target in targets}
        self._totals = Totals(totals)
        self._leaves = LeavesWriter(folder / LEAVES, folder, self.secret)
        self._open: tuple[str, DataRoot, TableWriter] | None = None
        self._collected: dict[str, Collected] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            _, data, proofs = self._open
            data.close()
            proofs.close()
        self._leaves.__exit__(kind, error, trace)
        self._totals.close()

    def keep(self, target: WriteTarget, rows: pa.Table) -> None:
        """Take the next rows of a target; one target after the other. Rows without encoding are left out: they are never EQUAL."""
        _, data, proofs = self._of(target)
        encoded = row_encodings(rows, target.contract)
        if encoded.null_count:
            rows, encoded = rows.filter(encoded.is_valid()), encoded.drop_null()
        data.add(rows)
        proofs.add(rows, encoded)
        self._totals.add(target.name, rows)

    def finish(self) -> tuple[Mapping[str, Collected], list[dict[str, Any]]]:
        """Every table with its roots, and the control totals; the leaves are complete."""
        self._end()
        for name in sorted(self._targets.keys() - self._collected.keys()):
            self._of(self._targets[name])
            self._end()
        self._leaves.finish()
        return self._collected, list(self._totals.stated())

    def _of(self, target: WriteTarget) -> tuple[str, DataRoot, TableWriter]:
        """What the rows of a target go to; the target before it is ended."""
        if self._open is None or self._open[0] != target.name:
            self._end()
            data = DataRoot(target.contract, self._folder)
            self._open = (target.name, data, self._leaves.table(target.name, target.contract))
        return self._open

    def _end(self) -> None:
        if self._open is not None:
            name, data, proofs = self._open
            self._collected[name] = Collected(data.rows, data.root().hex(), proofs.end().hex())
            self._open = None
