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
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.conftest import Migrate, environment

OF_ITS_OWN = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "migrate", *sys.argv[1:]])
"""
"""Makes the terminal that of the session, then runs the command."""

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(
    folder: Path,
    columns: int,
    *words: str,
    typed: str = "",
    meanwhile: Callable[[], object] = lambda: None,
    **more: str,
) -> tuple[int, str]:
    """Exit code and everything that a terminal of so many columns received; `typed` is typed at a question, when `meanwhile` is done."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    variables = environment(folder, TERM="xterm-256color", **more)
    del variables["COLUMNS"]
    # A session of its own, whose terminal this is, as for who sits at one.
    process = subprocess.Popen(
        [sys.executable, "-c", OF_ITS_OWN, *words],
        cwd=folder,
        env=variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    received = bytearray()
    try:
        while chunk := os.read(ours, 65536):
            received += chunk
            if typed and b"[y/N]" in received:
                meanwhile()
                os.write(ours, typed.encode())
                typed = ""
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


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_backup_shows_how_far_it_is(migrate: Migrate, project: Path, lang: str) -> None:
    """While rows are read, and read again by the check, a line on the terminal says how many; it is gone when the result comes."""
    assert migrate("run", "mapping.yaml").code == 0
    said = {"en": ("backing up: ", "read again: "), "zh": ("备份中：", "回读：")}[lang]
    for command, words in zip(("create", "check"), said, strict=True):
        code, text = on_a_terminal(project, 80, "backup", command, "mapping.yaml", "--lang", lang)
        assert code == 0, text
        live, result = text[: text.rindex("\x1b[?25h")], text[text.rindex("\x1b[?25h") :]
        assert words in live
        assert words not in result


def test_colours_can_be_turned_off(project: Path) -> None:
    """NO_COLOR is honoured: the words stay, the colours go."""
    code, text = on_a_terminal(project, 100, "check", "mapping.yaml", NO_COLOR="1")
    assert (code, ESCAPES.findall(text)) == (0, [])


@pytest.mark.parametrize(
    ("typed", "code", "state"),
    [("y\n", 0, "rolled back"), ("n\n", 130, "complete"), ("\n", 130, "complete"), ("\x03", 130, "complete")],
    ids=["yes", "no", "nothing", "ctrl-c"],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_rollback_asks_first(migrate: Migrate, project: Path, typed: str, code: int, state: str, lang: str) -> None:
    """On a terminal it says what would go back and asks; only `y` begins it, anything else, Ctrl-C at once, changes nothing."""
    assert migrate("run", "mapping.yaml").code == 0
    before = (project / "new.db").read_bytes()
    ended, text = on_a_terminal(project, 100, "rollback", "mapping.yaml", "--lang", lang, typed=typed)
    question = "take back run" if lang == "en" else "确认回退 bills"
    assert question in ESCAPES.sub("", text)
    assert ended == code, text
    if code != 0:
        assert (project / "new.db").read_bytes() == before
        assert "not agreed to: nothing was done" in text
    assert migrate("status", "mapping.yaml").out.startswith(f"bills  {state}  ")


def test_only_the_run_that_was_asked_about_is_taken_back(migrate: Migrate, project: Path) -> None:
    """Another run began while the question stood: exit 4, and its rows stay."""
    path = project / "mapping.yaml"
    assert migrate("run", "mapping.yaml").code == 0

    def run_another() -> None:
        path.write_text(path.read_text(encoding="utf-8").replace("<> 'gone'", "<> 'left'"), encoding="utf-8")
        assert migrate("run", "mapping.yaml", "--no-backup").code == 0

    code, text = on_a_terminal(project, 100, "rollback", "mapping.yaml", typed="y\n", meanwhile=run_another)
    assert (code, "is not the newest of bills" in ESCAPES.sub("", text)) == (4, True), text
    assert "complete" in migrate("status", "mapping.yaml").out
