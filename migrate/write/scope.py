"""Which stored rows a mapping answers for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from migrate.mapping.duck import connect_briefly


def rows_in_scope(stored: pa.Table, scope_sql: str | None) -> pa.Array:
    """For each row whether the mapping answers for it; NULL counts as no. `scope_sql` None is the whole table."""
    if scope_sql is None:
        return pa.array(np.ones(stored.num_rows, dtype=np.bool_))
    with connect_briefly() as connection:
        connection.register("stored", stored)
        found = connection.sql(f"select coalesce(({scope_sql}), false) as inside from stored").to_arrow_table()
        return found["inside"].combine_chunks()
