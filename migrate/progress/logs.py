"""Where log records go and how they look: text or one JSON object per line, to a file, to stderr, or both."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from migrate.errors import InputError

LogFormat = Literal["text", "json"]


class TextLines(logging.Formatter):
    """`2026-11-24T10:15:00+08:00 INFO legacy_vat: …`, in local time with its offset."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's signature
        """The record's time, ISO 8601 to the second."""
        return datetime.fromtimestamp(record.created, tz=UTC).astimezone().isoformat(timespec="seconds")


class JsonLines(logging.Formatter):
    """One JSON object per record: time, level, message, and the figures that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        document: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "figures", {}),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)


class OnConsole(logging.Handler):
    """Shows warnings and errors on a terminal, above a live display if there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        style = "red" if record.levelno >= logging.ERROR else "yellow"
        self._console.print(Text.assemble((f"{record.levelname.lower()}: ", style), record.getMessage()))


def start_logging(console: Console, file: Path | None, log_format: LogFormat, level: str) -> None:
    """Send the toolkit's records, and Python's warnings, to `file` and to stderr.

    On a terminal stderr gets warnings only, since the live display shows the rest.

    Raises:
        InputError: the file cannot be written.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    logging.captureWarnings(capture=True)
    wanted = getattr(logging, level.upper())
    root.setLevel(logging.WARNING)
    logging.getLogger("migrate").setLevel(wanted)
    if file is not None:
        _add(root, _opened(file), log_format, wanted)
    if console.is_terminal:
        _add(root, OnConsole(console), "text", max(wanted, logging.WARNING))
    else:
        _add(root, logging.StreamHandler(sys.stderr), log_format, wanted)


def _add(root: logging.Logger, handler: logging.Handler, log_format: LogFormat, level: int) -> None:
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    handler.setLevel(level)
    root.addHandler(handler)


def _opened(file: Path) -> logging.Handler:
    try:
        return logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        raise InputError(f"the log file cannot be written: {error.strerror}", where=str(file)) from error
