"""What is wrong with a mapping file, and where: one value per mistake, and the error that carries all of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from migrate.errors import InputError

if TYPE_CHECKING:
    from migrate.mapping.model import Mapping

Level = Literal["error", "warning"]
_COMMAND: Final = re.compile("`(?P<command>migrate [^`]+)`")
"""How a suggestion begins that is a command, which is the next step then."""


@dataclass(frozen=True, order=True)
class Finding:
    """One mistake: file and line, path of keys to it, what is wrong, the nearest right thing."""

    file: str
    line: int
    path: str
    message: str
    suggestion: str | None = None
    level: Level = "error"

    def __str__(self) -> str:
        mark = "" if self.level == "error" else "warning: "
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line} → {self.path}: {mark}{self.message}{hint}"


class MappingErrors(InputError):
    """All mistakes of one or more mapping files; `findings` in the order of the files.

    `rest` is the one file's mapping without what cannot be meant, to look for more mistakes in; None where nothing sound is left.
    """

    def __init__(self, findings: Iterable[Finding], rest: Mapping | None = None) -> None:
        self.findings = tuple(findings)
        self.rest = rest
        count = len(self.findings)
        head = "The mapping has a mistake:" if count == 1 else f"The mapping has {count} mistakes:"
        named = (_COMMAND.match(finding.suggestion or "") for finding in self.findings)
        commands = dict.fromkeys(each["command"] for each in named if each is not None)
        super().__init__(
            "\n".join([head, *(f"  {finding}" for finding in self.findings)]), next_step="; ".join(commands) or None
        )

    def to_json(self) -> dict[str, Any]:
        """With each finding as a document of its own."""
        return {**super().to_json(), "findings": [asdict(finding) for finding in self.findings]}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …` with the known name that looks most like `name`, or None."""
    names = list(known)
    folded = {each.lower(): each for each in names}
    found = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return f"did you mean `{folded[found[0]]}`?" if found else None
