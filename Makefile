# Everything a newcomer needs; each target sets up what it stands on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := build/setup.stamp
# `synth` and `images`: dev or prod.
STAGE ?= dev

.PHONY: setup demo test test-slow check bench synth parity images clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt $(wildcard functions/*/requirements.txt)
	@mkdir -p build; date +%s > build/setup.begin
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/npm install --prefix build/node --no-save --no-audit --no-fund --silent asl-validator@4.0.0 aws-cdk@2.1148.1
	$(BIN)/python -m infra.bundles
	@echo $$(( $$(date +%s) - $$(cat build/setup.begin) )) > $@

demo: setup
	$(BIN)/millrace demo

test: setup
	$(BIN)/python -m pytest

test-slow: setup
	$(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	for bench in tests/benchmarks/[a-z]*.py; do $(BIN)/python -m tests.benchmarks.$$(basename $$bench .py) || exit 1; done

# The templates of a stage by the CDK's own command line, into build/synth/<stage>. It needs no credentials: the account
# and the region are examples unless they are given (make synth STAGE=prod ACCOUNT=… REGION=…).
synth: ACCOUNT ?= 123456789012
synth: REGION ?= eu-west-1
synth: setup
	PATH="$(abspath $(BIN)):$$PATH" build/node/node_modules/.bin/cdk synth --quiet --output build/synth/$(STAGE) \
		-c stage=$(STAGE) -c account=$(ACCOUNT) -c region=$(REGION)

# What the local cloud does of what the templates of all stages hold, into PARITY.md.
parity: setup
	for stage in local dev prod; do $(MAKE) synth STAGE=$$stage || exit 1; done
	$(BIN)/python -m infra.local.ledger build/synth/local build/synth/dev build/synth/prod --write PARITY.md

# Needs docker with buildx and credentials of the account that holds the stage's platform stack.
images: setup
	$(BIN)/python -m infra.images --stage $(STAGE)

clean:
	rm -rf build cdk.out
