"""Benchmarks: the yardsticks beside the toolkit, and their ratios."""
