"""The state file of a verification: what it has summed up so far, so that one that was killed need not read all of it again.

A piece is one table of one side, kept with the position of its side. It counts only while that position can be told and is the same:
else it is summed up again. The file belongs to one mapping, one pair of databases and one version of the toolkit, and is private.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

from migrate import __version__
from migrate.engine.plan import Plan
from migrate.errors import EnvironmentFault, InputError, StateError
from migrate.stores.urls import parse_url, redacted

_FORMATS: Final = "migrate verify state "
FORMAT: Final = f"{_FORMATS}2"

Piece: TypeAlias = dict[str, Any]
Tell: TypeAlias = Callable[[str, str], None]
"""Hears what became of a piece (`kept`, `moved`, `untold`), and its name; called by several threads."""


def untold(_what: str, _piece: str) -> None:
    """Nobody hears."""


@dataclass(frozen=True, slots=True)
class StateAt:
    """Where a state file is, or shall be; and who hears of it."""

    path: Path
    tell: Tell = untold

    def open(self, plan: Plan) -> StateFile:
        """The state file for this plan; raises what `StateFile` raises."""
        return StateFile(self.path, plan, self.tell)


class StateFile:
    """The file at `path`, which is read if it is there. `nonce`: the one under which all pieces are summed up.

    Raises StateError for a file of another verification or a spoilt one, InputError where no file can be.
    """

    def __init__(self, path: Path, plan: Plan, tell: Tell = untold) -> None:
        self.path = path
        self._tell = tell
        self._about = _about(plan)
        self._lock = threading.Lock()
        self._said: set[tuple[str, str]] = set()
        if not path.parent.is_dir() or path.is_dir():
            raise InputError(
                f"no state file can be at {path}", next_step="name a file in a folder that is there: --state FILE"
            )
        found = self._read() if path.exists() else None
        self.nonce: str = secrets.token_hex(16) if found is None else found["nonce"]
        self._pieces: dict[str, Piece] = {} if found is None else found["pieces"]

    def piece(self, name: str, position: str | None) -> Piece | None:
        """What was kept of a piece, if its side stands where it stood."""
        found = self._pieces.get(name)
        if found is None:
            return None
        if found["position"] != position:
            del self._pieces[name]
            self._say("untold" if position is None else "moved", name)
            return None
        self._say("kept", name)
        content: Piece = found["content"]
        return content

    def keep(self, name: str, position: str | None, content: Piece) -> None:
        """Keep a finished piece; one whose position cannot be told is not kept. Raises EnvironmentFault."""
        if position is None:
            self._say("untold", name)
            return
        with self._lock:
            self._pieces[name] = {"position": position, "content": content}
            self._write({"about": self._about, "nonce": self.nonce, "pieces": self._pieces})

    def remove(self) -> None:
        """The verification has its verdict: nothing is left to go on with."""
        self.path.unlink(missing_ok=True)

    def _say(self, what: str, name: str) -> None:
        """Each thing once."""
        with self._lock:
            new = (what, name) not in self._said
            self._said.add((what, name))
        if new:
            self._tell(what, name)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_bytes())
            body = found["body"]
            whole = found["format"] == FORMAT and found["sha256"] == _digest(body)
        except OSError as error:
            raise EnvironmentFault(f"the state file cannot be read: {error.strerror}", where=str(self.path)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._refused("is no state file of a verification, or is damaged") from error
        if found["format"] != FORMAT and str(found["format"]).startswith(_FORMATS):
            raise self._refused("was written by another version of the toolkit")
        if not whole:
            raise self._refused("is no state file of a verification, or is damaged")
        others = [name for name, value in self._about.items() if body["about"].get(name) != value]
        if others:
            raise self._refused(f"belongs to another verification: {', '.join(others)}")
        content: dict[str, Any] = body
        return content

    def _refused(self, why: str) -> StateError:
        return StateError(
            f"{self.path} {why}", next_step="name another file, or delete this one and verify from the beginning"
        )

    def _write(self, body: Mapping[str, Any]) -> None:
        """Put a whole file in the place of the last one."""
        document = json.dumps({"format": FORMAT, "sha256": _digest(body), "body": body}).encode()
        try:
            # Of mode 0600 from the first byte: who knows the nonce can choose rows that make equal sums.
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(document)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise EnvironmentFault(
                f"the state file cannot be written: {error.strerror}",
                where=str(self.path),
                next_step="make room there, or name another file",
            ) from error


def _digest(body: Mapping[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _about(plan: Plan) -> dict[str, str]:
    """What the sums depend on beside the rows; a position says nothing about it."""
    contracts = ",".join(f"{target.name}:{target.contract.hash}:{target.scope_sql}" for target in plan.targets)
    totals = repr(plan.mapping.totals)
    source = plan.source.relation if plan.source.url is None else redacted(parse_url(plan.source.url))
    return {
        "mapping": plan.name,
        "definition": plan.fingerprint,
        "contracts": sha256(contracts.encode()).hexdigest(),
        "totals": sha256(totals.encode()).hexdigest(),
        "source": source,
        "target": redacted(parse_url(plan.target_url)),
        "version": __version__,
    }
