"""Commands in processes of their own that are forked from one which has loaded the libraries.

Loading them takes twice as long as all the rest that most commands do. Only what others wrote is loaded beforehand: each command
loads the toolkit itself, has its own folder, environment, streams and exit code, and ends as any process ends.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIBRARIES: Final = (
    "adbc_driver_postgresql.dbapi", "adbc_driver_sqlite.dbapi", "click", "cryptography.hazmat.primitives.asymmetric.ed25519",
    "duckdb", "numpy", "polars", "polars_hash", "psycopg", "pyarrow.compute", "pyarrow.parquet", "pydantic", "pymysql", "rich.progress",
    "rich.table", "ruamel.yaml", "sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "sqlglot",
)  # fmt: skip
_LENGTH_BYTES: Final = 8


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code (negative: the signal that killed it) and its two streams."""

    code: int
    out: str
    err: str


class Warm:
    """The process that others are forked from; one command at a time."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        ours, its = socket.socketpair()
        self._channel = ours
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.cli.warm", str(its.fileno())],
                cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[its.fileno()],
            )  # fmt: skip

    def run(self, words: tuple[str, ...], folder: Path, environment: dict[str, str], seconds: float) -> Done:
        """`migrate` with these words in a folder; whoever takes longer is killed."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            request = json.dumps({"words": words, "folder": str(folder), "environment": environment}).encode()
            head = len(request).to_bytes(_LENGTH_BYTES, "big")
            socket.send_fds(self._channel, [head], [out.fileno(), err.fileno()])
            self._channel.sendall(request)
            pid = self._hear(seconds)
            try:
                code = self._hear(seconds)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
            out.seek(0)
            err.seek(0)
            return Done(code, out.read().decode(), err.read().decode())

    def close(self) -> None:
        """End it."""
        self._channel.close()
        self._process.wait()

    def _hear(self, seconds: float) -> int:
        self._channel.settimeout(seconds)
        return int.from_bytes(_whole(self._channel, _LENGTH_BYTES), "big", signed=True)


def _whole(channel: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = channel.recv(size - len(found))
        if not part:
            raise EOFError("the process that commands are forked from has ended")
        found += part
    return found


def _serve(channel: socket.socket) -> dict[str, object] | None:
    """Fork for each request and tell how it ended; returns in the forked process, with what is wanted, and at the end."""
    while True:
        head, streams, _, _ = socket.recv_fds(channel, _LENGTH_BYTES, 2)
        if not head:
            return None
        request: dict[str, object] = json.loads(_whole(channel, int.from_bytes(head, "big")))
        with warnings.catch_warnings():
            # Python 3.12 warns of threads that others might hold locks in; none runs here.
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            channel.close()
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
            return request
        for stream in streams:
            os.close(stream)
        for told in (pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])):
            channel.sendall(told.to_bytes(_LENGTH_BYTES, "big", signed=True))


def main() -> None:
    """Load, serve, and in each forked process be `python -m migrate`."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    # As the command does before it loads Arrow.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    for name in LIBRARIES:
        importlib.import_module(name)
    # Else the first collection of each process would write to every page of what is loaded, and so copy it.
    gc.freeze()
    request = _serve(channel)
    if request is None:
        os._exit(0)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    time.tzset()
    os.chdir(str(request["folder"]))
    sys.path[0] = str(request["folder"])
    sys.argv = ["migrate", *request["words"]]  # type: ignore[misc]
    try:
        runpy.run_module("migrate", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end(ended.code)


def _end(code: object) -> None:
    """What the interpreter does at its end, up to taking the libraries apart, which would copy all of them first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    # What was not closed is told now.
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
