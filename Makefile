# The virtual environment is made by the first target that needs it, and again when requirements.lock changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where uv is not installed, setup/environment.sh has fetched it.
UV := $(or $(shell command -v uv),build/tools/bin/uv)

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-random test-faults test-cluster test-spark40 canary lint lint-style lint-types lint-imports config docs site zip lock java \
    bench bench-tokenizers

# Compiled modules are kept whatever the environment says: the tests start a hundred Python processes, and each would
# compile pandas and pyarrow anew.
export PYTHONDONTWRITEBYTECODE :=

# Two sessions of Spark side by side; each takes up to 4 GB.
TEST_PROCESSES ?= 2
EVERY_CHANGE := not faults and not cluster
PYTEST := pytest -q -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# COVERAGE=1: how much of the package the tests run through, with the files least covered.
COVERED := $(if $(COVERAGE),--cov=drq_spark --cov-report=)

help:
	@echo "make demo    a whole run on the bundled catalogue; leaves tables, tokenizer and report in build/demo"
	@echo "make test    the tests that every change must pass; COVERAGE=1 shows how much of the package they run through"
	@echo "make test-fast  those that need neither Spark nor Java"
	@echo "make test-random SEED=1  the same in a random order of files"
	@echo "make test-faults  runs and nights that are killed at every commit, and a month of nights (an hour)"
	@echo "make test-cluster  jobs on executors in processes of their own"
	@echo "make test-spark40  small runs on the oldest Spark and Delta that pyproject.toml allows, in build/spark40"
	@echo "make canary  tests with the newest packages that pyproject.toml allows, in build/canary"
	@echo "make lint    style, types and import rules"
	@echo "make config  write conf/base.yaml anew from drq_spark/config/"
	@echo "make docs    write docs/tables.md and docs/cli.md anew from drq_spark/schemas.py and drq_spark/cli/"
	@echo "make site    write the documentation as a site into build/site/html, notebooks with their outputs; a link that leads nowhere is an error"
	@echo "make zip     write build/drq_spark.zip, which spark-submit --py-files takes to the executors"
	@echo "make bench   measure this machine: kernel, training, runs and a night, some 25 minutes; writes build/bench/benchmarks.md"
	@echo "make bench-tokenizers  compare all tokenizers on the catalogues of DATA (hours); writes docs/tokenizers"
	@echo "make lock    resolve the dependencies of pyproject.toml anew into requirements.lock"
	@echo "Another Python (3.10 or newer): make PYTHON=/path/to/python3 ..."

demo: java $(VENV)/.ready
	@$(BIN)/drq demo --out build/demo

test: java $(VENV)/.ready
	@$(BIN)/python tools/prepare_java.py
	@$(BIN)/$(PYTEST) -m "$(EVERY_CHANGE)" --notebook-pages=$(SITE)/notebooks $(COVERED)

test-faults test-cluster: java $(VENV)/.ready
	@$(BIN)/python tools/prepare_java.py
	@$(BIN)/pytest -v -m "$(@:test-%=%)" tests

test-fast: $(VENV)/.ready
	@$(BIN)/$(PYTEST) -m "not spark"

SEED ?= 1
test-random canary: export HYPOTHESIS_PROFILE = thorough
test-random: java $(VENV)/.ready
	@$(BIN)/python tools/prepare_java.py
	@$(BIN)/$(PYTEST) -m "$(EVERY_CHANGE)" --random-order-bucket=module --random-order-seed=$(SEED)

# Not part of what a change must pass: a new version of a package may fail on a day when nothing was changed here.
CANARY := build/canary
SMALL_RUNS := tests/test_store.py tests/test_runs.py tests/pipeline/test_behaviour.py tests/pipeline/test_warnings.py
canary: java $(VENV)/.ready
	@mkdir -p $(CANARY)
	@$(UV) pip compile pyproject.toml --all-extras --upgrade --python $(BIN)/python --no-header -q -o $(CANARY)/lock
	@sh setup/environment.sh $(CANARY)/venv "$(PYTHON)" $(CANARY)/lock
	@$(CANARY)/venv/bin/python tools/prepare_java.py
	@$(CANARY)/venv/bin/$(PYTEST) -m "not spark"
	@$(CANARY)/venv/bin/$(PYTEST) $(SMALL_RUNS)

# Newer Spark hides what an older one lacks.
OLDEST := build/spark40
test-spark40: java $(VENV)/.ready
	@mkdir -p $(OLDEST)
	@sed -e 's/^pyspark==.*/pyspark==4.0.1/' -e 's/^delta-spark==.*/delta-spark==4.0.0/' requirements.lock > $(OLDEST)/lock
	@sh setup/environment.sh $(OLDEST)/venv "$(PYTHON)" $(OLDEST)/lock
	@$(OLDEST)/venv/bin/python tools/prepare_java.py
	@$(OLDEST)/venv/bin/$(PYTEST) $(SMALL_RUNS)

lint: lint-style lint-types lint-imports

lint-style: $(VENV)/.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .

lint-types: $(VENV)/.ready
	@$(BIN)/mypy

lint-imports: $(VENV)/.ready
	@$(BIN)/lint-imports

bench: java $(VENV)/.ready
	@$(BIN)/python bench/benchmark_page.py build/bench/benchmarks.md

# DATA: folders with items.parquet and events.parquet; without it the bundled catalogue.
DATA ?= drq_spark/data/packages_5k
THREADS ?= 2
LINES := docs/tokenizers/measured.jsonl
bench-tokenizers: $(VENV)/.ready
	@rm -f $(LINES)
	@for folder in $(DATA); do \
	    $(BIN)/python bench/tokenizers.py $$folder --threads $(THREADS) --to $(LINES) && \
	    $(BIN)/python bench/tokenizers.py $$folder --threads $(THREADS) --to $(LINES) \
	        --only drq --no-events && \
	    $(BIN)/python bench/tokenizers.py $$folder --threads $(THREADS) --to $(LINES) \
	        --only drq --no-events --seeds 1 --dials 0 0.25 0.5 0.75 1 || exit 1; \
	done
	@$(BIN)/python bench/tokenizer_page.py $(LINES) docs/tokenizers

config: $(VENV)/.ready
	@$(BIN)/python tools/base_config.py

docs: $(VENV)/.ready
	@$(BIN)/python tools/tables_page.py
	@$(BIN)/python tools/cli_page.py

# Its packages are none of the package's: they have a lock and an environment of their own.
SITE := build/site
NOTEBOOK_PAGES := $(patsubst notebooks/%.ipynb,$(SITE)/notebooks/%.md,$(wildcard notebooks/*.ipynb))
site: $(SITE)/venv/.ready $(NOTEBOOK_PAGES)
	@rm -rf $(SITE)/pages
	@mkdir -p $(SITE)/pages
	@cp -R README.md CONTRIBUTING.md CHANGELOG.md LICENSE docs conf notebooks $(SITE)/notebooks setup/site.css $(SITE)/pages
	@NO_MKDOCS_2_WARNING=1 $(SITE)/venv/bin/mkdocs build --strict >$(SITE)/log 2>&1 || { grep -v ^INFO $(SITE)/log; exit 1; }
	@echo "$(SITE)/html/index.html"

# With their outputs: `make test` leaves them; run anew when they or the package have changed since (seven minutes for all).
$(SITE)/notebooks/%.md: notebooks/%.ipynb tools/notebook_pages.py $(shell find drq_spark -name '*.py') | java $(VENV)/.ready
	@echo "running $<"
	@$(BIN)/python tools/notebook_pages.py $< $(SITE)/notebooks

$(SITE)/venv/.ready: setup/site.lock setup/environment.sh
	@sh setup/environment.sh $(SITE)/venv "$(PYTHON)" setup/site.lock
	@touch $@

zip:
	@$(PYTHON) tools/package_zip.py

lock:
	@$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.10 --no-emit-index-url --no-header -q -o requirements.lock
	@printf 'mkdocs-material\nmkdocstrings-python\nruff\n' | $(UV) pip compile - --universal --python-version 3.10 --no-emit-index-url --no-header -q -o setup/site.lock

java:
	@sh setup/java.sh

$(VENV)/.ready: requirements.lock pyproject.toml setup/environment.sh
	@sh setup/environment.sh "$(VENV)" "$(PYTHON)"
	@touch $@
