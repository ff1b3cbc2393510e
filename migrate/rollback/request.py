"""What somebody wants taken back: all of a run, a pass, or single batches, and what becomes of rows that were changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Changed = Literal["refuse", "skip"]


@dataclass(frozen=True, slots=True)
class Request:
    """`batches` are range numbers, of the pass or else of the full passes; without either it is the whole run.

    `changed`: refuse a batch with rows that somebody changed since, or leave those rows and take back the rest.
    """

    changed: Changed = "refuse"
    pass_no: int | None = None
    batches: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        """True when all of the run is meant."""
        return self.pass_no is None and not self.batches

    @property
    def what(self) -> str:
        """In words: `batches 3, 5 of pass 1`."""
        of_pass = "" if self.pass_no is None else f"pass {self.pass_no}"
        if not self.batches:
            return of_pass or "the run"
        batches = f"{'batch' if len(self.batches) == 1 else 'batches'} {', '.join(map(str, self.batches))}"
        return f"{batches} of {of_pass}" if of_pass else batches

    @property
    def options(self) -> str:
        """As it is given on the command line: `--pass 1 --batch 3 --batch 5`."""
        of_pass = [] if self.pass_no is None else [f"--pass {self.pass_no}"]
        return " ".join([*of_pass, *(f"--batch {number}" for number in self.batches)])

    def covers(self, other: Request) -> bool:
        """Does this mean all the batches that the other means?"""
        if self.whole or self.pass_no != other.pass_no:
            return self.whole
        return not self.batches or (bool(other.batches) and set(self.batches) >= set(other.batches))

    def to_json(self) -> dict[str, Any]:
        """As the log keeps it."""
        part = {"pass": self.pass_no, "batches": list(self.batches)}
        return {"changed": self.changed, **{name: value for name, value in part.items() if value}}

    @classmethod
    def from_json(cls, detail: Mapping[str, Any]) -> Request:
        """Inverse of `to_json`."""
        return cls(detail["changed"], detail.get("pass"), tuple(detail.get("batches", ())))
