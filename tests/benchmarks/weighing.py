"""Commands of the toolkit in processes of their own, with the memory they took at most."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_WEIGH: Final = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
"""Runs a command and prints its exit code and peak memory in KiB: in a small process, since Linux counts what a child had before its exec,
which is the memory of its parent."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a command printed, and its peak memory in MiB."""

    stdout: str
    peak_mib: float


def weighed(words: Sequence[str], environment: Mapping[str, str]) -> Weighed:
    """`migrate` with these words, which must end with exit 0."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WEIGH, sys.executable, "-m", "migrate", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    stdout, _, last = done.stdout.rstrip().rpartition("\n")
    exit_code, peak_kib = last.split()
    assert exit_code == "0", done.stdout + done.stderr
    return Weighed(stdout, int(peak_kib) / 1024)
