# make demo | test | build | wheels | stack | check | bench | docs | clean
#
# Everything lives in .venv. A stamp per set of extras is written after its installation, so that a
# second call installs nothing; changing pyproject.toml, constraints.txt or the sources of the core
# in engine/ installs, and so compiles, again.

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# The first Python that runs, is 3.11 or 3.12 and can make a virtual environment. Candidates are
# tried by running them: a pyenv shim exists for versions that are not active and then fails.
PYTHON ?= $(shell for candidate in python3.12 python3.11 python3 python; do \
	$$candidate -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
		>/dev/null 2>&1 && { echo $$candidate; break; }; done)

define NO_PYTHON
ordertide needs Python 3.11 or 3.12 with venv, and found none on the path.
  Debian, Ubuntu: apt-get install python3 python3-venv
  elsewhere:      make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.12
endef

.DEFAULT_GOAL := help
.PHONY: help demo test build wheels fuzz fuzz-api stack check board-check bench docs screenshots clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make demo    sample orders through the whole engine, live (ARGS=--once: once, then end)"
	@echo "make test    the tests (ARGS='-k name': some; ORDERTIDE_SEED=n: repeat a run)"
	@echo "make build   compile the core (engine/, Rust) after a change; the others do so themselves"
	@echo "make wheels  a wheel with the compiled core in dist/, for installations without a compiler"
	@echo "make fuzz    generated messages through the engine for an hour (ARGS='--minutes 5')"
	@echo "make fuzz-api  schemathesis over the whole REST API as each role (ARGS='--role operator')"
	@echo "make stack   real servers for the tests, on loopback (end them: $(BIN)/ordertide stack down)"
	@echo "make check   ruff, mypy, import-linter; deployment files; rustfmt, clippy, cargo test"
	@echo "make board-check  the pages in chromium: accessible, live, by keyboard (apt-get install chromium)"
	@echo "make bench   the benchmarks (ARGS are handed on)"
	@echo "make docs    regenerate what docs/ holds of generated documents"
	@echo "make screenshots  pictures of a running demo for docs/screens (needs libcairo2, chromium)"
	@echo "make clean   remove .venv, caches and builds"

demo: $(VENV)/.installed
	@$(BIN)/ordertide demo $(ARGS)

# Some images forbid bytecode: each process that a test starts would then compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# Many tests wait for processes and servers: with one a core the cores are idle half of the time. Each
# takes half a GB, so more than four beside the cores are not worth it.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); \
	echo $$((cores < 2 ? 3 : cores + 4)))

test: $(VENV)/.installed-test
	@$(BIN)/python -m pytest -n auto --dist worksteal -rfEs $(ARGS)

build: $(VENV)/.installed

wheels: $(BIN)/python
	@bash engine/wheels.sh $(BIN)/python

fuzz: $(VENV)/.installed-test
	@$(BIN)/python -m tests.fuzz $(ARGS)

fuzz-api: $(VENV)/.installed-test
	@$(BIN)/python -m tests.fuzz_api $(ARGS)

stack: $(VENV)/.installed-test
	@$(BIN)/ordertide stack up $(ARGS)

check: $(VENV)/.installed-dev-test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@PYTHONPATH=. $(BIN)/python docs/data/page.py --check
	@bash deploy/check.sh $(BIN)
	@bash engine/check.sh

board-check: $(VENV)/.installed-browser-test
	@$(BIN)/python -m pytest -rfEs tests/browser $(ARGS)

bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.installed-test
	@$(BIN)/python -m schemas.generate
	@$(BIN)/python -m gateway.api_page
	@PYTHONPATH=. $(BIN)/python docs/data/page.py

screenshots: $(VENV)/.installed-screenshots
	@PYTHONPATH=. $(BIN)/python docs/screens/top.py $(ARGS)
	@PYTHONPATH=. $(BIN)/python docs/screens/pages.py $(ARGS)

clean:
	rm -rf $(VENV) build dist engine/target dataflows/core/compiled*.so *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(if $(strip $(PYTHON)),,$(error $(NO_PYTHON)))
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)

# .installed has [demo], .installed-test adds [test], .installed-dev-test adds [dev,test].
$(VENV)/.installed: EXTRAS := [demo]
$(VENV)/.installed-test: EXTRAS := [test]
$(VENV)/.installed-dev-test: EXTRAS := [dev,test]
$(VENV)/.installed-browser-test: EXTRAS := [browser,test]
$(VENV)/.installed-screenshots: EXTRAS := [demo,screenshots]
ENGINE := $(wildcard engine/Cargo.toml engine/*/Cargo.toml engine/*/*.rs engine/*/src/*.rs engine/*/src/*/*.rs)
$(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-dev-test $(VENV)/.installed-browser-test $(VENV)/.installed-screenshots: pyproject.toml constraints.txt $(ENGINE) | $(BIN)/python
	@echo "installing ordertide$(EXTRAS) into $(VENV) (once, about a minute)"
	@bash engine/install.sh $(BIN)/python '$(EXTRAS)'
	@touch $@
