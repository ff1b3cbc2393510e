"""Opens the store that a URL or path names; the only place that knows which module serves which database.

A module that serves a dialect has two functions, `open_source(spec)` and `open_target(url, ledger_schema)`, with the types below.
Modules are imported when they are needed, so that a missing driver of one database never disturbs another.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, cast

from migrate.errors import InputError, UnknownTable
from migrate.stores.names import nearest_table
from migrate.stores.port import SourceStore, TargetStore
from migrate.stores.sampled import SampledSource
from migrate.stores.urls import dialect_of, parse_url, sqlite_path
from migrate.values import SourceSpec

_MODULES: Final = {
    "postgresql": "migrate.stores.postgres",
    "mariadb": "migrate.stores.mariadb",
    "sqlite": "migrate.stores.sqlite",
}
_ANY_DIALECT: Final = "migrate.stores.generic"
_FILES: Final = "migrate.stores.files"


def open_source(spec: SourceSpec) -> SourceStore:
    """The source that `spec` names, with its shape read; of a sample its rows only.

    Raises:
        InputError: not exactly one of table, query, files; no such table or file; a query without a key.
        EnvironmentFault: the database cannot be reached.
    """
    if sum(part is not None for part in (spec.table, spec.query, spec.files)) != 1:
        raise InputError("a source is exactly one of table, query, files")
    whole = _whole_source(spec)
    return whole if spec.sample is None else SampledSource(whole, spec.sample)


def _whole_source(spec: SourceSpec) -> SourceStore:
    if spec.files is not None:
        return cast("SourceStore", _module(_FILES).open_source(spec))
    if spec.url is None:
        raise InputError("the source has no url", next_step="give `url:` in the mapping, or --source URL")
    try:
        return cast("SourceStore", _serving(spec.url).open_source(spec))
    except UnknownTable as error:
        error.next_step = nearest_table(parse_url(spec.url), error.table) or error.next_step
        raise


def open_target(url: str, ledger_schema: str | None = None) -> TargetStore:
    """The target database at `url`, which keeps `ledger_schema` as its attribute (None: the connection's default schema).

    Connections are made when they are asked for, so a database that is out of
    reach shows itself as EnvironmentFault at the first use.

    Raises:
        InputError: the URL cannot be meant, or its driver is not installed.
    """
    return cast("TargetStore", _serving(url).open_target(url, ledger_schema))


def open_present_target(url: str, ledger_schema: str | None = None, following: str | None = None) -> TargetStore:
    """As `open_target`, for who expects something there: a SQLite file that is not there is told, and not made.

    `following`: what to do then besides looking at the URL.

    Raises:
        InputError: as `open_target`, and for that file.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed) if dialect_of(parsed) == "sqlite" else None
    if path is not None and not path.is_file():
        steps = ", or ".join(filter(None, ["check the target URL (--target)", following]))
        raise InputError(f"no file {path}", where="target → url", next_step=steps)
    return open_target(url, ledger_schema)


def _serving(url: str) -> Any:
    return _module(_MODULES.get(dialect_of(parse_url(url)), _ANY_DIALECT))


def _module(name: str) -> Any:
    return importlib.import_module(name)
