"""docs/cli.md, written from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from migrate.cli import cli
from migrate.cli.options import Command

_HEAD = """# Commands

Made by `make docs` from the commands themselves; a test runs every example and another one fails when this page is not current.

Results go to stdout, all else to stderr. `${NAME}` in URLs and paths stands for an environment variable.
Durations are `90s`, `15m`, `4h`, `4d`; shares `0.5%`.

## Exit codes

| exit | meaning |
|---|---|
| 0 | done, everything accounted for |
| 1 | data: differences, a chain that does not hold, findings of `doctor` |
| 2 | usage or mapping error; nothing was written |
| 3 | environment: database or file out of reach, disk full; running again is safe |
| 4 | refused: another process holds the run, the fingerprint changed, rows changed since, the target is not as planned |
| 5 | paused by a limit or an operator; `migrate resume`, then run again |
| 6 | not verified: something could not be compared, and nothing differed in what could |
| 70 | a defect of the toolkit; the message names the file with the traceback; running again is safe |
| 130 | interrupted; running again is safe |
| 141 | the reader of stdout went away (`… \\| head`) |

Ctrl-C or SIGTERM once: the batch in hand is finished, exit 130. Twice: stopped at once, which is safe too.
`status --watch` ends with 0.

## Options of every command

"""


_SHARED = ("as_json", "lang", "log_file", "log_format", "log_level")


def markdown() -> str:
    """The whole page."""
    commands = list(_commands(cli, "migrate"))
    first = commands[0][1]
    lines = [_HEAD + _table(option for option in _options(first) if option.name in _SHARED)]
    for path, command in commands:
        lines.append(f"## {path}\n\n{(command.help or '').strip()}\n\n```text\n{_usage(path, command)}\n```\n")
        own = [option for option in _options(command) if option.name not in _SHARED]
        if own:
            lines.append(_table(own))
        if isinstance(command, Command):
            lines.append(f"Example:\n\n```text\n{command.example}\n```\n")
    return "\n".join(lines).rstrip("\n") + "\n"


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _usage(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    return " ".join([path, *command.collect_usage_pieces(context)])


def _table(options: Iterable[click.Option]) -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for option in options:
        record = option.get_help_record(click.Context(click.Command("migrate")))
        if record is not None:
            form, meaning = (part.replace("|", "\\|") for part in record)
            rows.append(f"| `{form}` | {meaning} |")
    return "\n".join(rows) + "\n"
