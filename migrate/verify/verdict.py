"""What a verification found: plain values, and the JSON document that INTERFACE promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from migrate.verify.notes import Note, NotVerified, words_of

Verdict = Literal["EQUAL", "EQUAL_WITH_DECLARED_RULES", "DIFFERENT", "NOT_VERIFIED"]
Kind = Literal["missing", "extra", "changed", "multiplicity"]
Cause = Literal[
    "value",
    "scale",
    "trailing_space",
    "normalisation",
    "hours_offset",
    "charset",
    "truncation",
    "exchanged",
    "unknown",
]
KINDS: tuple[Kind, ...] = ("missing", "extra", "changed", "multiplicity")

SideName = Literal["source", "target"]
ScanKind = Literal["stream", "sql"]
Reason = Literal[
    "asked",
    "replayed",
    "within_scope",
    "no_sql",
    "no_form",
    "small",
    "differs",
    "failed",
    "poison",
    "slower",
    "faster",
    "records",
]
"""Why a table was scanned as it was (docs/checksum.md)."""

_WORST_FIRST: tuple[Verdict, ...] = ("DIFFERENT", "NOT_VERIFIED", "EQUAL_WITH_DECLARED_RULES", "EQUAL")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of the whole: a difference outranks *not verified*; nothing at all is not verified."""
    found = set(verdicts)
    return next((each for each in _WORST_FIRST if each in found), "NOT_VERIFIED")


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of both sides as canonical text (docs/checksum.md); None is NULL.

    `shown`: both as people read them, where that is something else: numbers for the bytes of a float, the first bytes beside a digest.
    """

    expected: str | None
    actual: str | None
    shown: tuple[str | None, str | None] | None = None

    @property
    def readable(self) -> tuple[str | None, str | None]:
        """Expected and actual for people."""
        return (self.expected, self.actual) if self.shown is None else self.shown

    def to_json(self) -> dict[str, Any]:
        """Both texts, and `shown` where there is something more to read."""
        document: dict[str, Any] = {"expected": self.expected, "actual": self.actual}
        if self.shown is None:
            return document
        return {**document, "shown": {"expected": self.shown[0], "actual": self.shown[1]}}


@dataclass(frozen=True, slots=True)
class Difference:
    """One target row that is not as the replay of the mapping says.

    `key`: the target key as canonical texts. `columns`: what differs, for `changed`. `note`: a remark for people: how often a row is there,
    what the ledger says about its unit.
    """

    kind: Kind
    key: Mapping[str, str | None]
    columns: Mapping[str, Cell] = field(default_factory=dict)
    cause: Cause = "unknown"
    note: Note | None = None

    def to_json(self) -> dict[str, Any]:
        """The difference as INTERFACE has it, and `note` where there is one."""
        document: dict[str, Any] = {
            "kind": self.kind,
            "key": dict(self.key),
            "columns": {name: cell.to_json() for name, cell in self.columns.items()},
            "cause": self.cause,
        }
        return document if self.note is None else {**document, "note": self.note.text()}


@dataclass(frozen=True, slots=True)
class TargetResult:
    """One target table.

    `source_rows`: rows that the replay expects; `target_rows`: rows within the scope. The counts of each kind are exact, `differences` are
    the first of them. `explained`: source rows that are rightly not there, by what became of them. `columns`: what was compared; `left_out`:
    columns of the table that the mapping does not write.
    """

    verdict: Verdict
    source_rows: int
    target_rows: int
    counts: Mapping[Kind, int]
    explained: Mapping[str, int]
    differences: tuple[Difference, ...]
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    contract: str
    superseded: int = 0

    def to_json(self) -> dict[str, Any]:
        """The entry of `targets`."""
        return {
            "verdict": self.verdict,
            "source_rows": self.source_rows,
            "target_rows": self.target_rows,
            **{kind: self.counts.get(kind, 0) for kind in KINDS},
            "superseded": self.superseded,
            "explained": dict(self.explained),
            "differences": [each.to_json() for each in self.differences],
            "columns": list(self.columns),
            "left_out": list(self.left_out),
            "contract": self.contract,
        }


@dataclass(frozen=True, slots=True)
class TotalDifference:
    """One group of one control total whose sums differ; a group that only one side has shows None on the other."""

    target: str
    by: Mapping[str, str | None]
    sums: Mapping[str, Cell]

    def to_json(self) -> dict[str, Any]:
        """The entry of `totals`."""
        return {
            "target": self.target,
            "by": dict(self.by),
            "sum": {name: cell.to_json() for name, cell in self.sums.items()},
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """How the rows of one table were summed up: read (`stream`) or by the database (`sql`), and why so.

    `detail`: a sentence of figures or of the database. `tested`: rows that SQL and the reference evaluator encoded both. `notes`: what else was
    asked of it, and what not.
    """

    side: SideName
    table: str
    scan: ScanKind
    reason: Reason
    detail: str | Note | None = None
    tested: int = 0
    notes: tuple[Note, ...] = ()

    def details(self, *, chinese: bool = False) -> list[str]:
        """The detail, if there is one."""
        if self.detail is None:
            return []
        return [self.detail.text(chinese=chinese) if isinstance(self.detail, Note) else words_of(self.detail, chinese)]

    def sentences(self, *, chinese: bool = False) -> list[str]:
        """The detail and the notes."""
        return [*self.details(chinese=chinese), *(each.text(chinese=chinese) for each in self.notes)]

    def to_json(self) -> dict[str, Any]:
        """The entry of `coverage`."""
        return {
            "side": self.side,
            "table": self.table,
            "scan": self.scan,
            "reason": self.reason,
            "detail": self.detail.text() if isinstance(self.detail, Note) else self.detail,
            "tested": self.tested,
            "notes": [each.text() for each in self.notes],
        }


@dataclass(frozen=True, slots=True)
class Live:
    """A verification of sides that still change: how often both were read, and how many keys differed at first and no longer did."""

    looks: int
    settled: int

    def to_json(self) -> dict[str, int]:
        """The entry `live`."""
        return {"looks": self.looks, "settled": self.settled}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The ledger's rejects beside those of the replay: how many units each has, how many only one of them has (`differ`), and the first of these."""

    derived: int
    recorded: int
    only_derived: tuple[str, ...]
    only_recorded: tuple[str, ...]
    differ: int

    def to_json(self) -> dict[str, Any]:
        """The entry `rejects`."""
        return {
            "derived": self.derived,
            "recorded": self.recorded,
            "differ": self.differ,
            "only_derived": list(self.only_derived),
            "only_recorded": list(self.only_recorded),
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification as a whole.

    `rules`: sentences about declared rules under which the sides are equal. `groups`: how many groups of control totals were compared.
    `rejects`: None where they were not compared: the target has no ledger of this mapping, or there is none (`of_tables`). `source`, `target`: the databases, without passwords.
    `coverage`: how each table of each side was scanned. `live`: None for one look. `run_state`: the state of `run`, and `unfinished` why it
    leaves rows missing, where it is not complete.
    """

    verdict: Verdict
    rules: tuple[str, ...]
    not_verified: tuple[NotVerified, ...]
    targets: Mapping[str, TargetResult]
    totals: tuple[TotalDifference, ...]
    groups: int
    rejects: Recorded | None
    mapping: str
    run: str | None
    source: str
    target: str
    nonce: str
    began: str
    seconds: float
    coverage: tuple[Coverage, ...] = ()
    of_tables: bool = False
    live: Live | None = None
    run_state: str | None = None
    unfinished: Note | None = None

    @property
    def only_rejects_differ(self) -> bool:
        """Whether all that differs is the ledger's list of rejects."""
        rows = any(each.verdict == "DIFFERENT" for each in self.targets.values())
        return self.rejects is not None and self.rejects.differ > 0 and not rows and not self.totals

    @property
    def meaning(self) -> str:
        """Which sentence says what the verdict means here."""
        if self.verdict == "DIFFERENT" and self.only_rejects_differ:
            return "REJECTS_DIFFER"
        tables = self.of_tables and self.verdict in ("EQUAL", "DIFFERENT")
        return f"TABLES_{self.verdict}" if tables else self.verdict

    @property
    def exit_code(self) -> int:
        """0 equal, 1 different, 6 not verified."""
        return {"DIFFERENT": 1, "NOT_VERIFIED": 6}.get(self.verdict, 0)

    def to_json(self) -> dict[str, Any]:
        """The document of `verify --json`."""
        return {
            "verdict": self.verdict,
            "rules": list(self.rules),
            "not_verified": [each.to_json() for each in self.not_verified],
            "targets": {name: result.to_json() for name, result in self.targets.items()},
            "totals": [each.to_json() for each in self.totals],
            "total_groups": self.groups,
            "rejects": None if self.rejects is None else self.rejects.to_json(),
            "rejects_compared": self.rejects is not None,
            "mapping": self.mapping,
            "run": self.run,
            "run_state": self.run_state,
            "source": self.source,
            "target": self.target,
            "nonce": self.nonce,
            "began": self.began,
            "seconds": round(self.seconds, 3),
            "coverage": [each.to_json() for each in self.coverage],
            "live": None if self.live is None else self.live.to_json(),
        }


def unsteady(sides: Sequence[SideName], target: str | Note) -> list[NotVerified]:
    """Of sides whose rows were others when they were read a second time: which of the two readings is true, nobody knows.

    Both: one of them at least, and it cannot be told which.
    """
    names: dict[SideName, str | Note] = {"source": Note.of("the_source"), "target": target}
    what = [names[side] for side in sides] if len(sides) < len(names) else [Note.of("either_side")]
    return [NotVerified(each, Note.of("unsteady")) for each in what]
