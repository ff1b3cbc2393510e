"""Every error that the toolkit raises on purpose, in one tree.

    MigrateError
    ├── InputError           exit 2   the user's input is wrong: fix it; nothing was written
    │   └── UnknownTable              a table that is not there
    ├── EnvironmentFault     exit 3   a database, file or disk is out of reach; running again is safe
    │   ├── TransientFault            the same transaction may succeed when tried again
    │   └── ConnectionLost            as before, on a new connection
    ├── StateError           exit 4   refused: decide first (other holder, fingerprint, changed rows)
    │   ├── Fenced                    this process lost the run to a newer epoch
    │   └── RowsChanged               rows are not as the run left them, and are not taken back
    ├── Paused               exit 5   stopped by a limit or an operator
    ├── DataError            exit 1   look at these rows
    │   ├── ConstraintViolation       the target refused rows; its transaction must be rolled back to a savepoint
    │   ├── Miscount                  the toolkit's own counts of a batch do not add up
    │   └── NotProven                 a certificate, proof, checkpoint or backup that does not hold
    └── Interrupted          exit 130 stopped by a signal; running again is safe

A message says what happened; `where` says at which file, line, table or key range; `next_step` says what to do.
Drivers' own errors are turned into these in one place per store, with the cause chained. Secrets never enter a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

ViolationKind = Literal["unique", "foreign_key", "check", "not_null", "value"]


class MigrateError(Exception):
    """What happened, where, and what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.message]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.next_step:
            parts.append(f"  next:  {self.next_step}")
        return "\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """What, where and what next, as `--json` writes it under `error`."""
        return {
            "kind": type(self).__name__,
            "exit": self.exit_code,
            "message": self.message,
            "where": self.where,
            "next": self.next_step,
        }


class InputError(MigrateError):
    """A command line, mapping file or URL that cannot be meant; nothing was written."""

    exit_code = 2


class UnknownTable(InputError):
    """A table that is not in the database; `table` is its name as it was given."""

    def __init__(self, table: str, *, where: str | None = None, next_step: str | None = None) -> None:
        super().__init__(f"there is no table {table}", where=where, next_step=next_step)
        self.table = table


class EnvironmentFault(MigrateError):
    """A database, file or disk is out of reach; running the same command again is safe."""

    exit_code = 3


class TransientFault(EnvironmentFault):
    """A deadlock, a lock time-out, a serialisation failure: the same transaction may succeed when tried again."""


class ConnectionLost(TransientFault):
    """The connection is gone: try again on a new one."""


class StateError(MigrateError):
    """Refused, since the state is not what the command needs; a person decides."""

    exit_code = 4


class Fenced(StateError):
    """Another process took the run over; this one may not write any more."""


class RowsChanged(StateError):
    """Rows that somebody changed since the run wrote them, or that cannot go for another reason; `rows` names each, and why."""

    def __init__(
        self, message: str, rows: Sequence[Mapping[str, Any]], *, where: str | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(message, where=where, next_step=next_step)
        self.rows = tuple(rows)

    def to_json(self) -> dict[str, Any]:
        """As of every error, with the rows."""
        return {**super().to_json(), "rows": list(self.rows)}


class Paused(MigrateError):
    """The run was stopped by a limit or an operator; `migrate resume` clears it."""

    exit_code = 5


class DataError(MigrateError):
    """Rows that a person has to look at."""

    exit_code = 1


class ConstraintViolation(DataError):
    """The target refused rows.

    After it the session's transaction can only be rolled back to a savepoint or as a whole.
    `kind` is what was violated; `constraint` is its name where the database tells.
    """

    def __init__(
        self, message: str, *, kind: ViolationKind, constraint: str | None = None, where: str | None = None
    ) -> None:
        super().__init__(message, where=where)
        self.kind: ViolationKind = kind
        self.constraint = constraint


class Miscount(DataError):
    """Rows of a batch are unaccounted for, by a fault of the toolkit; the batch is not committed."""

    def __init__(self, message: str, *, where: str | None = None) -> None:
        next_step = "nothing of this batch was written; this is a fault of the toolkit: please report it with the log"
        super().__init__(message, where=where, next_step=next_step)


class NotProven(DataError):
    """A certificate, proof, checkpoint or backup does not hold; `reason` is the same word for every failure of one kind (docs/how-to/certificate.md)."""

    def __init__(self, reason: str, message: str, *, where: str | None = None, next_step: str | None = None) -> None:
        super().__init__(message, where=where, next_step=next_step or "trust nothing of it; ask who issued it")
        self.reason = reason

    def to_json(self) -> dict[str, Any]:
        """As every error, and the reason."""
        return {**super().to_json(), "reason": self.reason}


class Interrupted(MigrateError):
    """Stopped by a signal at a safe point; running the same command again goes on."""

    exit_code = 130
