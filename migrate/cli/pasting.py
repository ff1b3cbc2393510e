"""Commands that a message names, completed so that they can be pasted: with the mapping and the databases that the user had typed.

Whoever finds out what comes next, deep in the engine, does not know how the command was given; here it is known. Prose stays as it is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

_OPTIONS: Final[dict[str, str]] = {
    "source": "--source",
    "target": "--target",
    "ledger_schema": "--ledger-schema",
}
_COMMAND: Final = re.compile(r"\bmigrate (?P<first>[a-z]+)(?: (?P<second>[a-z-]+))?")
_PLACEHOLDER: Final = "MAPPING"
_FILE: Final = re.compile(r" (?P<file>'[^']+\.ya?ml'|[^\s;,)`']+\.ya?ml)")
_END: Final = re.compile(r"[;,)`]| and | or ")


@dataclass(frozen=True, slots=True)
class Typed:
    """The mappings and the options about databases of a command line, and all commands that there are."""

    commands: click.Group
    mappings: tuple[str, ...]
    options: Mapping[str, str]

    @classmethod
    def of(cls, context: click.Context) -> Typed | None:
        """What was typed for the command that runs; None where it is called without the program around it."""
        commands = context.find_root().command
        if not isinstance(commands, click.Group):
            return None
        given = context.params
        mappings = given.get("mappings") or ([given["mapping"]] if given.get("mapping") else [])
        options = {name: str(given[name]) for name in _OPTIONS if given.get(name) is not None}
        return cls(commands, tuple(map(str, mappings)), options)

    def complete(self, text: str) -> str:
        """The text with each command in it completed, as far as the command takes what was typed."""
        done, at = [], 0
        for found in _COMMAND.finditer(text):
            command, end = self._command(found)
            if command is None or found.start() < at:
                continue
            completed, rest = self._arguments(command, text[end:])
            done += [text[at:end], completed]
            at = end + rest
        return "".join([*done, text[at:]])

    def _command(self, found: re.Match[str]) -> tuple[click.Command | None, int]:
        """The command that is named, and where its name ends."""
        command = self.commands.commands.get(found["first"])
        if isinstance(command, click.Group):
            return command.commands.get(found["second"] or ""), found.end()
        return command, found.end("first")

    def _arguments(self, command: click.Command, rest: str) -> tuple[str, int]:
        """What stands behind the command's name, and how many characters of `rest` that replaces."""
        taken = {each.name for each in command.params}
        if not taken & {"mapping", "mappings"}:
            return "", 0
        named = self._named(rest)
        if named is None and len(self.mappings) != 1:
            return "", 0
        mapping, length = named or (shlex.quote(self.mappings[0]), 0)
        end = _END.search(rest, length)
        already = rest[length : end.start() if end else len(rest)]
        added = [
            f"{option} {shlex.quote(_shown(self.options[name], name))}"
            for name, option in _OPTIONS.items()
            if name in self.options and name in taken and option not in already
        ]
        return " ".join(["", mapping, *added]), length

    def _named(self, rest: str) -> tuple[str, int] | None:
        """The mapping that is named already, and where its name ends."""
        for mapping in self.mappings:
            for written in (shlex.quote(mapping), mapping):
                if rest.startswith(f" {written}"):
                    return shlex.quote(mapping), len(written) + 1
        found = _FILE.match(rest)
        if found:
            return found["file"], found.end()
        if rest.startswith(f" {_PLACEHOLDER}") and len(self.mappings) == 1:
            return shlex.quote(self.mappings[0]), len(_PLACEHOLDER) + 1
        return None


def _shown(value: Any, name: str) -> str:
    """A value as it may be shown: without its password."""
    from migrate.stores.urls import redacted

    return str(value) if name == "ledger_schema" else redacted(value)
