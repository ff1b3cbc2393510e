"""Points of a run at which a fault can strike, put around the ports from outside: the production code knows nothing of them.

Every call of a target session, of a source reader, and every small statement on the ledger is a point with a name, such as `commit`,
`insert header`, `insert migrate_applied`, `ledger update migrate_lease`. It is passed twice, `before` the call and `after` its effect, when its
answer has not been given yet. `Watch` counts how often each was passed, and strikes where it was told to.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

import sqlalchemy as sa

from migrate.errors import ConnectionLost
from migrate.stores import opening

When = Literal["before", "after"]
Action = Literal["kill", "hold", "lose"]


@dataclass(frozen=True)
class Strike:
    """What happens at the `hit`-th passing of a point.

    `kill` ends the process there, `hold` reports and waits to be let go, `lose` takes the connection away: the call fails, and if that
    is `after` its effect, nobody knows. `phase` narrows it to a phase of the run (`start`, `batches`, `settle`, `finish`).
    """

    point: str
    when: When
    hit: int = 1
    action: Action = "kill"
    phase: str | None = None

    def __str__(self) -> str:
        phase = f" of {self.phase}" if self.phase else ""
        return f"{self.when} {self.point}{phase}, time {self.hit}"


@dataclass(frozen=True)
class Passed:
    """One passing of a point, as the trace of a run has it; equal ones have one name."""

    phase: str
    point: str
    when: When
    thread: int = field(compare=False, default=0)


class Lost(ConnectionLost):
    """The connection that a strike took away."""


class Watch:
    """Sees every point that is passed. `control` is where a hold is reported, and from where it is let go."""

    def __init__(self, strikes: tuple[Strike, ...], control: Connection) -> None:
        self._strikes = strikes
        self._control = control
        self._lock = threading.Lock()
        self._hits: Counter[Strike] = Counter()
        self._inside = threading.local()
        self.phase = "start"
        self.trace: list[Passed] = []

    @contextmanager
    def around(self, point: str) -> Iterator[None]:
        """Pass a point before and after the block; points inside of it are its own affair."""
        if getattr(self._inside, "busy", False):
            yield
            return
        self._pass(point, "before")
        self._inside.busy = True
        try:
            yield
        finally:
            self._inside.busy = False
        self._pass(point, "after")

    def hear(self, event: object) -> None:
        """Pass the point `event` with the class of something that the run told its listener, e.g. `event Waiting`."""
        with self.around(f"event {type(event).__name__}"):
            pass

    def _pass(self, point: str, when: When) -> None:
        with self._lock:
            self.trace.append(Passed(self.phase, point, when, threading.get_ident()))
            for strike in self._strikes:
                if (strike.point, strike.when) == (point, when) and strike.phase in (None, self.phase):
                    self._hits[strike] += 1
                    if self._hits[strike] == strike.hit:
                        break
            else:
                return
        if strike.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if strike.action == "lose":
            raise Lost(f"the connection was lost {strike}")
        self._control.send(("held", str(strike)))
        self._control.recv()


class Watched:
    """A session, reader or store of the port whose calls are points; everything else is the real one's."""

    def __init__(self, real: Any, watch: Watch, name_of: dict[str, Callable[..., str]]) -> None:
        self._real = real
        self._watch = watch
        self._name_of = name_of

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        naming = self._name_of.get(name)
        if naming is None:
            return method

        def call(*args: Any, **options: Any) -> Any:
            try:
                with self._watch.around(naming(*args)):
                    return method(*args, **options)
            except Lost:
                self._real.close()
                raise

        return call


def watch_ports(watch: Watch) -> None:
    """From now on, whatever opens a source or target in this process gets one that is watched."""
    for module_name in set(opening._MODULES.values()):
        module = opening._module(module_name)
        _replace(module, "open_target", lambda real: _Target(real, watch))
        _replace(module, "open_source", lambda real: _Source(real, watch))


def _replace(module: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    opened = getattr(module, name)
    setattr(module, name, lambda *args: wrap(opened(*args)))


class _Target(Watched):
    def __init__(self, real: Any, watch: Watch) -> None:
        super().__init__(real, watch, {"advance_sequences": lambda table: f"sequences of {table.name}"})
        self._engines: set[int] = set()

    def session(self) -> Watched:
        return Watched(self._real.session(), self._watch, _SESSION)

    def engine(self) -> sa.Engine:
        engine: sa.Engine = self._real.engine()
        if id(engine) not in self._engines:
            self._engines.add(id(engine))
            _watch_engine(engine, self._watch)
        return engine


class _Source(Watched):
    def __init__(self, real: Any, watch: Watch) -> None:
        super().__init__(real, watch, {})

    def reader(self, *args: Any) -> Watched:
        return Watched(self._real.reader(*args), self._watch, _READER)


_READER: dict[str, Callable[..., str]] = {
    "border": lambda *_: "border",
    "pick": lambda *_: "pick",
}


def _statement_name(statement: Any) -> str:
    if isinstance(statement, sa.Select):
        names = [each.name for each in statement.columns_clause_froms if isinstance(each, sa.Table)]
        return f"select {names[0] if names else 'joined'}"
    return f"{statement.__visit_name__} {statement.table.name}"


_SESSION: dict[str, Callable[..., str]] = {
    **{name: (lambda *_, name=name: name) for name in ("begin", "commit", "rollback")},
    "savepoint": lambda name: f"savepoint {name}",
    "rollback_to": lambda name: f"rollback to {name}",
    "execute": _statement_name,
    "insert": lambda table, _: f"insert {table.name}",
    "update": lambda table, *_: f"update {table.name}",
    "delete": lambda table, *_: f"delete {table.name}",
    "fetch": lambda table, *_: f"fetch {table.name}",
}
_LEDGER = re.compile(
    r"\s*(INSERT|UPDATE|DELETE|SELECT|CREATE TABLE|CREATE (?:UNIQUE )?INDEX)\b.*?\b(migrate_\w+)",
    re.IGNORECASE | re.DOTALL,
)


def _watch_engine(engine: sa.Engine, watch: Watch) -> None:
    """Small statements of the ledger, and their commits."""
    execute, commit = engine.dialect.do_execute, engine.dialect.do_commit

    def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        match = _LEDGER.match(statement)
        if match is None:
            execute(cursor, statement, parameters, context)
            return
        with watch.around(f"ledger {match[1].lower()} {match[2]}"):
            execute(cursor, statement, parameters, context)

    def do_commit(connection: Any) -> None:
        with watch.around("ledger commit"):
            commit(connection)

    engine.dialect.do_execute = do_execute  # type: ignore[method-assign]
    engine.dialect.do_commit = do_commit  # type: ignore[method-assign,assignment]


def shorten_lock_waits(seconds: float) -> None:
    """Let every store wait only so long for a lock, in whole seconds on MariaDB (at least one)."""
    from migrate.stores import mariadb_connection, postgres_target, sqlite_adbc

    sqlite_adbc.BUSY_MILLISECONDS = round(seconds * 1000)  # type: ignore[misc]
    defaults = postgres_target.PostgresTarget.__init__.__kwdefaults__
    assert defaults is not None
    defaults["lock_timeout"] = f"{round(seconds * 1000)}ms"
    settings, waits = mariadb_connection._WRITE_SETTINGS, max(1, round(seconds))
    short = re.sub(r"(lock_wait_timeout) = \d+", rf"\1 = {waits}", settings)
    assert short != settings
    mariadb_connection._WRITE_SETTINGS = short  # type: ignore[misc]


def shorten_idle_transactions() -> None:
    """Let the servers end a small statement's transaction that stands still within a second."""
    from migrate.stores import mariadb_connection, postgres_target

    mariadb_connection.IDLE_SECONDS = 1  # type: ignore[misc]
    postgres_target.IDLE_SECONDS = 1  # type: ignore[misc]
