"""Every command has a help text with an example, and every example can be run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from migrate.cli import cli
from migrate.cli.options import Command
from tests.cli.conftest import MAPPING, Migrate

STEERING = {"pause", "resume", "throttle"}
"""These need a run that is not complete."""


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that lead to it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def certify(migrate: Migrate, project: Path, up_to: str) -> None:
    """Do the examples that come before one of a certificate."""
    for path, command in commands():
        if path[0] != "certificate" or path[1] == "keygen":
            continue
        if path[1] == "issue":
            assert migrate("certificate", "keygen", "-o", "signing.key").code == 0
        if path[1] == up_to:
            return
        assert isinstance(command, Command)
        done = migrate(*shlex.split(command.example)[1:])
        if path[1] == "prove":
            (project / "proof.json").write_text(done.out, encoding="utf-8")


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=[" ".join(path) for path, _ in commands()])
def test_the_example_of_each_command_runs(
    migrate: Migrate, project: Path, path: tuple[str, ...], command: click.Command
) -> None:
    """In a folder with an old database, a new one and a mapping, the example does what it says: exit 0."""
    assert isinstance(command, Command)
    if path[0] in STEERING:
        (project / "mapping.yaml").write_text(MAPPING + 'limits: {rejects: "0"}\n', encoding="utf-8")
    if path[0] in STEERING | {"status", "rejects", "ledger", "verify", "certificate", "rollback"}:
        assert migrate("run", "mapping.yaml", "--batch-rows", "2", "--workers", "1").code in (0, 5)
    if path[0] == "backup" and path[1] != "create":
        assert migrate("backup", "create", "mapping.yaml").code == 0
    if path[0] == "certificate":
        certify(migrate, project, path[1])
    for line in command.example.splitlines():
        words = shlex.split(line)
        assert words[: len(path) + 1] == ["migrate", *path]
        done = migrate(*words[1:])
        assert done.code == 0, done.err


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=[" ".join(path) for path, _ in commands()])
def test_the_help_of_each_command_is_a_sentence(path: tuple[str, ...], command: click.Command) -> None:
    """One sentence, a word about every option, and the options that all commands share."""
    assert command.help is not None
    assert command.help.endswith(".")
    assert "\n\n" not in command.help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert all(option.help for option in options), path
    assert {"as_json", "lang", "log_file", "log_format", "log_level"} <= {option.name for option in options}


def test_help_is_shown_quickly_and_fits(migrate: Migrate) -> None:
    """`--help` of the whole program names every command of the first level with its sentence."""
    done = migrate("--help")
    assert (done.code, done.err) == (0, "")
    assert all(f"  {name} " in done.out for name in cli.commands)
    assert all(len(line) <= 100 for line in done.out.splitlines())
