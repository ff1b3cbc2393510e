"""What every command has: the same options for output and logs, and a help text of one sentence, options and an example."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from migrate.cli.pasting import Typed
from migrate.cli.screen import Screen, Settings
from migrate.cli.texts import locale_language
from migrate.cli.usage import words_beyond
from migrate.progress.logs import start_logging
from migrate.units import parse_duration

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions

FILE: Final = click.Path(path_type=Path)

_SHARED: Final[tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...]] = (
    click.option("--json", "as_json", is_flag=True, help="Write exactly one JSON document to stdout."),
    click.option("--lang", type=click.Choice(["zh", "en"]), help="Language of tables and messages (default: the locale's)."),
    click.option("--log-file", type=FILE, metavar="FILE", help="Append the log to this file."),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Form of log lines (default: text)."),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
                 help="Least severe log lines to write (default: info)."),
)  # fmt: skip
_SOURCE: Final = click.option("--source", metavar="URL", help="Source database, instead of the mapping's.")
_TARGET: Final = click.option("--target", metavar="URL", help="Target database, instead of the mapping's.")
_LEDGER_SCHEMA: Final = click.option(
    "--ledger-schema", metavar="NAME", help="Schema of the ledger's tables, where the database has schemas."
)

_RUN: Final = click.option("--run", metavar="ID", help="This run, instead of the newest.")
_PASS: Final = click.option(
    "--pass", "pass_no", type=click.IntRange(min=1), metavar="N", help="Only this pass of the run."
)


def in_target(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the ledger is; the command gets them as `RunOptions` in `options`."""

    @functools.wraps(function)
    def wrapped(*given: Any, target: str | None, ledger_schema: str | None, **named: Any) -> Any:
        from migrate.engine.options import RunOptions

        return function(*given, options=RunOptions(target=target, ledger_schema=ledger_schema), **named)

    command: Callable[..., Any] = wrapped
    for option in (_LEDGER_SCHEMA, _TARGET):
        command = option(command)
    return command


def of_run(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the ledger is, and which run and pass of it is meant; as `in_target`."""

    @functools.wraps(function)
    def wrapped(*given: Any, options: RunOptions, run: str | None, pass_no: int | None, **named: Any) -> Any:
        return function(*given, options=replace(options, run=run, pass_no=pass_no), **named)

    command = in_target(wrapped)
    for option in (_PASS, _RUN):
        command = option(command)
    return command


def source_and_target(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that replace what a mapping says about its databases; named as in `RunOptions`."""
    for option in (_LEDGER_SCHEMA, _TARGET, _SOURCE):
        function = option(function)
    return function


@dataclass(slots=True)
class Session:
    """What the way out of the program needs to know about the command that ran."""

    screen: Screen


class Command(click.Command):
    """A command with an example, which a test runs. `beyond`: the key of what to do after more words than it takes."""

    def __init__(self, *args: Any, example: str, beyond: str = "words_beyond_next", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self._beyond = beyond

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As Click does it, but for words that the command does not take: these are told in the user's language, with what to do."""
        ctx.allow_extra_args = True
        # Click takes the words out of the list as it reads them.
        typed = tuple(args)
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise words_beyond(ctx, typed, rest, self._beyond)
        return rest

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - Click's signature
        """Write the example below the options."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """Commands in the order in which they are used, not in that of the alphabet."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """The names, as they were registered."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - Click's signature
        """Each command with its whole sentence, which Click would cut off."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(limit=1000)) for name, command in self.commands.items()]
            )


Group.group_class = Group


class Duration(click.ParamType[int, str]):
    """`90s`, `15m`, `4h`, `4d`; the value is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002 - Click's signature
        """Seconds of the text."""
        return value if isinstance(value, int) else parse_duration(value)


def with_screen(function: Callable[..., int]) -> Callable[..., int]:
    """Add the options that every command has; the command gets a `Screen` instead of them, as its first argument."""

    @click.pass_context
    @functools.wraps(function)
    def wrapped(context: click.Context, /, **given: Any) -> int:
        settings = Settings(
            as_json=given.pop("as_json"),
            lang=given.pop("lang") or locale_language(),
            log_file=given.pop("log_file"),
            log_format=given.pop("log_format"),
            log_level=given.pop("log_level"),
        )
        screen = Screen(settings, Typed.of(context))
        context.ensure_object(Session).screen = screen
        start_logging(screen.err, settings.log_file, settings.log_format, settings.log_level)
        return function(screen, **given)

    command: Callable[..., int] = wrapped
    for option in reversed(_SHARED):
        command = option(command)
    return command


def first_screen(arguments: list[str]) -> Screen:
    """The screen for what goes wrong before the options are read."""
    lang = locale_language()
    for before, argument in zip(["", *arguments], arguments, strict=False):
        chosen = (
            argument.removeprefix("--lang=")
            if argument.startswith("--lang=")
            else argument
            if before == "--lang"
            else ""
        )
        if chosen in ("zh", "en"):
            lang = chosen  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape for it, not a crash.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return Screen(Settings(as_json="--json" in arguments, lang=lang))
