"""Verification: both sides enumerated anew, the mapping replayed, compared down to row, column and cause.

It shares no cursor, range, count or reject list with the engine, and says NOT_VERIFIED, never EQUAL, where it could not look.
"""
