"""Access to the ledger of one target database for small statements outside of batch transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from migrate.errors import DataError, EnvironmentFault, StateError, TransientFault
from migrate.ledger.clock import clock_ms
from migrate.ledger.tables import LedgerTables, ledger_tables
from migrate.stores.port import TargetStore


class Ledger:
    """The ledger tables of one target, and how to reach them.

    Every write is one statement that names the state it expects (compare and set), so that it is atomic in every database
    and a lost race is seen as zero rows.
    """

    def __init__(self, store: TargetStore, schema: str | None = None) -> None:
        self.store = store
        self.tables: LedgerTables = ledger_tables(schema)
        self.clock = clock_ms(store.dialect)

    def create(self) -> None:
        """Create the tables and indexes that are missing; safe when several processes do it at once, and when one was killed at it."""
        with self._faults("create the ledger tables"):
            for table in self.tables.metadata.sorted_tables:
                self._create_if_missing(table)
                for index in table.indexes:
                    # MariaDB commits each by itself, so that a table can be there without its index.
                    self._create_if_missing(index)

    def _create_if_missing(self, what: sa.Table | sa.Index) -> None:
        try:
            what.create(self.store.engine(), checkfirst=True)
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.OperationalError):
            # Somebody else created it between our look and our CREATE: look again, and let a real error show itself.
            what.create(self.store.engine(), checkfirst=True)

    def exists(self) -> bool:
        """True when this database has a ledger: not while its first run still makes the tables, or was killed at that."""
        last_made = self.tables.seal.name
        with self._faults("look for the ledger tables"):
            return sa.inspect(self.store.engine()).has_table(last_made, schema=self.tables.metadata.schema)

    def require(self) -> None:
        """Raise StateError unless this database has a ledger."""
        if not self.exists():
            schema = self.tables.metadata.schema
            where = "this database" if schema is None else f"schema {schema} of this database"
            raise StateError(
                f"there is no ledger in {where}: nothing was ever run into it",
                next_step="check the target URL (--target) and the ledger's schema (--ledger-schema), or begin with `migrate run`",
            )

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for queries."""
        with self._faults("read the ledger"), self.store.engine().connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection whose work is committed at the end of the block, or rolled back by an error."""
        with self._faults("write the ledger"), self.store.engine().begin() as connection:
            yield connection

    def insert_if_new(self, insert: sa.Insert) -> bool:
        """Run and commit one INSERT; False, with nothing written, when its key is there already."""
        try:
            with self.writing() as connection:
                connection.execute(insert)
        except EnvironmentFault as fault:
            if isinstance(fault.__cause__, sa.exc.IntegrityError):
                return False
            raise
        return True

    @contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            raise DataError(
                f"could not {what}: it holds bytes that are no text, and the toolkit never wrote any",
                next_step="find out who changed it: look for them with the database's own tools",
            ) from error
        except sa.exc.OperationalError as error:
            raise TransientFault(
                f"could not {what}: {_first_line(error)}", next_step="run the same command again"
            ) from error
        except sa.exc.ProgrammingError as error:
            raise EnvironmentFault(
                f"could not {what}: {_first_line(error)}",
                next_step="check the privileges of the database user, and that the ledger is of this version",
            ) from error
        except sa.exc.DBAPIError as error:
            raise EnvironmentFault(f"could not {what}: {_first_line(error)}") from error


def _first_line(error: sa.exc.DBAPIError) -> str:
    # Driver texts carry the whole statement with its parameters behind the first line; pymysql's are a number and a text.
    arguments: tuple[object, ...] = getattr(error.orig, "args", ())
    text = arguments[1] if len(arguments) > 1 and isinstance(arguments[0], int) else error.orig
    return str(text).strip().split("\n", 1)[0]
