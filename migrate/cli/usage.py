"""Command lines that cannot be meant, told in the user's language: what is wrong, where, and what to type instead."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from migrate.errors import InputError

if TYPE_CHECKING:
    from migrate.cli.texts import Say


class Misused(click.UsageError):
    """A wrong command line whose sentences are texts of the toolkit: the keys of what is wrong, where, and what comes next."""

    def __init__(
        self, context: click.Context, what: str, following: str, where: str | None = None, **values: str
    ) -> None:
        super().__init__(what, context)
        self._keys = (what, where, following)
        self._values = {**values, "command": context.command_path}

    def told(self, say: Say) -> InputError:
        """The error as it is shown, in the language of `say`."""
        what, where, following = (None if key is None else say(key, **self._values) for key in self._keys)
        return InputError(what or "", where=where, next_step=following)


def words_beyond(context: click.Context, typed: Sequence[str], words: Sequence[str], following: str) -> Misused:
    """That of the words `typed` behind a command, `words` are more than it takes; `following` is the key of what to type instead."""
    arguments = [each for each in context.command.get_params(context) if isinstance(each, click.Argument)]
    takes = " ".join(each.make_metavar(context) for each in arguments)
    places = [len(typed)]
    for word in reversed(words):
        # The last of those that are alike: what a command takes comes first.
        places.insert(0, places[0] - 1 - typed[: places[0]][::-1].index(word))
    shown = _hidden(typed)
    return Misused(
        context,
        "words_beyond" if takes else "words_beyond_options",
        following,
        "words_behind",
        takes=takes,
        words=shlex.join(shown[place] for place in places[:-1]),
        behind=" ".join([context.command_path, shlex.join(shown[: places[0]])]).strip(),
    )


def _hidden(words: Sequence[str]) -> list[str]:
    """The words without passwords of database URLs, also of one that a space cuts into several words."""
    from migrate.stores.urls import redacted

    found, inside = [], False
    for word in words:
        scheme, divided, rest = word.partition("://")
        if divided and "@" not in rest and ":" in rest.partition("/")[0]:
            # What follows may be the other half of the password.
            found.append(f"{scheme}://***")
            inside = True
        elif divided:
            found.append(redacted(word))
            inside = False
        else:
            found.append(f"***{word[word.rfind('@') :]}" if "@" in word else "***" if inside else word)
            inside = inside and "@" not in word
    return found
