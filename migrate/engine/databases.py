"""Which databases a mapping speaks of, its URLs replaced by those of the command line, and their stores while they are looked at."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from migrate.engine.lookups import lookup_shapes
from migrate.engine.options import RunOptions
from migrate.errors import InputError
from migrate.mapping.model import Mapping
from migrate.stores.opening import open_present_target, open_source
from migrate.stores.port import SourceStore, TargetStore
from migrate.stores.urls import expand, redacted
from migrate.values import SourceSpec, TableShape


@dataclass(frozen=True, slots=True)
class Databases:
    """The two sides of a mapping, and what they say about its tables; `target_shapes` and `lookup_shapes` have those that exist.

    `spec` and `target_url` may hold secrets and are not shown.
    """

    spec: SourceSpec = field(repr=False)
    target_url: str = field(repr=False)
    source: SourceStore
    target: TargetStore
    target_shapes: AbstractMapping[str, TableShape]
    lookup_shapes: AbstractMapping[str, TableShape]


@contextlib.contextmanager
def databases_of(mapping: Mapping, options: RunOptions) -> Iterator[Databases]:
    """Look at the tables of both sides. Raises InputError without a URL or table, EnvironmentFault where one is out of reach."""
    spec, target_url = source_spec_of(mapping, options), target_url_of(mapping, options)
    with _place(mapping, "source.url", options.source):
        source = open_source(spec)
    with _place(mapping, "target.url", options.target):
        tables = f"see the tables that a new file needs: migrate plan {shlex.quote(str(mapping.path))} --ddl"
        target = open_present_target(target_url, options.ledger_schema, tables)
    try:
        shapes = {each.table: shape for each in mapping.targets if (shape := target.describe(each.table)) is not None}
        yield Databases(spec, target_url, source, target, shapes, lookup_shapes(mapping, spec.url, target))
    finally:
        target.close()


@contextlib.contextmanager
def _place(mapping: Mapping, path: str, replaced_by: str | None) -> Iterator[None]:
    """Where the URL stands, for an error that does not know it; `replaced_by` is the one of the command line."""
    try:
        yield
    except InputError as error:
        if error.where is None and replaced_by is None:
            error.where = f"{mapping.path}:{mapping.line_of(path)} → {path}"
        raise


def source_spec_of(mapping: Mapping, options: RunOptions) -> SourceSpec:
    """Where this run's source is; InputError when nothing names it. Variables in its URL are left to the store, which quotes them."""
    return replace(_whole_source(mapping, options), sample=options.samples.get(mapping.name))


def _whole_source(mapping: Mapping, options: RunOptions) -> SourceSpec:
    if mapping.source.files is not None:
        files = str(mapping.path.parent / expand(mapping.source.files))
        return SourceSpec(
            None, files=files, format=mapping.source.format, options=_options(mapping), key=mapping.source.key or ()
        )
    url = options.source or mapping.source.url
    if url is None:
        raise InputError(
            f"{mapping.path} names no source database",
            where="source.url",
            next_step="write `url:` into the mapping, or give --source URL",
        )
    return mapping.source_spec(url)


def _options(mapping: Mapping) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(mapping.source.options.items()))


def target_url_of(mapping: Mapping, options: RunOptions) -> str:
    """The URL of this run's target, variables left to the store; InputError when nothing names it."""
    url = options.target or mapping.target.url
    if url is None:
        raise InputError(
            f"{mapping.path} names no target database",
            where="target.url",
            next_step="write `url:` into the mapping, or give --target URL",
        )
    return url


def as_typed(path: Path, options: RunOptions) -> str:
    """What follows a command, so that it means the same mapping, target and ledger as this one: for a next step that can be pasted.

    A password is hidden in it, as everywhere.
    """
    words = [str(path)]
    if options.target is not None:
        words += ["--target", redacted(options.target)]
    if options.ledger_schema is not None:
        words += ["--ledger-schema", options.ledger_schema]
    return shlex.join(words)
