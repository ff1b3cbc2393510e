"""The run of a migration: plan, batches, transform, run loop, limits, progress events."""
