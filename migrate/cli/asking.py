"""Ask whoever sits at the terminal before something is done that cannot be undone by the next command."""

from __future__ import annotations

import sys

import click

from migrate.cli.screen import Screen


def ask(screen: Screen, question: str, **figures: str) -> None:
    """Go on at `y`. Raises Abort at anything else, and UsageError where nobody is at the terminal."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            "it asks before it begins, and nobody is at the terminal: give --yes (where there is --dry-run, look first)"
        )
    click.confirm(screen.say(question, **figures), abort=True, err=True)
