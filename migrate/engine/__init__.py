"""The run of a migration: plan, batches, transform, run loop, limits, progress events."""

from migrate.engine.doctor import Inspection, doctor
from migrate.engine.options import RunOptions
from migrate.engine.plan import Plan, plan_run
from migrate.engine.rejects import rejects_export, rejects_list, rejects_show
from migrate.engine.replay import Replayed, rejects_replay
from migrate.engine.run import run
from migrate.engine.samples import Sample, sample
from migrate.engine.steer import ledger_show, ledger_verify, pause, resume, status, throttle
from migrate.engine.stop import StopToken
from migrate.engine.summary import RunSummary

__all__ = [
    "Inspection",
    "Plan",
    "Replayed",
    "RunOptions",
    "RunSummary",
    "Sample",
    "StopToken",
    "doctor",
    "ledger_show",
    "ledger_verify",
    "pause",
    "plan_run",
    "rejects_export",
    "rejects_list",
    "rejects_replay",
    "rejects_show",
    "resume",
    "run",
    "sample",
    "status",
    "throttle",
]
