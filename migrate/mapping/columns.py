"""Questions about the columns and keys of a shape."""

from __future__ import annotations

from migrate.values import Column, TableShape


def find_column(shape: TableShape, name: str) -> Column | None:
    """The column of that name, without regard to case where that is unambiguous."""
    if name in shape.names:
        return shape.column(name)
    folded = [column for column in shape.columns if column.name.lower() == name.lower()]
    return folded[0] if len(folded) == 1 else None


def natural_key(source: TableShape) -> tuple[str, ...]:
    """The primary key, or else the number of the row where rows have one."""
    if source.primary_key or not source.positional:
        return source.primary_key
    return next((key.columns for key in source.unique_keys), ())


def is_unique(source: TableShape, columns: tuple[str, ...]) -> bool:
    """Do these columns tell every two rows apart: do they contain a unique key without NULLs?"""
    required = {column.name for column in source.columns if not column.nullable}
    return any(set(key.columns) <= set(columns) and set(key.columns) <= required for key in source.unique_keys)
