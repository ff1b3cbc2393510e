"""DDL of the target tables that a mapping writes and the database does not have: a proposal for a person to read and run.

The canonical invoice tables come as they are. Of any other table no more is known than the mapping says: a field's `type`, else that
of the source column it is copied from, else text, with a comment that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from migrate.invoice import METADATA, ddl, ddl_of
from migrate.invoice.types import MARIADB, decimal, moment
from migrate.values import LogicalType, TableShape

if TYPE_CHECKING:
    from migrate.engine.options import RunOptions
    from migrate.mapping.model import FieldSpec, Mapping, TargetTable

_KEY_LENGTH = 255


def missing_tables(mappings: Sequence[Path], options: RunOptions) -> dict[str, str]:
    """Statements by name of the missing table, in the order of the mappings; reads both databases, writes nothing.

    Raises:
        InputError: a mapping that cannot be read, or names no database.
        EnvironmentFault: a database is out of reach.
    """
    from migrate.engine.plan import source_spec, target_url
    from migrate.mapping.reader import read_mapping
    from migrate.stores.opening import open_source, open_target

    found: dict[str, str] = {}
    for path in mappings:
        mapping = read_mapping(path)
        store = open_target(target_url(mapping, options), options.ledger_schema)
        try:
            missing = [target for target in mapping.targets if store.describe(target.table) is None]
            if missing:
                source = open_source(source_spec(mapping, options)).shape
                dialect = store.engine().dialect.name
                found.update({target.table: _statement(target, source, dialect) for target in missing})
        finally:
            store.close()
    return found
