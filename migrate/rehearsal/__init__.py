"""Rehearse a migration on a copy of its target, and keep what it took as evidence."""
