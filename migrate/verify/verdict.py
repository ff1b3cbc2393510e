"""What a verification found: plain values, and the JSON document that INTERFACE promises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

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
]
"""Why a table was scanned as it was (docs/checksum.md)."""

_WORST_FIRST: tuple[Verdict, ...] = ("DIFFERENT", "NOT_VERIFIED", "EQUAL_WITH_DECLARED_RULES", "EQUAL")


_NO_VALUE: Final = re.compile(r"(.*) is no (exact )?([a-z]+(?:\([0-9, ]+\))?)", re.DOTALL)
_NOT_HELD: Final = re.compile(r"(.*?) cannot be held: (.*)", re.DOTALL)
_STRANGER: Final = re.compile(r"(.*) in a column of type (.*)", re.DOTALL)
"""How stores end the sentence about a value that has no place in its column."""


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


NOTES: Final[dict[str, tuple[str, str]]] = {
    "multiplicity": ("how often it is there: {source} in the source, {target} in the target", "源侧 {source} 次，目标侧 {target} 次"),
    "unit_refused": ("its unit is refused by the mapping's rules, so no row of it may be there", "其所属数据按映射规则应被拒收，不应有任何行写入"),
    "loser_stands": (
        "what stands there is the row of another source unit, which comes later and should have lost",
        "现存内容属于另一条本应让位的源数据",
    ),
    "ledger_rejected": (
        "the ledger has its unit as rejected ({reason}), which the replay does not find",
        "台账将其所属数据记为拒收（{reason}），而重算并未得出该结论",
    ),
    "the_source": ("the source", "源库"),
    "the_target": ("the target", "目标库"),
    "both_tables": ("both tables", "两表"),
    "rows_that_differ": ("rows that differ", "不一致的行"),
    "a_total": ("a control total of {target}", "{target} 的控制总数"),
    "unread": ("{rows} cannot be read without loss", "有 {count} 行无法无损读取"),
    "unencoded": ("{rows} have no row encoding (docs/checksum.md)", "有 {count} 行没有行编码（见 docs/checksum.md）"),
    "tables_empty": (
        "are empty: a wrong name of another empty table looks the same (--allow-empty)",
        "均为空：表名有误时的结果与此相同（--allow-empty）",
    ),
    "only_source": ("only the source has this column", "仅源表有此字段"),
    "only_target": ("only the target has this column", "仅目标表有此字段"),
    "types_differ": (
        "its types have no common encoding: {source} on one side, {target} on the other",
        "两侧类型没有共同的编码：一侧为 {source}，另一侧为 {target}",
    ),
    "not_complete": ("run {run} is {state}, not complete", "任务 {run} 的状态为 {state}，尚未完成"),
    "fingerprint": (
        "run {run} was made under another mapping, lookup, schema or version (its fingerprint differs)",
        "任务 {run} 所用的映射、对照表、表结构或版本与现在不同（指纹不符）",
    ),
    "unsteady": (
        "where both sides differ, its rows were others when they were read a second time: they change meanwhile, and nothing holds a snapshot of them (an engine without transactions, such as MyISAM); verify again when nobody writes",
        "两侧不一致之处，第二次读取时数据已变：数据仍在变动，且其存储引擎（如 MyISAM）无快照；请在无人写入时重新核验",
    ),
    "second_reads": ("a second driver reads {columns} of the row {row} otherwise", "另一种驱动读出的 {row} 行，字段 {columns} 与此不同"),
    "second_misses": ("a second driver does not find the row {row}", "另一种驱动找不到 {row} 行"),
    "nothing_read": (
        "nothing was read: an empty table and a wrong one look the same (--allow-empty)",
        "没有读到任何数据：空表与表名有误的结果相同（--allow-empty）",
    ),
    "nothing_belongs": (
        "of all that was read nothing belongs into a target, and nothing is there (--allow-empty)",
        "读到的数据均不进入目标表，目标表中也没有数据（--allow-empty）",
    ),
}  # fmt: skip
"""Remarks about a difference or about what was not verified, in English and Chinese."""


@dataclass(frozen=True, slots=True)
class Note:
    """A remark: which of `NOTES`, and what is put into it. Its text is English in documents; people read it in their language."""

    name: str
    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, name: str, **values: object) -> Self:
        """The remark of this name with these values."""
        return cls(name, tuple((key, str(value)) for key, value in values.items()))

    def text(self, *, chinese: bool = False) -> str:
        """The sentence."""
        return NOTES[self.name][chinese].format(**dict(self.values))


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

    `detail`: a sentence of figures or of the database. `tested`: rows that SQL and the reference evaluator encoded both.
    """

    side: SideName
    table: str
    scan: ScanKind
    reason: Reason
    detail: str | None = None
    tested: int = 0

    def to_json(self) -> dict[str, Any]:
        """The entry of `coverage`."""
        return {
            "side": self.side,
            "table": self.table,
            "scan": self.scan,
            "reason": self.reason,
            "detail": self.detail,
            "tested": self.tested,
        }


@dataclass(frozen=True, slots=True)
class UnreadRow:
    """A row of which something cannot be read without loss: its key as canonical texts, and the reason as the store wrote it."""

    key: Mapping[str, str | None]
    reason: str

    def told(self, *, chinese: bool = False) -> str:
        """The reason; in Chinese, what is a sentence in it."""
        return _in_chinese(self.reason) if chinese else self.reason


@dataclass(frozen=True, slots=True)
class NotVerified:
    """Something that could not be compared: what, and why; a text is what a database or file says or is called, in its own words.

    `rows`: where it is about rows, the first of `count`. `detail`: the reasons once more, as one text for documents.
    """

    what: str | Note
    why: str | Note
    rows: tuple[UnreadRow, ...] = ()
    count: int = 0
    detail: str = ""

    def sentences(self, *, chinese: bool = False) -> tuple[str, str]:
        """What, and why."""
        what, why = (each.text(chinese=chinese) if isinstance(each, Note) else each for each in (self.what, self.why))
        return what, why

    def to_json(self) -> dict[str, Any]:
        """Both sentences, and the rows where there are any."""
        what, why = self.sentences()
        document: dict[str, Any] = {"what": what, "why": f"{why}: {self.detail}" if self.detail else why}
        if not self.rows:
            return document
        return {**document, "rows": [{"key": dict(each.key), "reason": each.reason} for each in self.rows]}


def _in_chinese(reasons: str) -> str:
    return "；".join(map(_one_in_chinese, reasons.split("; ")))


def _one_in_chinese(reason: str) -> str:
    if found := _NO_VALUE.fullmatch(reason):
        return f"{found[1]} 不是{'精确的' if found[2] else ''} {found[3]} 值"
    if found := _NOT_HELD.fullmatch(reason):
        return f"{found[1]} 的值无法表示：{found[2]}"
    if found := _STRANGER.fullmatch(reason):
        return f"{found[1]}，却在类型为 {found[2]} 的字段中"
    return reason


@dataclass(frozen=True, slots=True)
class Live:
    """A verification of sides that still change: how often both were read, and how many keys differed at first and no longer did."""

    looks: int
    settled: int

    def to_json(self) -> dict[str, int]:
        """The entry `live`."""
        return {"looks": self.looks, "settled": self.settled}


def unsteady(what: str | Note) -> NotVerified:
    """Of a side whose rows were others when they were read a second time: which of the two readings is true, nobody knows."""
    return NotVerified(what, Note.of("unsteady"))


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
    `coverage`: how each table of each side was scanned. `live`: None for one look.
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
            "source": self.source,
            "target": self.target,
            "nonce": self.nonce,
            "began": self.began,
            "seconds": round(self.seconds, 3),
            "coverage": [each.to_json() for each in self.coverage],
            "live": None if self.live is None else self.live.to_json(),
        }
