"""The tests: unit, contract, property, integration, faults, cli, docs and benchmarks, on real databases."""
