# Developer verbs. Everything a verb needs is set up by itself: a virtual environment in .venv (when PYTHON is not given), and,
# when root, the Debian packages. `make help` lists the verbs.

VENV ?= .venv
PYTHON ?= $(VENV)/bin/python
BUILD ?= build/$(shell uname -m)
JOBS ?= 2
PYTEST ?= $(PYTHON) -m pytest -n $(JOBS) --dist loadgroup
STAMP := $(VENV)/.kjax-installed
# a Python of the caller's own choice is used as it is; ours is made when absent
READY := $(if $(filter $(VENV)/bin/python,$(PYTHON)),$(STAMP),inplace)

.PHONY: help develop venv inplace system demo test exhaustive san fuzz bench module lint clean

help:		## list the verbs
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

develop venv: $(STAMP) ## editable install in .venv; the engine is rebuilt whenever kjax is imported

# the oldest supported Python that is installed is good enough, the newest is preferred
$(VENV)/bin/python:
	@tools/system.sh python
	@set -e; for version in 3.13 3.12 3.11; do \
	    python=$$(command -v python$$version || true); \
	    if [ -n "$$python" ] && $$python -c 'import ensurepip, venv' 2>/dev/null; then break; fi; python=; \
	done; \
	[ -n "$$python" ] || { echo "kjax needs Python 3.11 or newer, with venv and headers" >&2; exit 1; }; \
	$$python -m venv $(VENV); $(VENV)/bin/python -m pip install --quiet --upgrade pip

$(STAMP): pyproject.toml meson.build | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet "meson-python>=0.17" "meson>=1.3" "ninja>=1.11" "numpy>=2.0"
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/python -m pip install --quiet --no-build-isolation --editable ".[test]"
	@touch $@

inplace:	## build the engine into src/kjax for PYTHON=... (no install): make inplace PYTHON=/usr/bin/python3
	@tools/inplace.sh $(PYTHON)

system:		## Debian packages that the guest and the module need (when root; else prints the line to run)
	@tools/system.sh guest

demo: $(READY) system ## train, compile, boot a guest, run in ring 0, compare with JAX
	$(PYTHON) -m pip install --quiet --no-deps "river>=0.22"
	@$(PYTHON) -m kjax guest --setup || echo "no guest here: the demo carries on in this process"
	$(PYTHON) -m kjax.demo

test: $(READY) system lint ## all tests; guest tests included where QEMU is installed
	$(PYTEST) -m "not exhaustive" tests

exhaustive: $(READY) system lint ## what make test runs, and all variants of JAX's surface
	$(PYTEST) tests

san: $(READY)	## the engine's tests under the address and undefined-behaviour sanitizers
	PYTHON=$(abspath $(PYTHON)) tests/engine/sanitized.sh

fuzz: $(READY)	## fuzz the verifier for FUZZ_SECONDS (60)
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} $(PYTHON) -m pytest tests/fuzz -q

bench: $(READY)	## compare with JAX on this machine
	$(PYTHON) -m bench

module: $(READY) ## build kjax.ko for the cached guest kernel
	$(PYTHON) -m kjax guest --setup

lint: $(READY)	## ruff, generated files
	$(PYTHON) -m ruff check --quiet src tests tools bench
	$(PYTHON) tools/generate.py --check

clean:		## remove what was built; .venv and the cache of kernels stay
	rm -rf build dist src/kjax/_engine*.so .pytest_cache
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
