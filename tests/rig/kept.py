"""Makes, checks and restores backups as a test wants it."""

from __future__ import annotations

from pathlib import Path

from migrate.backup.check import Checked
from migrate.backup.check import check as check_backup
from migrate.backup.create import Made
from migrate.backup.create import create as create_backup
from migrate.backup.opened import Wanted, Watch
from migrate.backup.restore import Restored
from migrate.backup.restore import restore as restore_backup
from migrate.engine.options import RunOptions
from migrate.engine.run import run
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary
from tests.rig.back import log_verdict


def unwatched(_rows: int) -> None:
    """Nobody watches."""


def created(folder: Path, target: str, signing_key: Path | None = None) -> Made:
    """A backup of the mapping in `folder`, under its folder `backups`."""
    return create_backup(folder / "mapping.yaml", folder / "backups", RunOptions(target=target), signing_key, unwatched)


def checked(
    folder: Path, target: str, backup: str | None = None, trust: Path | None = None, watch: Watch = unwatched
) -> Checked:
    """The check of a backup, by default the newest."""
    wanted = Wanted(folder / "backups", backup, trust)
    return check_backup(folder / "mapping.yaml", wanted, RunOptions(target=target), watch)


def restored(folder: Path, target: str, backup: str | None = None) -> Restored:
    """The restore of a backup, by default the newest; the log holds after it, and everything is sealed."""
    done = restore_backup(
        folder / "mapping.yaml",
        Wanted(folder / "backups", backup),
        RunOptions(target=target),
        stop=StopToken(),
        listen=lambda _: None,
    )
    verdict = log_verdict(target)
    assert verdict.findings == ()
    assert verdict.unsealed == 0
    return done


def ran(folder: Path, source: str, target: str, *, no_backup: bool = False) -> RunSummary:
    """The run of the mapping in `folder`, as `migrate run` calls it."""
    options = RunOptions(source=source, target=target, no_backup=no_backup)
    (summary,) = run([folder / "mapping.yaml"], options, stop=StopToken(), listen=lambda _: None)
    return summary
