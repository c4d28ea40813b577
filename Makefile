PYTHON ?= python3
VENV ?= .venv
# For `make lock`: LOCK_OPTIONS=--upgrade takes newer versions, otherwise those in the lock stay.
LOCK_OPTIONS ?=
# For `make test`: how many examples properties are shown, plain or ci (tests/helpers/profiles.py).
PROFILE ?= plain
# For `make test`: draws the examples of the profile ci; without it others each time.
SEED ?=
# For `make cover`: percent of the lines that tests have to run.
COVERAGE ?= 95
# For `make soak`: the day that processes live while they are killed.
SOAK_HOMES ?= 1000
SOAK_KILLS ?= 200
# For `make bench`: those that are run.
BENCHMARKS ?= $(filter-out benchmarks/against.py,$(wildcard benchmarks/[a-z]*.py))
# For `make against`: another commit; OPTIONS=--rounds=5 runs both five times.
REF ?=
OPTIONS ?=

# Tests start some hundred processes, and each would compile all sources again.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
CORE := $(VENV)/core.stamp
DEV := $(VENV)/dev.stamp
NODE := contracts/node_modules/.package-lock.json
# A release is taken a week after it appears, when a bad one has usually been noticed.
LOCK := $(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --exclude-newer "7 days" --custom-compile-command "make lock" --quiet $(LOCK_OPTIONS)
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement
# The project's own files, in place; its back end is in the lock.
INSTALL_SELF := $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-contracts cover soak audit check bench against docs contracts firmware lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(CORE) ## Run a day of a village: trade, settle on its chain, prove a bill
	@$(BIN)/commonwatt demo

# A file's tests share their dear fixtures, so one process runs them, in the order of their rooms: the shortest come last.
# There is one process more than cores, because many tests wait for processes of their own.
SHARED := --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/pytest $(SHARED)

# The contracts' tests use one core for long, so they run beside the others.
test: $(DEV) ## Run all tests on all cores; those of the contracts when Node is there
	@mkdir -p build; contracts=; missing=$$(tools/services) || { echo "$$missing"; exit 1; }; \
	if node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; \
	then $(MAKE) --no-print-directory $(NODE) || exit 1; \
	$(MAKE) --no-print-directory test-contracts > build/contracts.log 2>&1 & contracts=$$!; \
	else echo "Node 20 or newer was not found: tests of the contracts and with Ethereum's tools are left out."; \
	[ -z "$$COMMONWATT_ALL_TESTS" ] || exit 1; fi; \
	$(PYTEST) --hypothesis-profile=$(PROFILE) $(if $(SEED),--hypothesis-seed=$(SEED)); python=$$?; \
	if [ -n "$$contracts" ]; then wait $$contracts || { cat build/contracts.log; exit 1; }; tail -n 2 build/contracts.log; fi; \
	[ -z "$$missing" ] || echo "$$missing"; exit $$python

test-contracts: $(NODE) ## Test the contracts with forge and compare the artifacts with a fresh compile
	node contracts/compile.mjs --check
	npm test --prefix contracts

# Half as long again as the tests alone.
cover: $(DEV) ## Measure which lines the tests run, and fail where they are too few
	@mkdir -p build
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(SHARED)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=$(COVERAGE)

soak: $(DEV) $(NODE) ## Test for longer, with other random examples each time
	FOUNDRY_PROFILE=soak npm test --prefix contracts
	COMMONWATT_SOAK=1 COMMONWATT_SOAK_HOMES=$(SOAK_HOMES) COMMONWATT_SOAK_KILLS=$(SOAK_KILLS) \
	$(PYTEST) --hypothesis-profile=soak

audit: $(NODE) ## Look for known weaknesses of the contracts with slither, which has to be installed
	rm -rf contracts/out contracts/cache
	cd contracts && npx forge build --build-info
	cd contracts && PATH="$$PWD/node_modules/.bin:$$PATH" slither . --ignore-compile --foundry-out-directory out \
	--exclude-dependencies --exclude-informational --exclude-optimization --exclude-low --filter-paths "node_modules|test"

check: $(DEV) ## Check style, types and the doors between the rooms
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## Measure this machine, one JSON per benchmark in benchmarks/results/
	@mkdir -p build
	@for script in $(BENCHMARKS); do \
	echo "$$script"; $(BIN)/python $$script > build/bench.json \
	&& mv build/bench.json benchmarks/results/$$(basename $$script .py).json || exit 1; done
	@for page in benchmarks/_*page.py; do $(BIN)/python $$page || exit 1; done

against: $(DEV) ## Measure this commit and another one in turns: make against REF=feefd37
	@[ -n "$(REF)" ] || { echo "Say against which commit: make against REF=feefd37"; exit 1; }
	@mkdir -p build
	$(BIN)/python benchmarks/against.py $(OPTIONS) $(REF) > build/against.json
	mv build/against.json benchmarks/results/against.json
	$(BIN)/python benchmarks/_page.py

docs: $(DEV) ## Build the documentation into site/ and run its examples
	$(BIN)/pytest tests/test_docs.py
	$(BIN)/zensical build --clean --strict

contracts: $(NODE) ## Compile the contracts into the package
	node contracts/compile.mjs

firmware: $(CORE) ## Put what is copied onto a meter into build/firmware
	$(BIN)/python tools/build_firmware.py

lock: $(DEV) ## Write requirements/ anew from pyproject.toml
	$(LOCK) --output-file requirements/core.txt
	$(LOCK) --extra test --extra check --extra docs --extra fast --extra live --extra node --extra pdf --extra solve --extra sunspec --constraint requirements/core.txt --output-file requirements/dev.txt

clean: ## Remove all that was made here
	rm -rf $(VENV) build commonwatt-demo dist site contracts/node_modules contracts/out contracts/cache
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Commonwatt needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)."; \
	echo "Name another one: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# pip itself skips what is installed, so a changed lock costs only its changes.
$(CORE): requirements/core.txt pyproject.toml | $(BIN)/python
	@echo "Installing Commonwatt into $(VENV): about 50 packages, once"
	@$(INSTALL) requirements/core.txt
	@$(INSTALL_SELF)
	@touch $@

$(DEV): requirements/dev.txt $(CORE)
	@echo "Installing the tools for tests, checks and documentation into $(VENV)"
	@$(INSTALL) requirements/dev.txt
	@touch $@

$(NODE): contracts/package-lock.json
	npm ci --prefix contracts
	@touch $@
