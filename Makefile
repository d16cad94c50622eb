# Two commands do everything on a fresh machine: `make demo` shows the main job, `make test` runs the tests.
# Both make what they need the first time and reuse it afterwards.

PYTHON ?= python3
PYTEST_WORKERS ?= auto
# The virtual environment is in the checkout where that is ours, else in a folder that is. Or say VENV=folder.
ifndef VENV
VENV := $(shell .ci/venv-folder)
$(if $(VENV),,$(error no virtual environment))
endif

BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
PYTEST = $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --maxprocesses=4

.PHONY: chaos help demo demo-pipeline install develop test test-slow lint check test-matrix bench bench-full clean

help:
	@echo "make demo         show the main job on a small database"
	@echo "make demo-pipeline  show how the pipeline takes what goes wrong"
	@echo "make test         run the tests"
	@echo "make check        everything that must hold before a commit: formats, types, contracts, tests"
	@echo "make test-slow    run the slow tests"
	@echo "make chaos        let everything go wrong in the pipeline at once, for a minute: CHAOS_SECONDS=60 CHAOS_SEEDS=1"
	@echo "make test-matrix  run the tests on other Pythons, Djangos and PostgreSQLs, as far as they are here"
	@echo "make bench        run the benchmarks, small"
	@echo "make bench-full   run them at the sizes of benchmarks/README.md: half an hour, 10 GB of disk"
	@echo "make clean        remove what can be made again; your data stays"

demo: install
	@SITE_DATABASE_URL= DATABASE_URL=embedded:///integrity_demo $(BIN)/python manage.py demo

demo-pipeline: install
	@SITE_DATABASE_URL= DATABASE_URL=embedded:///integrity_demo $(BIN)/python manage.py demo --pipeline

test: develop
	$(PYTEST) -m "not slow"

test-slow: develop
	$(PYTEST) -m slow

lint: develop
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy integrity project tests benchmarks
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemigrations --check --dry-run

check: lint test

CHAOS_SECONDS ?= 60
CHAOS_SEEDS ?= 1
chaos: develop
	$(BIN)/python -m tests.pipeline.chaos --seconds $(CHAOS_SECONDS) --seeds $(CHAOS_SEEDS)

test-matrix: develop
	.ci/matrix "$(BIN)"

bench: develop
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python -m "benchmarks.$$(basename "$$file" .py)" || exit 1; done

bench-full: develop
	$(BIN)/python -m benchmarks.bench_dedupe 1000000 0.05
	$(BIN)/python -m benchmarks.bench_dedupe 10000000 0.05
	$(BIN)/python -m benchmarks.bench_dedupe 10000000 0.01
	$(BIN)/python -m benchmarks.bench_dedupe 10000000 0.40
	$(BIN)/python -m benchmarks.bench_merging 20200 10000
	$(BIN)/python -m benchmarks.bench_vectors 300000
	$(BIN)/python -m benchmarks.bench_constraint 1000000
	$(BIN)/python -m benchmarks.bench_upsert 100000
	$(BIN)/python -m benchmarks.bench_clustering 200000
	$(BIN)/python -m benchmarks.bench_pipeline

install: $(VENV)/.installed
develop: $(VENV)/.developing

$(VENV)/.installed: requirements.txt | $(BIN)/python
	@echo "Installing what the product needs into $(VENV) ..."
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.developing: requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "Installing what the product and its tests need into $(VENV) ..."
	@$(INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv --clear "$(VENV)"

clean:
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov
	rm -rf .postgres/*/tests* .postgres/*/chaos-*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
