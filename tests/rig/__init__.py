"""Drives the engine's own parts from outside, so that a test decides what happens when."""
