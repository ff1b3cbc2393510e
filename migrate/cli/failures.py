"""Turns whatever ended a command into a message on stderr, a JSON document with `--json`, and an exit code.

Every way out of the program leads through here; passwords do not appear since no error carries one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import Final

import click
from rich.text import Text

from migrate.cli.screen import Screen, write_json
from migrate.cli.usage import Misused
from migrate.errors import InputError, Interrupted, MigrateError

DEFECT_EXIT: Final = 70
"""Exit code of an unexpected exception (EX_SOFTWARE of sysexits.h): nobody's input and nobody's database is to blame."""


def report(error: MigrateError, screen: Screen, *, with_json: bool = True) -> int:
    """Show an error that was raised on purpose; its exit code. Without `with_json` stdout has its document already."""
    error.next_step = None if error.next_step is None else screen.complete(error.next_step)
    lines = [("error", error.message), ("where", error.where), ("next", error.next_step)]
    for number, (key, text) in enumerate(lines):
        if text:
            _show(screen, key, text, indent=number > 0)
    if screen.settings.as_json and with_json:
        write_json({"error": error.to_json()})
    return error.exit_code


def usage_error(error: click.ClickException, screen: Screen) -> int:
    """Show what is wrong with the command line, as an InputError."""
    if isinstance(error, Misused):
        return report(error.told(screen.say), screen)
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "migrate"
    return report(InputError(error.format_message(), next_step=screen.say("see_help", command=command)), screen)


def interrupted(screen: Screen) -> int:
    """Show that a signal ended the command before it had begun anything."""
    return report(Interrupted("interrupted", next_step=screen.say("stopped_now")), screen)


def defect(error: Exception, screen: Screen) -> int:
    """Show an unexpected exception in one sentence, and keep the traceback in the log file (or a file made for it)."""
    say, log = screen.say, _keep_traceback(error, screen)
    kind = type(error).__name__
    first_line = (str(error).splitlines() or [""])[0]
    _show(screen, "error", say("unexpected", kind=kind, message=first_line))
    _show(screen, "where", say("unexpected_where", log=log), indent=True)
    _show(screen, "next", say("unexpected_next"), indent=True)
    if screen.settings.as_json:
        document = {
            "kind": kind,
            "exit": DEFECT_EXIT,
            "message": first_line,
            "where": log,
            "next": say("unexpected_next"),
        }
        write_json({"error": document})
    return DEFECT_EXIT


def broken_pipe() -> int:
    """The reader of stdout went away (`| head`): say nothing, and exit as a program killed by SIGPIPE would."""
    # What Python still holds for stdout would fail again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def _keep_traceback(error: Exception, screen: Screen) -> str:
    story = "".join(traceback.format_exception(error))
    path = screen.settings.log_file
    if path is not None:
        with path.open("a", encoding="utf-8") as log:
            log.write(story)
        return str(path)
    # Made for its owner alone: a message of a driver may quote data.
    with tempfile.NamedTemporaryFile("w", prefix="migrate-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write(story)
        return log.name


def _show(screen: Screen, key: str, text: str, *, indent: bool = False) -> None:
    styles = {"error": "bold red", "where": "dim", "next": "cyan"}
    label = screen.say(key)
    # English labels line up; Chinese ones end in a full-width colon and need no space.
    label = label if label.endswith("：") else f"{label:<6} " if indent else f"{label} "
    line = Text("  " if indent else "") + Text(label, style=styles[key]) + Text(text)
    screen.err.print(line, soft_wrap=True)
