# The commands of the project. `make claims` and `make test` need nothing but Python 3.11 or newer and a network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE := $(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
READY := $(VENV)/ready-to-run-$(STATE)
READY_TO_TEST := $(VENV)/ready-to-test-$(STATE)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt --editable

.PHONY: claims test bench gpu-check check docs format wheel release-check clean help

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make claims PYTHON=python3.11 (this is " + sys.version.split()[0] + ").")'
	@echo "Setting up $(VENV): once, a few minutes (torch is most of it)."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) .
	@rm -f $(VENV)/ready-* && touch $@

$(READY_TO_TEST): $(READY)
	@$(INSTALL) '.[test,check,hub,docs,dask,slurm]'
	@touch $@

claims: $(READY) ## decide the claims; the report goes to reports/claims.html
	$(BIN)/icl-claims run -n auto

test: $(READY_TO_TEST) ## the project's own tests
	$(BIN)/pytest tests/ -n auto --dist loadfile

bench: $(READY) ## measure the speed against the authors' procedure, about 30 minutes; writes benchmarks/results.json
	$(BIN)/python -m benchmarks

gpu-check: $(READY) ## check a GPU with random weights: numbers, claims, speed, memory; writes benchmarks/gpu_check.json
	$(BIN)/python -m benchmarks.gpu_check

check: $(READY_TO_TEST) ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY_TO_TEST) ## build the documentation into site/, without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

format: $(READY_TO_TEST) ## format and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY_TO_TEST) ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

release-check: $(READY) ## build sdist and wheel, check them, decide claims from each in a clean environment
	@$(INSTALL) '.[release]'
	.ci/release_check $(BIN)/python

clean: ## remove what was made
	rm -rf $(VENV) dist build site reports/claims.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
