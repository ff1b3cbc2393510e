"""A backup has its name only once it is on the disk, is read by its owner only, and the newest one is the newest."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from migrate.backup.folder import found, named, publish, written
from migrate.backup.manifest import MANIFEST
from migrate.errors import StateError


def made(holder: Path, backup: str) -> Path:
    """A folder of that name with a manifest and one more file."""
    place = named(holder, "odd", backup)
    with written(place) as folder:
        (folder / "0-rows.parquet").write_bytes(b"rows")
        (folder / MANIFEST).write_text("{}", encoding="utf-8")
        publish(folder, place)
    return place


def test_everything_is_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folder first, then the name; what leads to it, also where folders were made on the way, is on the disk at the end."""
    place, synced, fsync = (
        named(tmp_path / "a" / "b", "odd", "20260101T000000-aaaa"),
        list[tuple[str, bool]](),
        os.fsync,
    )

    def record(handle: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{handle}").readlink()), place.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", record)
    made(tmp_path / "a" / "b", "20260101T000000-aaaa")
    before = {path for path, appeared in synced if not appeared}
    partial = f"{place}.partial"
    assert {partial, f"{partial}/0-rows.parquet", f"{partial}/{MANIFEST}", str(tmp_path), str(tmp_path / "a")} == before
    assert [path for path, appeared in synced if appeared] == [str(place.parent)]


def test_only_its_owner_reads_a_backup(tmp_path: Path) -> None:
    """It holds whole invoices, whatever the folder around it lets in."""
    assert stat.S_IMODE(made(tmp_path, "20260101T000000-aaaa").stat().st_mode) == 0o700


def test_of_one_second_the_later_one_is_the_newest(tmp_path: Path) -> None:
    """What is random in the name does not decide."""
    made(tmp_path, "20260101T000000-ffff")
    first, second = made(tmp_path, "20260101T000001-bbbb"), made(tmp_path, "20260101T000001-aaaa")
    os.utime(first / MANIFEST, ns=(1, 1))
    os.utime(second / MANIFEST, ns=(2, 2))
    assert found(tmp_path, "odd", None, "make one") == second
    assert found(tmp_path, "odd", "20260101T000001-bbbb", "make one") == first


@pytest.mark.parametrize("name", ["", "*", "20260101T000000-????"])
def test_a_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    """An empty name, as of a variable that is not set, is none, and not the newest."""
    made(tmp_path, "20260101T000000-aaaa")
    with pytest.raises(StateError, match="there is no backup"):
        found(tmp_path, "odd", name, "make one")
