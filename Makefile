# `make demo` and `make test` do all the set-up themselves: they need Python 3.11 or later, make and a package index.
# PYTHON chooses the interpreter:  make test PYTHON=/opt/python3.12/bin/python3
# PEER_PYTHON names one for engines in `make bench-peers` that need a newer Python than it finds.

.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
# What the installed packages depend on. The package itself is editable: a change in src needs no new installation.
PINS := pyproject.toml constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The first candidate that runs and is new enough; empty if there is none. Nothing is started before a target asks for it.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 && { echo "$$p"; break; }; done; true)

.PHONY: help
help: ## Show the targets
	@awk 'BEGIN {FS = ": .*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z\\:-]+: .*## / {gsub(/\\/, "", $$1); printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use
.PHONY: demo
demo: $(RUNTIME) ## Set up, run a real backtest on real prices and write its report
	$(BIN)/fairlead demo

# What the signal factory takes if nothing is named: a year of synthetic minutes.
CONFIG ?= configs/factory_insidebar.yaml
DATA ?= $(CONFIG)
IS_FILE = $(filter %.yaml %.yml %.json,$(DATA))

.PHONY: data-validate
data-validate: $(RUNTIME) ## Check bars by contract and service level: DATA=dataset, or a factory's configuration
	$(BIN)/fairlead $(if $(IS_FILE),factory,data) check $(DATA)

.PHONY: data\:validate
data\:validate: data-validate ## The same as data-validate

.PHONY: bt-run
bt-run: $(RUNTIME) ## Run CONFIG=file: a factory from minutes to trades, or a backtest
	$(BIN)/fairlead $(if $(shell grep -s '^mode:' "$(CONFIG)"),backtest,factory run) $(CONFIG)

.PHONY: bt\:run
bt\:run: bt-run ## The same as bt-run

.PHONY: bench
bench: $(RUNTIME) ## Measure the speed of the engine on this machine
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/wide.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/factory.py
	$(BIN)/python benchmarks/telemetry.py
	$(BIN)/python benchmarks/journal.py

.PHONY: bench-brokers
bench-brokers: $(DEV) ## Offer orders to the brokers to practise on: latency of our side, round trip, 50 a second
	$(BIN)/python benchmarks/brokers.py

# SOAK=--compressed lets a day of one update a second pass in two and a half hours.
SOAK ?= --minutes 30
.PHONY: soak
soak: $(RUNTIME) ## Let a paper session run for half an hour on 200 symbols, and see that it stays as it began
	$(BIN)/python benchmarks/soak.py --write soak $(SOAK)

.PHONY: bench-peers
bench-peers: $(RUNTIME) ## Measure Fairlead beside eight other engines: installs each in .parity/, compares, then times
	PYTHONPATH=tests $(BIN)/python benchmarks/compare.py --write $(addprefix --python ,$(PEER_PYTHON))

##@ Develop
.PHONY: setup
setup: $(DEV) ## Create .venv with everything that development needs

.PHONY: test
test: lint types $(DEV) ## Set up, then lint, types, layers and every test with the coverage floor
	$(BIN)/pytest -n 2 --dist loadgroup --cov --cov-report=term

# Alone, without the rest of the tests: what a desk runs before it moves a limit.
.PHONY: risk-test
risk-test: $(DEV) ## Run the guards and the order validator against simulated breaches
	$(BIN)/pytest -q $(sort $(wildcard tests/*/test_guard*.py tests/*/test_risk*.py) tests/unit/test_pretrade.py)

.PHONY: risk\:test
risk\:test: risk-test ## The same, under the name that others give it

.PHONY: search
search: $(DEV) ## Look for inputs that break a property: new ones each time, a thousand for each that names no number
	FAIRLEAD_EXAMPLES=search $(BIN)/pytest -q --no-cov -n 2 --dist loadgroup tests/property tests/metamorphic

.PHONY: deaths
deaths: $(DEV) ## Kill a thousand paper sessions, up to five times each, and see that each ends as it would have
	FAIRLEAD_DEATH_RUNS=1000 $(BIN)/pytest -q --no-cov tests/integration/test_paper_deaths.py

.PHONY: live-deaths
live-deaths: $(DEV) ## Kill two hundred live sessions at each broker, and the broker's server too, and see that both sides agree
	FAIRLEAD_LIVE_DEATH_RUNS=200 $(BIN)/pytest -q --no-cov tests/integration/test_live_deaths.py

.PHONY: parity
parity: $(RUNTIME) ## Ask six other engines the same questions: installs each in .parity/, compares, writes the page
	PYTHONPATH=tests $(BIN)/python -m parity.run

.PHONY: lint
lint: $(DEV) ## Style, formatting and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: types
types: $(DEV) ## Type-check src in strict mode
	$(BIN)/mypy

.PHONY: format
format: $(DEV) ## Format, and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(DEV) ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: build
build: $(DEV) ## Build the wheel and the source archive into dist/
	rm -rf dist
	$(BIN)/python -m build

##@ Tidy
.PHONY: clean
clean: ## Remove build outputs and caches; keeps .venv and artifacts
	rm -rf build dist site .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## As clean, and remove the environments .venv and .parity too
	rm -rf $(VENV) .parity

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "error: Fairlead needs Python 3.11 or later and found none." \
		"Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c '$(IS_NEW_ENOUGH)' || { echo "error: PYTHON=$(PYTHON) must be Python 3.11 or later," \
		"was '$$("$(PYTHON)" --version 2>&1 || true)'." >&2; exit 1; }
	@rm -rf $(VENV)
	@echo "Creating $(VENV) with $(PYTHON) ..."
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "error: '$(PYTHON) -m venv' failed." \
		"On Debian and Ubuntu it needs the package python3-venv." >&2; exit 1; }

$(RUNTIME): $(PINS) | $(BIN)/python
	@echo "Installing Fairlead and its dependencies into $(VENV) (once; takes a minute or two) ..."
	@$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(DEV): $(PINS) | $(BIN)/python
	@echo "Installing Fairlead, its dependencies and the development tools into $(VENV) (once; takes a minute or two) ..."
	@$(PIP) install --quiet -c constraints.txt -e ".[dev]"
	@touch $(RUNTIME) $@
