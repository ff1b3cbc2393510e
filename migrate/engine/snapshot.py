"""Access to the source for the length of one attempt: one snapshot that all readers share, where the database can."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from migrate.engine.plan import Plan
from migrate.errors import EnvironmentFault, MigrateError
from migrate.stores.opening import open_source
from migrate.stores.port import AbstractSnapshot, SourceReader


class SourceAccess:
    """Opens readers in one snapshot. `begun_at` is the source's clock before the snapshot was taken.

    A snapshot dies with its connection: then a new one is begun, and what changed in between is catch-up's work, since catch-up starts from
    before the first read of the first attempt. A source that is read by physical place cannot change its snapshot.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._store = open_source(plan.source)
        self._lock = threading.Lock()
        reader = self._store.reader()
        try:
            self.begun_at = reader.now()
        finally:
            reader.close()
        self._snapshot: AbstractSnapshot = self._store.snapshot()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(MigrateError):
            self._snapshot.close()

    def open_reader(self) -> SourceReader:
        """A reader in the snapshot, or in a new one when that is gone."""
        with self._lock:
            try:
                return self._store.reader(self._snapshot)
            except EnvironmentFault:
                if not self._plan.resumable:
                    raise
                with suppress(MigrateError):
                    self._snapshot.close()
                self._snapshot = self._store.snapshot()
                return self._store.reader(self._snapshot)

    @contextmanager
    def border_reader(self) -> Iterator[SourceReader]:
        """A reader of its own for walking borders."""
        reader = self.open_reader()
        try:
            yield reader
        finally:
            reader.close()
