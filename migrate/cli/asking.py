"""Ask whoever sits at the terminal before something is done that cannot be undone by the next command."""

from __future__ import annotations

import signal
import sys

import click

from migrate.cli.screen import Screen
from migrate.errors import Interrupted


def ask(screen: Screen, question: str, **figures: str) -> None:
    """Go on at `y`. Raises Interrupted at anything else, Ctrl-C too, and UsageError where nobody is at the terminal."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            "it asks before it begins, and nobody is at the terminal: give --yes (where there is --dry-run, look first)"
        )
    # ADBC puts the handler of SIGINT back in a way that restarts system calls: Ctrl-C would be heard only after Enter.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        agreed = click.confirm(screen.say(question, **figures), err=True)
    except click.Abort as stopped:
        # The cursor still stands behind the question.
        screen.err.print()
        raise _declined() from stopped
    if not agreed:
        raise _declined()


def _declined() -> Interrupted:
    return Interrupted(
        "not agreed to: nothing was done", next_step="to do it, give the same command again and answer y"
    )
