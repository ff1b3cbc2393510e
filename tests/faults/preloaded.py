"""What the server loads that processes of runs are forked from: everything that a run, a rollback or a restore comes to need."""

import atexit
import gc
import importlib

import adbc_driver_postgresql.dbapi  # noqa: F401 - loaded, which is all that is wanted; so are the next ones
import psycopg  # noqa: F401
import pymysql  # noqa: F401
import sqlglot.dialects.sqlite  # noqa: F401

import migrate.backup.opened
import migrate.backup.restore
import migrate.cli.signals
import migrate.engine.run
import migrate.engine.steer
import migrate.rollback.rollback  # noqa: F401
import tests.faults.injection  # noqa: F401
from migrate.stores import opening

for _name in opening._MODULES.values():
    importlib.import_module(_name)
# Else the first collection of each process would write to every page of what is loaded, and so copy it.
gc.freeze()
# At its end the server itself is taken apart as ever.
atexit.register(gc.unfreeze)
