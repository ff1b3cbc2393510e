"""Which process holds a lease, and whether it provably lives no more.

Only ever says *dead* when it is certain: same host, same boot, same process namespace, and the process id is gone or was given to another
process. Anything else may be alive.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """Identity of a process on a host, across reboots and reuse of process ids."""

    host: str
    pid: int
    boot: str
    namespace: str
    started: str

    def to_text(self) -> str:
        """Canonical JSON, as kept in the ledger."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Process:
        """Inverse of `to_text`."""
        return cls(**json.loads(text))

    @property
    def surely_dead(self) -> bool:
        """True when this very process cannot be running any more; needs to be asked on its own host."""
        here = this_process()
        if not self.is_of_this_host:
            return False
        if self.boot != here.boot:
            return bool(self.boot and here.boot)
        return _started(self.pid) != self.started

    @property
    def is_of_this_host(self) -> bool:
        """True where `surely_dead` can tell: on the process's own host, in its own namespace."""
        here = this_process()
        return (self.host, self.namespace) == (here.host, here.namespace)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Process:
    """Identity of the calling process."""
    pid = os.getpid()
    return Process(socket.gethostname(), pid, _read("/proc/sys/kernel/random/boot_id"), _namespace(), _started(pid))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Start time of a process in the kernel's ticks; '' when there is none, 'unknown' where the system does not tell."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            return "unknown"
        return "unknown"
    stat = _read(f"/proc/{pid}/stat")
    if not stat:
        return ""
    # The second field is the command in brackets and may itself hold brackets and blanks (proc(5)); a zombie ("Z") runs no more.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
