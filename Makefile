# Two commands do everything: `make repro` and `make test`. The README spells out what they run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: help env git-repository profile repro test test-slow check lint types fuzz bench gpu experiments worlds clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

env: $(VENV)/.installed ## create .venv and install requirements.txt (about 5 GB)

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is older than Python 3.11; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

repro: git-repository env ## make the sample, run the whole pipeline, print the results
	dvc repro
	@$(BIN)/python -m pipeline.report.summary

profile: env ## set in params.yaml what a profile names: make profile NAME=paper (or ci, photos, small)
	@$(BIN)/python -m pipeline.base.profile '$(NAME)'

git-repository:
	@git rev-parse --is-inside-work-tree >/dev/null 2>&1 \
	  || { echo "error: dvc needs a git repository; clone this project, or run 'git init' here first"; exit 1; }

test: env ## the fast tests
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

test-slow: env ## the slow tests: whole pipelines, real dvc, a real browser
	$(BIN)/python -m pytest -m slow

check: lint types ## ruff and mypy

lint: env
	ruff check .
	ruff format --check .

types: env
	mypy

fuzz: env ## try inputs on every reader of outside data: ten minutes for each of 14
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-fuzz.txt
	$(BIN)/python -m tests.fuzz

bench: env ## measure the hot stages against the published recipe and the hardware
	$(BIN)/python -m benchmarks

gpu: env ## on a GPU: the tests marked cuda, and one table of speeds
	$(BIN)/python -m benchmarks.gpu

experiments: git-repository env ## losses and mixtures with three seeds each: one table, one plot
	$(BIN)/python -m benchmarks.grid --output docs/grid

worlds: git-repository env ## run the recipe in three other simulated worlds: docs/worlds.md
	$(BIN)/python -m benchmarks.worlds --seeds 11 12 13 --output docs/worlds

clean: ## remove the environment; data, models and the DVC cache stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
