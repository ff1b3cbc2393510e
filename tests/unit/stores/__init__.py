"""Tests of the stores' modules."""
