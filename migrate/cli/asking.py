"""Ask whoever sits at the terminal before something is done that cannot be undone by the next command."""

from __future__ import annotations

import select
import signal
import sys
from typing import Final

import click

from migrate.cli.screen import Screen
from migrate.cli.usage import Misused
from migrate.errors import Interrupted

_AWAKE_SECONDS: Final = 0.2
_ANSWERS: Final = {"y": True, "yes": True, "n": False, "no": False, "": False}


def ask(screen: Screen, question: str, **figures: str) -> None:
    """Go on at `y`. Raises Interrupted at anything else, Ctrl-C too, and UsageError where nobody is at the terminal."""
    if not sys.stdin.isatty():
        raise _nobody(click.get_current_context())
    # ADBC puts the handler of SIGINT back in a way that restarts system calls: Ctrl-C would be heard only after Enter.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        agreed = _answer(f"{screen.say(question, **figures)} [y/N]: ")
    except KeyboardInterrupt as stopped:
        # The cursor still stands behind the question.
        screen.err.print()
        raise _declined() from stopped
    if not agreed:
        raise _declined()


def _answer(question: str) -> bool:
    """Whether the next line from the terminal is a yes; asked again while it is neither that nor a no. Raises KeyboardInterrupt at Ctrl-C."""
    while True:
        click.echo(question, nl=False, err=True)
        # A signal just before a read that waits would be heard only after it: so the wait comes to an end now and then.
        while not select.select([sys.stdin], [], [], _AWAKE_SECONDS)[0]:
            continue
        answer = sys.stdin.readline().strip().lower()
        if answer in _ANSWERS:
            return _ANSWERS[answer]


def _nobody(context: click.Context) -> Misused:
    """What to do where nobody can answer; nothing is named that the command does not have."""
    looks = any(each.name == "dry_run" for each in context.command.params)
    return Misused(context, "nobody_to_ask", "nobody_to_ask_look" if looks else "nobody_to_ask_next")


def _declined() -> Interrupted:
    return Interrupted(
        "not agreed to: nothing was done", next_step="to do it, give the same command again and answer y"
    )
