# Everything a newcomer needs; each target sets up what it stands on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := build/setup.stamp

.PHONY: setup demo test check bench images clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(wildcard functions/*/requirements.txt)
	@mkdir -p build; date +%s > build/setup.begin
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/npm install --prefix build/node --no-save --no-audit --no-fund --silent asl-validator@4.0.0
	$(BIN)/python -m infra.bundles
	@echo $$(( $$(date +%s) - $$(cat build/setup.begin) )) > $@

demo: setup
	$(BIN)/millrace demo

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	for bench in tests/benchmarks/[a-z]*.py; do $(BIN)/python -m tests.benchmarks.$$(basename $$bench .py) || exit 1; done

clean:
	rm -rf build cdk.out
