"""Row encoding CRE/1 and the digests over it: one definition (`encoding`), one fast way to compute it (`vectorised`).

Nothing is exported here on purpose: `encoding`, `contract` and `set_digest` are light, while `vectorised` loads polars,
which a command that only prints a digest need not wait for.
"""
