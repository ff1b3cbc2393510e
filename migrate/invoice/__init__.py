"""The canonical invoice tables: their shape on each database, and how they come to be."""

from migrate.invoice.apply import DIALECTS, apply_schema, ddl, differences
from migrate.invoice.schema import METADATA

__all__ = ["DIALECTS", "METADATA", "apply_schema", "ddl", "differences"]
