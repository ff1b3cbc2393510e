"""From what was scanned and compared to verdicts: explanations applied, ledger compared, totals freed of what is rightly not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from migrate.engine.plan import Plan
from migrate.verify.compare import Compared
from migrate.verify.ledger import Log
from migrate.verify.scans import SourceScan, TargetScan
from migrate.verify.units import units_of
from migrate.verify.verdict import (
    KINDS,
    Difference,
    NotVerified,
    Recorded,
    TargetResult,
    TotalDifference,
    Verdict,
    worst,
)
from migrate.write.target import WriteTarget

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was looked at. `compared` has the targets whose sums differ, and is None when their rows could not be read a second time."""

    source: SourceScan
    target: TargetScan
    compared: Mapping[str, Compared] | None
    log: Log

    @property
    def refused(self) -> set[str]:
        """The units that the mapping's rules reject, as the replay finds them."""
        found = set(self.source.rejected_units)
        for each in (self.compared or {}).values():
            found |= each.refused
        return found


class Findings:
    """Gathers what a verification found. `verdict` is that of the whole."""

    def __init__(self, plan: Plan, allow_empty: bool) -> None:  # noqa: FBT001 - a fact about the whole
        self._plan = plan
        self._allow_empty = allow_empty
        self.rules: list[str] = []
        self.not_verified: list[NotVerified] = []
        self.targets: dict[str, TargetResult] = {}
        self.totals: list[TotalDifference] = []
        self.groups = 0
        self.rejects: Recorded | None = None

    @property
    def verdict(self) -> Verdict:
        """A difference of any kind outranks what was not verified, and that outranks equality."""
        verdicts: list[Verdict] = [each.verdict for each in self.targets.values()]
        if self.totals or (self.rejects is not None and self.rejects.differ):
            verdicts.append("DIFFERENT")
        if self.not_verified or len(self.targets) < len(self._plan.targets):
            verdicts.append("NOT_VERIFIED")
        return worst(verdicts)

    def add_log(self, log: Log) -> None:
        """What the ledger says about how final the target is."""
        if log.trouble is not None:
            self.not_verified.append(NotVerified(self._plan.name, log.trouble))
        if log.fingerprint is not None and log.fingerprint != self._plan.fingerprint:
            why = f"run {log.run} was made under another mapping, lookup, schema or version (its fingerprint differs)"
            self.not_verified.append(NotVerified(self._plan.name, why))

    def conclude(self, evidence: Evidence) -> None:
        """Verdicts per target, control totals, and the ledger's rejects."""
        refused = evidence.refused
        for compared in (evidence.compared or {}).values():
            refused |= _behind_missing(compared, refused)
        for target in self._plan.targets:
            self._conclude_target(target, evidence, refused)
        if evidence.compared is not None:
            for name, compared in evidence.compared.items():
                self._take_away(evidence.source, name, compared, refused)
            self.totals = list(evidence.source.totals.differences(evidence.target.totals))
            self.not_verified += [
                NotVerified(f"a control total of {target}", why)
                for target, why in evidence.source.totals.uncompared(evidence.target.totals)
            ]
            self.groups = max(evidence.source.totals.groups, evidence.target.totals.groups)
            if evidence.log.run is not None:
                self.rejects = _recorded(refused, evidence.log)
        if not self._allow_empty:
            self._doubt_nothing(evidence)

    def _doubt_nothing(self, evidence: Evidence) -> None:
        """Without a single row there is nothing that could have differed."""
        if evidence.source.rows_read == 0:
            why = "nothing was read: an empty table and a wrong one look the same (--allow-empty)"
            self.not_verified.append(NotVerified("the source", why))
        elif not any(each.source_rows or each.target_rows for each in self.targets.values()):
            why = "of all that was read nothing belongs into a target, and nothing is there (--allow-empty)"
            self.not_verified.append(NotVerified("the source", why))

    def _conclude_target(self, target: WriteTarget, evidence: Evidence, refused: set[str]) -> None:
        source, stored = evidence.source.sums[target.name], evidence.target.sums[target.name]
        compared = (evidence.compared or {}).get(target.name, Compared())
        unseen = evidence.compared is None and len(source.differing(stored)) > 0
        missing = [(unit, number) for unit, number, _ in compared.missing if unit not in refused]
        explained = len(compared.missing) - len(missing) + compared.lost
        counts = {**compared.counts, "missing": len(missing)}
        unreadable = self._unreadable(target.name, evidence)
        verdict: Verdict = "EQUAL_WITH_DECLARED_RULES" if compared.newer else "EQUAL"
        if unseen or unreadable or source.poison:
            verdict = "NOT_VERIFIED"
        if any(counts[kind] for kind in KINDS):
            verdict = "DIFFERENT"
        columns = tuple(column for column, _ in target.contract.columns)
        self.targets[target.name] = TargetResult(
            verdict=verdict,
            source_rows=source.count - explained - compared.identical - compared.kept,
            target_rows=stored.count + evidence.target.unreadable.get(target.name, (0, []))[0],
            counts=counts,
            explained=self._explained(target.name, evidence.source, compared, explained),
            differences=tuple(_unexplained(compared, missing, evidence.log)),
            columns=columns,
            left_out=tuple(column for column in target.shape.names if column not in columns),
            contract=target.contract.hash,
        )

    def _explained(self, name: str, source: SourceScan, compared: Compared, refused: int) -> dict[str, int]:
        """Source rows that are rightly not in the target, by what became of them."""
        if compared.newer:
            count = len(compared.newer)
            self.rules.append(f"{name}: {count} rows hold a greater version than the source (on_conflict newer)")
        others = {"identical": compared.identical, "kept": compared.kept, "newer": len(compared.newer)}
        return {
            "filtered": source.rows_filtered,
            "rejected": source.rows_rejected + refused,
            **{kind: count for kind, count in others.items() if count},
        }

    def _unreadable(self, name: str, evidence: Evidence) -> int:
        """How many stored rows could not be compared; they are noted."""
        count, reasons = evidence.target.unreadable.get(name, (0, []))
        count += evidence.target.sums[name].poison + evidence.source.sums[name].poison
        if count:
            why = f"{count} rows have no row encoding or cannot be read without loss"
            self.not_verified.append(NotVerified(name, ": ".join([why, *(["; ".join(reasons)] if reasons else [])])))
        return count

    def _take_away(self, source: SourceScan, name: str, compared: Compared, refused: set[str]) -> None:
        """Take rows that are rightly not there out of what the totals expect."""
        for rows in compared.aside:
            source.totals.add(name, rows, -1)
        for rows in compared.missing_rows:
            units = units_of(rows, self._plan.program.unit_columns)
            source.totals.add(name, rows.filter(pa.array([unit in refused for unit in units], pa.bool_())), -1)
        for expected, actual in compared.newer:
            source.totals.add(name, expected, -1)
            source.totals.add(name, actual)


def _behind_missing(compared: Compared, refused: set[str]) -> set[str]:
    """Units whose row is not there, and rightly, had the row of the unit before them been there, which is missing."""
    seen: set[bytes] = set()
    found: set[str] = set()
    for unit, _, key in compared.missing:
        if unit not in refused:
            found |= {unit} if key in seen else set()
            seen.add(key)
    return found


def _unexplained(compared: Compared, missing: list[tuple[str, int | None]], log: Log) -> list[Difference]:
    """The differences without the missing rows that are explained; what the ledger says about a missing row's unit stands beside it."""
    units = {number: unit for unit, number in missing}
    found = []
    for number, difference in enumerate(compared.differences):
        if difference.kind != "missing":
            found.append(difference)
        elif number in units:
            reason = log.rejects.get(units[number])
            note = f"the ledger has its unit as rejected ({reason}), which the replay does not find" if reason else None
            found.append(replace(difference, note=note))
    return found


def _recorded(derived: set[str], log: Log) -> Recorded:
    recorded = set(log.rejects)
    only_derived, only_recorded = sorted(derived - recorded), sorted(recorded - derived)
    return Recorded(
        len(derived),
        len(recorded),
        tuple(only_derived[:_SHOWN]),
        tuple(only_recorded[:_SHOWN]),
        len(only_derived) + len(only_recorded),
    )
