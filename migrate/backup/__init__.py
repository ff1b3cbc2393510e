"""The target tables within a mapping's scope as files: made, restore-tested, and put back. Nothing here reads the source."""
