"""Who holds a lease, and when it provably lives no more."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from migrate.ledger.process import Process, this_process


def test_identity_survives_the_ledger() -> None:
    """The text of a process gives it back."""
    assert Process.from_text(this_process().to_text()) == this_process()


def test_a_running_process_is_not_dead() -> None:
    """This very process lives, and says its id and host."""
    here = this_process()
    assert here.pid == os.getpid()
    assert not here.surely_dead
    assert str(here) == f"process {here.pid} on {here.host}"


def test_an_ended_process_is_dead() -> None:
    """A child lives while it runs and is dead once it ended, even before its parent has asked for its exit code."""
    code = "import sys; from migrate.ledger.process import this_process; print(this_process().to_text(), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        identity = Process.from_text(child.stdout.readline().decode())
        assert identity.pid == child.pid
        dead = [identity.surely_dead]
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it ended and is not yet reaped: a zombie
        dead.append(identity.surely_dead)
    assert [*dead, identity.surely_dead] == [False, True, True]


def test_elsewhere_nothing_is_certain() -> None:
    """A process of another host or container may live, whatever the process table here says."""
    gone = replace(this_process(), pid=2**22 + 1)
    assert gone.surely_dead
    assert not replace(gone, host="elsewhere").surely_dead
    assert not replace(gone, namespace="another").surely_dead


def test_a_reused_id_and_a_reboot_are_seen() -> None:
    """Another process under the old id, and the time before a reboot, are dead for certain; an unknown boot is not."""
    here = this_process()
    assert replace(here, started="1").surely_dead
    assert replace(here, boot="another").surely_dead
    assert not replace(here, boot="").surely_dead
