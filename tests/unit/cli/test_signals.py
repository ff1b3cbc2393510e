"""One signal asks to stop, a second ends the process, and the handlers of before come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import adbc_driver_sqlite.dbapi
import pytest

from migrate.cli.signals import beside, stop_on_signals
from migrate.engine.stop import StopToken

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop(number: signal.Signals) -> None:
    """Either signal sets the stop once and is announced; afterwards the handlers are those of before."""
    before = signal.getsignal(number)
    announced: list[str] = []
    stop = StopToken()
    with stop_on_signals(stop, lambda: announced.append("once")):
        assert not stop.is_set
        os.kill(os.getpid(), number)
        assert stop.wait(10)
    assert (announced, signal.getsignal(number)) == (["once"], before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_a_command_listens_is_an_interruption(number: signal.Signals) -> None:
    """While it still loads its libraries, either signal ends it with exit 130 and a word about it."""
    script = (
        # Who starts the tests in the background may have told their children to ignore Ctrl-C.
        "import click, os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from migrate.cli import cli, main;"
        f"cli.add_command(click.Command('load', callback=lambda: os.kill(os.getpid(), {int(number)})));"
        "sys.exit(main(['load']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert "error: interrupted\n" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("library", ["click", "rich.console", "sqlalchemy"])
def test_a_signal_while_the_command_loads_is_an_interruption(
    number: signal.Signals, library: str, tmp_path: Path
) -> None:
    """From its first import on, either signal ends the command with exit 130, a word about it, and nothing else."""
    script = (
        "import importlib.abc, os, runpy, signal, sys\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {library!r}: os.kill(os.getpid(), {int(number)})\n"
        # Who starts the tests in the background may have told their children to ignore Ctrl-C.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"sys.argv = ['migrate', 'status', '--target', 'sqlite:///{tmp_path}/new.db']\n"
        "runpy.run_module('migrate', run_name='__main__', alter_sys=True)\n"
    )
    (tmp_path / "new.db").touch()
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "\nerror: interrupted\n  next:  stopped; run the same command again to go on\n"


def test_without_a_signal_nothing_is_asked() -> None:
    """The block ends by itself and the stop stays unset."""
    stop = StopToken()
    with stop_on_signals(stop):
        pass
    assert not stop.is_set


def test_a_signal_during_a_database_call_is_heard(tmp_path: Path) -> None:
    """ADBC takes SIGINT for itself while the main thread is inside of it, so calls are made beside: the call ends well and the stop is set."""
    stop, begins = StopToken(), threading.Event()
    counting = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT count(*) FROM n"
    )

    def count() -> object:
        with adbc_driver_sqlite.dbapi.connect(str(tmp_path / "any.db")) as connection, connection.cursor() as cursor:
            begins.set()
            cursor.execute(counting)
            return cursor.fetchone()

    def press() -> None:
        begins.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with stop_on_signals(stop):
        assert beside(count) == (2000000,)
        assert stop.wait(10)
    presser.join()


def test_what_is_done_beside_fails_as_it_would_here() -> None:
    """The error of the work is raised where it was asked for."""
    with pytest.raises(ZeroDivisionError):
        beside(lambda: 1 // 0)


STUBBORN = """
import os, signal, sys
from migrate.cli.signals import beside, stop_on_signals
from migrate.engine.stop import StopToken

sys.stdout.write("kept")
with stop_on_signals(StopToken(), lambda: None):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        signal.pause()
"""


def test_the_second_signal_ends_the_process() -> None:
    """A process that does not stop by itself is gone at the second signal, exit 130, with its output written."""
    done = subprocess.run(
        [sys.executable, "-c", STUBBORN], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "kept", "")
