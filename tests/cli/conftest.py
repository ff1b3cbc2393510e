"""Runs the real command in a process of its own, in an empty folder, and compares all that it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 120


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and its two streams."""

    code: int
    out: str
    err: str


Migrate = Callable[..., Done]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A plain terminal of 100 columns in an English locale, with nothing of the user's own."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "COLUMNS": "100",
            "PYTHONPATH": str(ROOT), **more}  # fmt: skip


@pytest.fixture
def migrate(tmp_path: Path) -> Migrate:
    """`migrate("schema", "show", …, LANG="zh_CN.UTF-8")` runs the command in `tmp_path`."""

    def run(*words: str, **variables: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "migrate", *words],
            cwd=tmp_path,
            env=environment(tmp_path, **variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
