# Targets for a person on a fresh machine; works with make 3.81 (macOS) and newer.
# Everything is installed into .venv from requirements.lock with hashes; nothing is fetched beside it.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed-from-lock
# Tried in this order; the first that is 3.11 to 3.13 and can make a virtual environment is taken.
PYTHON_CANDIDATES := python3.13 python3.12 python3.11 python3
# Set it to choose the interpreter: make demo PYTHON=/path/to/python3.12
PYTHON :=
PYTEST_ARGS ?=
TORTURE_ARGS ?=
SHELL_SCRIPTS := .ci/run $(wildcard slurm/*.sbatch slurm/*.sh) slurm/local-cluster/up slurm/local-cluster/down slurm/local-cluster/place.sh

.PHONY: help demo results install test check format lock bench torture clean

help:
	@echo "make demo    install into .venv, run experiments/quickstart.yaml, print the result table"
	@echo "make results NAME=x  run experiments/x.yaml, write its report to docs/results/x; REPORT_ARGS=--figures also as images"
	@echo "make test    install, run all tests (quick ones first); PYTEST_ARGS='-k NAME' chooses"
	@echo "make check   install, lint, check the format and the types"
	@echo "make format  rewrite the files as 'make check' wants them"
	@echo "make bench   run the side-by-side ratios of benchmarks/"
	@echo "make torture  make faults (kills, pauses, wrong clocks, full disks) and count what is lost; TORTURE_ARGS='--minutes 3'"
	@echo "make lock    resolve requirements.lock anew from pyproject.toml (needs uv)"
	@echo "make clean   remove .venv and caches; runs/ and data/ stay"

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    chosen=; unfit=; \
	    for candidate in $(if $(PYTHON),"$(PYTHON)",$(PYTHON_CANDIDATES)); do \
	        "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue; \
	        if "$$candidate" -c 'import venv, ensurepip' 2>/dev/null; then chosen="$$candidate"; break; fi; \
	        unfit="$$unfit $$candidate"; \
	    done; \
	    if [ -z "$$chosen" ] && [ -n "$$unfit" ]; then \
	        echo "error: Python lacks the venv module or its pip:$$unfit" >&2; \
	        echo "  to do: on Debian and Ubuntu, apt-get install python3-venv; elsewhere, PYTHON=... another interpreter" >&2; \
	        exit 2; \
	    fi; \
	    if [ -z "$$chosen" ]; then \
	        echo "error: no Python 3.11, 3.12 or 3.13 found; looked for: $(if $(PYTHON),$(PYTHON),$(PYTHON_CANDIDATES))" >&2; \
	        echo "  to do: install one, or name it: make $(or $(firstword $(MAKECMDGOALS)),demo) PYTHON=/path/to/python3.12" >&2; \
	        exit 2; \
	    fi; \
	    echo "creating $(VENV) with $$chosen ($$("$$chosen" --version))"; \
	    rm -rf $(VENV); \
	    "$$chosen" -m venv $(VENV) || { rm -rf $(VENV); exit 2; }; \
	fi
	@echo "installing requirements.lock (once; on Linux about 3 GB to fetch, 6 GB on disk, minutes)"
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	$(BIN)/segsuite run experiments/quickstart.yaml

# Without photos: a dataset's licence may not let them be passed on.
results: $(STAMP)
	@if [ -z "$(NAME)" ]; then echo "error: NAME is missing" >&2; \
	    echo "  to do: make results NAME=quickstart, for experiments/quickstart.yaml" >&2; exit 2; fi
	$(BIN)/segsuite run "experiments/$(NAME).yaml"
	$(BIN)/segsuite report "experiments/$(NAME).yaml" --out "docs/results/$(NAME)" --no-images $(REPORT_ARGS)

# tests/conftest.py puts the tests marked slow last.
test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v shellcheck >/dev/null 2>&1; then echo "shellcheck $(SHELL_SCRIPTS)"; shellcheck $(SHELL_SCRIPTS); \
	 else echo "shellcheck is not installed: shell scripts were not checked"; fi

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `fewest` keeps one version of a package for all Pythons. --no-emit-index-url: the lock names no registry.
lock:
	@command -v uv >/dev/null 2>&1 || { echo "error: uv is not installed" >&2; \
	    echo "  to do: see its documentation, then call 'make lock' again" >&2; exit 2; }
	@{ echo "# Made by 'make lock' from pyproject.toml: every dependency and all extras, for Python 3.11 to 3.13"; \
	   echo "# on Linux and macOS. Installed with --require-hashes. Do not edit by hand."; \
	   uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	       --no-annotate --no-header --no-emit-index-url --all-extras pyproject.toml; \
	 } > requirements.lock.new || { rm -f requirements.lock.new; exit 1; }
	@mv requirements.lock.new requirements.lock
	@echo "requirements.lock: $$(grep -c == requirements.lock) packages"

# benchmarks/torture.py is no timing: it has a target of its own.
bench: $(STAMP)
	@for name in $$(grep -l '^def main' benchmarks/*.py | grep -v torture); do \
	    name=$$(basename "$$name" .py); echo "segsuite bench $$name"; $(BIN)/segsuite bench "$$name" || exit 1; \
	done

# About ten minutes. Its table is that of docs/results/torture.md. As root it can do more: mount, another user, namespaces.
torture: $(STAMP)
	$(BIN)/segsuite bench torture $(TORTURE_ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find segsuite tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
