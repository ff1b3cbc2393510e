"""On a terminal a run shows a live display, wipes it, and leaves its summary; nothing is wider than the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.conftest import environment

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(folder: Path, columns: int, *words: str, **more: str) -> tuple[int, str]:
    """Exit code and everything that a terminal of so many columns received."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    variables = environment(folder, TERM="xterm-256color", **more)
    del variables["COLUMNS"]
    process = subprocess.Popen(
        [sys.executable, "-m", "migrate", *words], cwd=folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    received = bytearray()
    try:
        while chunk := os.read(ours, 65536):
            received += chunk
    except OSError:
        pass  # Linux tells so that the other side was closed
    finally:
        os.close(ours)
    return process.wait(timeout=60), received.decode()


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_run_on_a_terminal(project: Path, columns: int, lang: str) -> None:
    """The display moves the cursor and hides it while it lasts; the summary comes after it, in colour, in line."""
    code, text = on_a_terminal(project, columns, "run", "mapping.yaml", "--lang", lang)
    assert code == 0
    live, summary = text[: text.rindex("\x1b[?25h")], text[text.rindex("\x1b[?25h") :]
    assert "\x1b[?25l" in live
    assert "INFO" not in text
    plain = ESCAPES.sub("", summary).replace("\r", "")
    assert plain.splitlines()[0].split()[:2] == ["bills", "complete" if lang == "en" else "已完成"]
    assert "\x1b[32m" in summary
    lines = ESCAPES.sub("", text).replace("\r", "\n").splitlines()
    assert max(map(cell_len, lines)) <= columns


def test_colours_can_be_turned_off(project: Path) -> None:
    """NO_COLOR is honoured: the words stay, the colours go."""
    code, text = on_a_terminal(project, 100, "check", "mapping.yaml", NO_COLOR="1")
    assert (code, ESCAPES.findall(text)) == (0, [])
