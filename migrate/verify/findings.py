"""From what was scanned and compared to verdicts: explanations applied, ledger compared, totals freed of what is rightly not there."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from migrate.engine.plan import Plan
from migrate.units import rows_text
from migrate.verify.compare import Compared
from migrate.verify.ledger import Log
from migrate.verify.notes import Note, NotVerified
from migrate.verify.scans import SourceScan, TargetScan
from migrate.verify.units import Unit, unit_name
from migrate.verify.unread import unreadable
from migrate.verify.verdict import KINDS, Recorded, TargetResult, TotalDifference, Verdict, unsteady, worst
from migrate.write.target import WriteTarget

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was looked at. `compared` has the targets whose sums differ, and is None when their rows could not be read a second time."""

    source: SourceScan
    target: TargetScan
    compared: Mapping[str, Compared] | None
    refused: AbstractSet[Unit]
    log: Log

    @property
    def rejects(self) -> set[str]:
        """The names of the units that the mapping's rules reject, as the replay finds them."""
        return self.source.rejected_units | {unit_name(*unit) for unit in self.refused}


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
            self.not_verified.append(NotVerified(self._plan.name, Note.of("fingerprint", run=log.run)))

    def conclude(self, evidence: Evidence) -> None:
        """Verdicts per target, control totals, and the ledger's rejects."""
        for target in self._plan.targets:
            self._conclude_target(target, evidence)
        if evidence.compared is not None:
            self.totals = list(evidence.source.totals.differences(evidence.target.totals))
            self.not_verified += [
                NotVerified(Note.of("a_total", target=target), why)
                for target, why in evidence.source.totals.uncompared(evidence.target.totals)
            ]
            self.groups = max(evidence.source.totals.groups, evidence.target.totals.groups)
            if evidence.log.run is not None:
                self.rejects = _recorded(evidence.rejects, evidence.log)
        if not self._allow_empty:
            self._doubt_nothing(evidence)

    def _doubt_nothing(self, evidence: Evidence) -> None:
        """Without a single row there is nothing that could have differed."""
        if evidence.source.rows_read == 0:
            self.not_verified.append(NotVerified(Note.of("the_source"), Note.of("nothing_read")))
        elif not any(each.source_rows or each.target_rows for each in self.targets.values()):
            self.not_verified.append(NotVerified(Note.of("the_source"), Note.of("nothing_belongs")))

    def _conclude_target(self, target: WriteTarget, evidence: Evidence) -> None:
        source, stored = evidence.source.sums[target.name], evidence.target.sums[target.name]
        compared = (evidence.compared or {}).get(target.name, Compared())
        unseen = evidence.compared is None and len(source.differing(stored)) > 0
        unreadable = self._unreadable(target.name, evidence)
        verdict: Verdict = "EQUAL_WITH_DECLARED_RULES" if compared.newer else "EQUAL"
        self.not_verified += unsteady(compared.unsteady, target.name)
        if unseen or unreadable or compared.unsteady:
            verdict = "NOT_VERIFIED"
        if any(compared.counts[kind] for kind in KINDS):
            verdict = "DIFFERENT"
        columns = tuple(column for column, _ in target.contract.columns)
        self.targets[target.name] = TargetResult(
            verdict=verdict,
            source_rows=source.count - compared.lost - compared.identical - compared.kept,
            target_rows=stored.count + evidence.target.unread[target.name].count,
            counts=compared.counts,
            explained=self._explained(target.name, evidence.source, compared),
            differences=tuple(compared.differences),
            columns=columns,
            left_out=tuple(column for column in target.shape.names if column not in columns),
            contract=target.contract.hash,
        )

    def _explained(self, name: str, source: SourceScan, compared: Compared) -> dict[str, int]:
        """Source rows that are rightly not in the target, by what became of them."""
        if compared.newer:
            holding = f"{rows_text(compared.newer)} {'holds' if compared.newer == 1 else 'hold'}"
            self.rules.append(f"{name}: {holding} a greater version than the source (on_conflict newer)")
        others = {"identical": compared.identical, "kept": compared.kept, "newer": compared.newer}
        return {
            "filtered": source.rows_filtered,
            "rejected": source.rows_rejected + compared.lost,
            **{kind: count for kind, count in others.items() if count},
        }

    def _unreadable(self, name: str, evidence: Evidence) -> int:
        """How many stored rows could not be compared; they are noted."""
        poison = evidence.target.sums[name].poison + evidence.source.sums[name].poison
        self.not_verified += unreadable(name, evidence.target.unread[name], poison)
        return evidence.target.unread[name].count + poison


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
