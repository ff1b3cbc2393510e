"""Databases and files behind one port: see `migrate.stores.port`."""
