"""Mapping files, each looked at as far as that is possible: no mistake hides another, neither of its own file nor of the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from migrate.errors import InputError, Interrupted, MigrateError
from migrate.mapping.checking import check_mapping
from migrate.mapping.findings import Finding, MappingErrors
from migrate.mapping.model import Mapping
from migrate.mapping.reader import read_mapping

T = TypeVar("T")


def look_at_files(
    paths: Sequence[Path], look: Callable[[Mapping], tuple[T | None, list[Finding]]]
) -> tuple[list[T], list[Finding]]:
    """What `look` makes of each file that has no mistake, and the findings of all files, in the files' order.

    A file with mistakes of its own is given to `look` as far as it can be meant; one whose source cannot, is looked at without. What `look` could not reach is raised if nothing else
    is wrong, and a warning among the mistakes otherwise.
    """
    made: list[T] = []
    findings: list[Finding] = []
    names: dict[str, Path] = {}
    out_of_reach: MigrateError | None = None
    for path in paths:
        mapping, found = _read(path)
        if mapping is not None:
            found = sorted({*found, *_same_name(mapping, names)})
            try:
                result, seen = (
                    look(mapping) if mapping.says("source.table") else (None, check_mapping(mapping, None, None))
                )
            except MappingErrors as error:
                result, seen = None, list(error.findings)
            except Interrupted:
                raise
            except MigrateError as error:
                result, seen = None, [_not_seen(mapping, error)]
                out_of_reach = out_of_reach or error
            found = sorted({*found, *seen})
            if result is not None and not any(each.level == "error" for each in found):
                made.append(result)
        findings += found
    if out_of_reach is not None and not any(each.level == "error" for each in findings):
        raise out_of_reach
    return made, findings


def _read(path: Path) -> tuple[Mapping | None, list[Finding]]:
    try:
        return read_mapping(path), []
    except MappingErrors as error:
        return error.rest, list(error.findings)
    except InputError as error:
        return None, [Finding(str(path), 1, "(file)", error.message, error.next_step)]


def _same_name(mapping: Mapping, names: dict[str, Path]) -> list[Finding]:
    first = names.setdefault(mapping.name, mapping.path) if mapping.says("mapping") else mapping.path
    if first is mapping.path:
        return []
    message = f"`{mapping.name}` is also the name of {first}, and a name is an identity in the ledger"
    return [Finding(str(mapping.path), mapping.line_of("mapping"), "mapping", message, "give each a name of its own")]


def _not_seen(mapping: Mapping, error: MigrateError) -> Finding:
    message = f"not looked at in its databases: {error.message}"
    return Finding(str(mapping.path), 1, "(file)", message, error.next_step, "warning")
