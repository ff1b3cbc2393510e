"""A log tells the story of a run in few lines, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from migrate.engine.events import BatchDone, Event, Notice, PhaseStarted, RunEnded, RunStarted, Waiting
from migrate.errors import InputError
from migrate.ledger.counts import Counts
from migrate.progress.lines import LogLines
from migrate.progress.logs import JsonLines, start_logging


class Clock:
    """A clock that stands where it was set."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def batch(number: int, rows: int) -> BatchDone:
    """A batch of so many rows."""
    return BatchDone("m", "r", number, Counts(read=rows, mapped=rows - 1, rejected=1), 0.5, 1)


STORY: list[tuple[float, Event]] = [
    (0, RunStarted("m", "r", True, 100000, Counts(read=40))),
    (4, batch(1, 4000)),
    (5, Waiting("m", "throttled to 500 rows/s", 1)),
    (8, Waiting("m", "throttled to 500 rows/s", 1)),
    (10, batch(2, 6000)),
    (11, batch(3, 1000)),
    (12, Notice("m", "warning", "lookup kinds changed")),
    (13, PhaseStarted("m", "settle")),
    (14, RunEnded("m", "r", "paused", Counts(read=11040, mapped=11037, rejected=3), 14, "1 % rejects")),
]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The records of the story, the debug ones too."""
    caplog.set_level(logging.DEBUG, "migrate")
    clock = Clock()
    listen = LogLines(clock)
    for now, event in STORY:
        clock.now = now
        listen(event)
    return caplog.records


def test_a_line_per_interval_and_turn(told: list[logging.LogRecord]) -> None:
    """At level info: begin, figures every ten seconds, a wait once, notices, phases and the end with its reason."""
    assert [record.getMessage() for record in told if record.levelno > logging.DEBUG] == [
        "m: run r resumed, about 100,000 rows, 40 rows were done before",
        "m: waiting: throttled to 500 rows/s",
        "m: 10,040 read, 9,998 mapped, 2 rejected, 1,000 rows/s, 1 min 30 s left",
        "m: lookup kinds changed",
        "m: phase settle",
        "m: run r paused (1 % rejects): 11,040 read, 11,037 mapped, 3 rejected, 14 s",
    ]


def test_each_batch_is_a_debug_line(told: list[logging.LogRecord]) -> None:
    """At level debug every batch is told."""
    assert [record.getMessage() for record in told if "batch" in record.getMessage()] == [
        "m: batch 1: 4,000 read, 3,999 mapped, 1 rejected, 0.5 s",
        "m: batch 2: 6,000 read, 5,999 mapped, 1 rejected, 0.5 s",
        "m: batch 3: 1,000 read, 999 mapped, 1 rejected, 0.5 s",
    ]


def test_json_lines_carry_the_figures(told: list[logging.LogRecord]) -> None:
    """A machine reads counts, rate and time left from fields, not from prose."""
    figures = json.loads(JsonLines().format(next(record for record in told if "left" in record.getMessage())))
    assert figures["level"] == "info"
    assert (figures["mapping"], figures["rows_per_second"], figures["seconds_left"]) == ("m", 1000, 90)
    assert figures["rows"] == {"read": 10040, "mapped": 9998, "filtered": 0, "rejected": 2, "pending": 0}


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """The process's logging as it was."""
    root, product = logging.getLogger(), logging.getLogger("migrate")
    before = (list(root.handlers), root.level, product.level)
    yield
    logging.captureWarnings(capture=False)
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers[:], root.level = before[0], before[1]
    product.setLevel(before[2])


@pytest.mark.usefixtures("logging_restored")
def test_a_log_file_gets_what_its_level_lets_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file holds JSON lines down to the level, and is appended to."""
    path = tmp_path / "run.log"
    path.write_text("before\n")
    start_logging(Console(file=sys.stderr), path, "json", "warning")
    logging.getLogger("migrate.run").warning("发票 %s", 1)
    logging.getLogger("migrate.run").info("not this")
    before, line = path.read_text(encoding="utf-8").splitlines()
    assert before == "before"
    assert json.loads(line)["message"] == "发票 1"
    assert json.loads(capsys.readouterr().err)["message"] == "发票 1"


@pytest.mark.usefixtures("logging_restored")
def test_a_log_file_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    """Nothing begins without the log that was asked for."""
    with pytest.raises(InputError, match="cannot be written"):
        start_logging(Console(file=sys.stderr), tmp_path / "no" / "run.log", "text", "info")
