"""Fault tests: real processes are killed, stopped and cut off in the middle of a run, which must then end as if nothing had been."""
