"""Why a run is not at its end, as the ledger has it, in the language of who looks: the ledger keeps one English sentence, whoever reads it.

A reason of any other form, such as what an operator wrote, is shown as it was recorded.
"""

from __future__ import annotations

import re
from typing import Final

from migrate.cli.texts import Say

_FORMS: Final = tuple(
    (re.compile(pattern), key)
    for pattern, key in (
        (r"interrupted", "why_interrupted"),
        (r"stopped at a batch border: interrupted", "why_stopped_at_border"),
        (r"stopped between two batches: interrupted", "why_stopped"),
        (r"the rollback of (?P<mapping>\S+) is paused: (?P<reason>.*)", "why_rollback_paused"),
        (r"(?P<what>.+) of it taken back; `migrate run` does again what is open", "why_part_back"),
        (r"(?P<what>.+) is not taken back, rows of it stand in the way: (?P<rows>.*)", "why_rows"),
    )
)
_PARTS: Final = tuple(
    (re.compile(pattern), key)
    for pattern, key in (
        (r"batch (?P<batch>\d+) of pass (?P<number>\d+)", "part_batch_of_pass"),
        (r"batches (?P<batches>[\d, ]+) of pass (?P<number>\d+)", "part_batches_of_pass"),
        (r"batch (?P<batch>\d+(?:/-?\d+)?)", "part_batch"),
        (r"batches (?P<batches>[\d, ]+)", "part_batches"),
        (r"pass (?P<number>\d+)", "part_pass"),
        (r"the run", "part_run"),
    )
)
_KINDS: Final = (("changed since", "row_changed"), ("deleted since", "row_deleted"), ("held fast", "row_held"))


def recorded_reason(reason: str, say: Say) -> str:
    """The first line of a recorded reason; rows that are named below it are those of a moment that is over."""
    line = reason.splitlines()[0]
    for form, key in _FORMS:
        found = form.fullmatch(line)
        if found is not None:
            values = found.groupdict()
            if "what" in values:
                values["what"] = _part(values["what"], say)
            if "rows" in values:
                values["rows"] = _rows(values["rows"], say)
            return say(key, **values)
    return line


def _part(text: str, say: Say) -> str:
    for form, key in _PARTS:
        found = form.fullmatch(text)
        if found is not None:
            return say(key, **found.groupdict())
    return text


def _rows(text: str, say: Say) -> str:
    for english, key in _KINDS:
        text = text.replace(english, say(key))
    return text
