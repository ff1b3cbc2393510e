"""Where backups lie: one folder each, which has its name only once everything in it is written and on the disk, and which only its owner may read.

While one is written its folder is called `….partial`, and whatever a killed process left under that name is never taken for a backup.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from migrate.backup.manifest import MANIFEST
from migrate.errors import EnvironmentFault, InputError, StateError

DEFAULT: Final = Path("backups")
"""The folder that holds backups unless the user names another."""
PARTIAL: Final = ".partial"
_SHOWN: Final = 5
_NAME: Final = re.compile(r"(?P<mapping>.+)-(?P<backup>\d{8}T\d{6}-[0-9a-f]{4})")


def named(holder: Path, mapping: str, backup: str) -> Path:
    """The folder of a whole backup."""
    return holder / f"{mapping}-{backup}"


def refuse_file(holder: Path) -> None:
    """Raise InputError where backups are to be kept in something that is a file, or in a folder below one."""
    try:
        present = next(each for each in (holder, *holder.absolute().parents) if each.exists() or each.is_symlink())
    except OSError as error:
        raise InputError(
            f"backups cannot be kept there: {error.strerror}",
            where=f"--dir {holder}",
            next_step="name a folder with --dir",
        ) from error
    if not present.is_dir():
        raise InputError(
            f"{present} is {'a file' if present.is_file() else 'no folder'}: backups are kept in a folder",
            where=f"--dir {holder}",
            next_step="name a folder with --dir; one that is not there is made",
        )


@contextmanager
def written(place: Path) -> Iterator[Path]:
    """A folder to write a backup into. `publish` in the block gives it its name; what was not published is removed, as far as possible."""
    partial = place.with_name(place.name + PARTIAL)
    with _writing(place):
        missing = [each for each in partial.parents if not each.exists()]
        # It holds whole invoices: whoever may read the folder around it need not be one who may read these.
        partial.mkdir(mode=0o700, parents=True)
        for each in missing:
            _sync(each.parent)
    try:
        with _writing(place):
            yield partial
    finally:
        with suppress(OSError):
            shutil.rmtree(partial)


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(
            f"the backup cannot be written: {error.strerror or error}",
            where=str(place.parent),
            next_step="make room or name another folder with --dir, then make it again",
        ) from error


def publish(partial: Path, place: Path) -> None:
    """Let a backup appear under its name, after all of it is on the disk."""
    for path in partial.iterdir():
        _sync(path)
    _sync(partial)
    partial.rename(place)
    _sync(place.parent)


def found(holder: Path, mapping: str, backup: str | None, make: str) -> Path:
    """The folder of the backup of that name, or of the mapping's newest; `make` is the command that makes one.

    Raises StateError where there is none, or only one that is not whole.
    """
    wanted = "*" if backup is None else glob.escape(backup)
    places = sorted(holder.glob(f"{mapping}-{wanted}")) if holder.is_dir() else []
    whole = [place for place in places if _is_of(place, mapping) and (place / MANIFEST).is_file()]
    if whole:
        return max(whole, key=_made)
    broken = [place for place in places if _is_of(place, mapping)]
    if broken:
        raise StateError(
            f"{broken[-1]} has no {MANIFEST}: without it nobody can tell what its files hold",
            next_step=f"put it back, name another backup with --backup, or make one: {make}",
        )
    half = sorted(holder.glob(f"{mapping}-{wanted}{PARTIAL}")) if holder.is_dir() else []
    if half:
        raise StateError(
            f"{half[-1]} is half-written: whoever made it was stopped, and it is no backup",
            next_step=f"make a whole one: {make}; the folder may be removed",
        )
    raise _none(holder, mapping, backup, make)


def _none(holder: Path, mapping: str, backup: str | None, make: str) -> StateError:
    missing = "" if holder.is_dir() else ", which is no folder" if holder.exists() else ", which is not there"
    matches = [_NAME.fullmatch(place.name) for place in sorted(holder.iterdir())] if not missing else []
    names = [each["backup"] for each in matches if each is not None and each["mapping"] == mapping]
    made = "" if holder.exists() and missing else f", or make one: {make}"
    others = f"name one that is there with --backup ({', '.join(names[-_SHOWN:])}), " if names else ""
    return StateError(
        f"there is no backup{'' if backup is None else f' {backup}'} of {mapping} in {holder}{missing}",
        next_step=f"{others}name the folder that holds it with --dir{made}",
    )


def backup_in(place: Path) -> str:
    """The name of the backup of a folder that was found."""
    matched = _NAME.fullmatch(place.name)
    return "" if matched is None else matched["backup"]


def _made(place: Path) -> tuple[str, int]:
    # The name has the second; two that a script made in the same one are told apart by their files.
    return backup_in(place).partition("-")[0], (place / MANIFEST).stat().st_mtime_ns


def _is_of(place: Path, mapping: str) -> bool:
    matched = _NAME.fullmatch(place.name)
    return matched is not None and matched["mapping"] == mapping and place.is_dir()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
