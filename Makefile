# Every target sets up all that it needs from nothing: .venv, packages, and Java.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-fast lint bench

setup: .venv/.ready
	@sh .ci/java

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pretrain,dev]'
	@touch $@

demo: setup
	$(BIN)/python -m jobs.demo_input --output demo-input
	$(BIN)/gristmill run configs/demo.yaml

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What needs no Spark: under 5 minutes.
test-fast: lint
	$(BIN)/pytest -m 'not spark'

test: lint
	$(BIN)/pytest

bench: setup
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done
