"""`migrate init`: a first mapping from two schemas."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from migrate.cli.options import FILE, Command, with_screen
from migrate.cli.screen import Screen
from migrate.errors import EnvironmentFault, InputError, UnknownTable

if TYPE_CHECKING:
    from migrate.values import TableShape


@click.command(
    cls=Command,
    example="migrate init --source sqlite:///old.db --table bill --target sqlite:///new.db --into paid -o first.yaml",
)
@click.option("--source", metavar="URL", help="Source database.")
@click.option("--table", metavar="T", help="Source table or view.")
@click.option("--files", metavar="PATH", help="Source files (a file, folder or glob) instead of a database.")
@click.option("--target", required=True, metavar="URL", help="Target database.")
@click.option("--into", required=True, metavar="U", help="Target table.")
@click.option("-o", "--out", type=FILE, metavar="FILE", help="File to write (default: stdout); never overwrites one.")
@with_screen
def init(screen: Screen, *, out: Path | None, target: str, into: str, **source: str | None) -> int:
    """Write a first mapping from both schemas; unsure fields are marked."""
    from migrate.mapping.draft import FILL_IN, Draft, draft_mapping

    shape, from_shape = _target(target, into), _source(**source)
    kind = "table" if source["files"] is None else "files"
    urls = [
        _without_password(screen, url, name) for url, name in ((source["source"], "SOURCE_URL"), (target, "TARGET_URL"))
    ]
    name = _name(source["table"] or into)
    if kind == "files":
        from_shape = replace(from_shape, name=_seen_from(out, from_shape.name))
    text = draft_mapping(from_shape, shape, Draft(name, urls[0], urls[1], kind))  # type: ignore[arg-type]
    marked = sum("# unsure" in line or FILL_IN in line for line in text.splitlines() if not line.startswith("#"))
    document = {"mapping": name, "text": text, "marked": marked, "file": None if out is None else str(out)}
    if out is None:
        if screen.settings.as_json:
            screen.result(document)
        else:
            screen.text(text)
    else:
        _write(out, text)
        screen.lines(
            document, Text(screen.say("init_written", file=out)), Text(screen.say("init_marked", count=marked))
        )
    return 0


def _source(source: str | None, table: str | None, files: str | None) -> TableShape:
    from migrate.stores.opening import open_source
    from migrate.stores.urls import expand
    from migrate.values import SourceSpec

    if (files is None) == (source is None or table is None):
        raise InputError(
            "a source is a database and a table, or files", next_step="give --source URL --table T, or --files PATH"
        )
    if files is not None:
        return open_source(SourceSpec(None, files=expand(files))).shape
    return open_source(SourceSpec(source, table=table)).shape


def _seen_from(out: Path | None, files: str) -> str:
    """The path of files as the mapping file has to name it, relative to its own folder."""
    if out is None or Path(files).is_absolute():
        return files
    return Path(os.path.relpath(files, out.parent)).as_posix()


def _target(url: str, table: str) -> TableShape:
    from migrate.stores.names import nearest_table
    from migrate.stores.opening import open_present_target
    from migrate.stores.urls import parse_url, redacted

    store = open_present_target(url)
    try:
        shape = store.describe(table)
    finally:
        store.close()
    if shape is None:
        near = nearest_table(parse_url(url), table)
        create = "create it first, or see the invoice tables: migrate schema apply"
        raise UnknownTable(table, where=redacted(url), next_step=f"{near} or {create}" if near else create)
    return shape


def _without_password(screen: Screen, url: str | None, variable: str) -> str:
    """The URL for the file; one with a password in it becomes an environment variable."""
    from migrate.stores.urls import redacted

    if url is None:
        return ""
    if "***" not in redacted(url) or "${" in url:
        return url
    screen.note(screen.say("init_password", variable=variable))
    return f"${{{variable}}}"


def _name(table: str) -> str:
    """A name of a mapping, from that of a table."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", table).strip("_")[:60]
    return name if name[:1].isalpha() else f"m_{name}".rstrip("_")


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise InputError(
            "the file exists", where=str(file), next_step="choose another name with -o, or remove it first"
        ) from error
    except OSError as error:
        raise EnvironmentFault(f"the file cannot be written: {error.strerror}", where=str(file)) from error
