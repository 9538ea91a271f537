# `make` or `make help` lists what there is. Everything happens in .venv and build/.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# Extra arguments for pytest: make test ARGS='-k cancel -x'
ARGS ?=
# How many files of tests run side by side: make test JOBS=0 (one after the other, to debug). Those of
# faults start many processes each, so that fewer of them do.
JOBS ?= 4
FAULT_JOBS ?= 2
# One benchmark alone: make bench BENCH=rollup (rollup, cold, warm, first, scale, rss, load, fair)
BENCH ?=
# How long a soak lasts: make soak MINUTES=3
MINUTES ?= 30

# pip keeps its cache where PIP_CACHE_DIR says, so a CI can carry it from run to run.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PYTHONUTF8 := 1

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What is installed follows setup.cfg: a stamp older than it is installed again. The stamps lie in
# the environment, so that they go with it; deploy/venv.sh makes it, or mends half of one.
$(VENV)/.demo: setup.cfg setup.py
	@PYTHON='$(PYTHON)' sh deploy/venv.sh $(VENV)
	$(BIN)/python -m pip install --quiet --use-pep517 -e '.[lint,docker,web,services,collect]'
	@touch $@

$(VENV)/.dev: setup.cfg setup.py
	@PYTHON='$(PYTHON)' sh deploy/venv.sh $(VENV)
	$(BIN)/python -m pip install --quiet --use-pep517 -e '.[lint,docker,web,services,vertex,collect,tracing,test,dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --use-pep517 -e '.[bench]'
	@touch $@

.PHONY: demo
demo: $(VENV)/.demo ## Lint the sample archive on the embedded default; needs no server
	@rm -rf build/demo && mkdir -p build/demo/state
	@cd tests/samples/shop && ../../../$(BIN)/python -m zipfile -c ../../../build/demo/shop.zip .
	@env -u QUAYLINE_DATABASE_URL -u QUAYLINE_BROKER_URL -u QUAYLINE_STORAGE_URL \
	    QUAYLINE_STATE_DIR='$(CURDIR)/build/demo/state' \
	    $(BIN)/quayline lint build/demo/shop.zip --dialect postgres \
	    --format html -o build/demo/report.html --fail-on none
	@echo
	@echo "The report: file://$(CURDIR)/build/demo/report.html"

.PHONY: test
test: services ## Run every test, on real RabbitMQ, PostgreSQL and Docker
	@. build/services.env; BIN=$(BIN) JOBS=$(JOBS) FAULT_JOBS=$(FAULT_JOBS) sh tests/run.sh $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## Check style, format, types and the floors of the house
	@# All four speak, even when the first one fails.
	@status=0; for check in 'ruff check .' 'ruff format --check .' 'mypy' \
	    'lint-imports --config setup.cfg --no-logo'; do \
	    echo "$$check"; $(BIN)/$$check || status=1; done; exit $$status

.PHONY: format
format: $(VENV)/.dev ## Put the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: services
services: $(VENV)/.dev ## Find or start PostgreSQL, RabbitMQ and Docker for the tests
	@BIN='$(CURDIR)/$(BIN)' sh deploy/services.sh

.PHONY: worker
worker: $(VENV)/.demo ## Work on all queues (QUAYLINE_DATABASE_URL, QUAYLINE_BROKER_URL)
	exec $(BIN)/quayline worker $(ARGS)

.PHONY: schedule
schedule: $(VENV)/.demo ## Run the timetable and the sweep
	exec $(BIN)/python -m schedules

.PHONY: api
api: $(VENV)/.demo ## Answer over HTTP (ARGS='--host 0.0.0.0 --port 8000')
	exec $(BIN)/quayline api $(ARGS)

.PHONY: run
run: $(VENV)/.demo ## Everything in one process on the embedded default
	exec $(BIN)/quayline run $(ARGS)

.PHONY: bench
bench: services $(VENV)/.bench ## Measure ours against SQLFluff, sqruff and Celery (build/bench)
	@mkdir -p build/bench
	@. build/services.env && $(BIN)/python -m tests.benchmarks --out build/bench \
	    $(if $(BENCH),--bench $(BENCH)) $(ARGS)

.PHONY: chaos
chaos: services ## The long form of the fault tests (CI runs the short one): a line of figures each
	@. build/services.env && $(BIN)/python -m pytest -m chaos --long --junitxml=build/chaos.xml \
	    tests/chaos $(ARGS)

.PHONY: soak
soak: services ## Mixed jobs and a kill every 20 s for MINUTES=30; a recount, and what grew (build/soak)
	@. build/services.env && $(BIN)/python -m tests.chaos.soak --minutes $(MINUTES) \
	    --out build/soak $(ARGS)

.PHONY: clean
clean: ## Remove .venv, build/ and every cache
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	    .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
