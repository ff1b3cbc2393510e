# Every target does its own set-up: a machine with Python >= 3.11 and make needs nothing else.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
JOBS ?= 2
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
CODE := $(wildcard migrate fixtures loadtest) tests

.DEFAULT_GOAL := help
.PHONY: help setup services demo test check docs bench torture lock clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY) ## virtual environment in .venv with the pinned dependencies

# The stamp is younger than the requirement files as long as they did not change.
# Compat mode puts the checkout itself on the path, so that a new package in it is found without another set-up.
$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found; install it, or name it: make setup PYTHON=/path/to/python" >&2; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { .ci/apt python3-venv && $(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--config-settings editable_mode=compat -e .
	@touch $(READY)

services: ## MariaDB for the tests (through apt, as root)
	@.ci/services

demo: setup ## the whole story on SQLite: plan, run, kill -9 half-way, run again, verify, certify, counts that add up
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash docs/demo.sh

test: setup services ## all tests, on real databases (a tenth of the fault campaigns)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --ignore=tests/benchmarks

check: setup services ## what CI runs: format, lint, types, tests, documents
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --ignore=tests/benchmarks

docs: setup ## write the generated documents anew
	$(BIN)/python -m tests.docs.generated

bench: setup services ## the yardsticks beside the toolkit, and their ratios
	$(BIN)/python -m pytest tests/benchmarks -p no:xdist -s --timeout=0

torture: setup services ## the fault campaigns at full length
	$(BIN)/python -m pytest -m campaign --torture -n $(JOBS) --dist worksteal --ignore=tests/benchmarks

lock: setup ## compile requirements*.txt anew from requirements*.in (UPGRADE=1: to the newest versions)
	$(LOCK) $(if $(UPGRADE),--upgrade) requirements-dev.in -o requirements-dev.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) -c requirements-dev.txt requirements.in -o requirements.txt

clean: ## remove what the other targets made, but not .venv
	rm -rf build demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks *.egg-info
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
