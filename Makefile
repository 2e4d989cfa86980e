# Paths here are relative and scripts are started as `$(PY) -m ...`, so that a clone may lie in a folder
# with spaces in its name.

PYTHON ?= python3
## recipe to train, build and simulate (python -m model list), or alexnet_w8a8 and the like, untrained; or a file
NET ?= digits_w4a4
## images that go through the simulated hardware: a number, or all that are held out
IMAGES ?= all
## multiply-accumulate lanes at most: a number, or auto
LANES ?= auto
## probability, 0 to 0.95, that the bench pauses its input or refuses an output in a cycle
STALL ?= 0
## 1 writes a waveform (slow, large)
WAVES ?= 0
## folder of CIFAR-10, for results-cifar
DATA ?=
## a document to put the tables of results-* into as well, for those who keep it: docs/results.md
WRITE ?=

# On all cores; the tests of a file stay together, for what they share.
PYTEST = $(PY) -m pytest -n auto --maxprocesses 8 --dist loadscope
OURS := model hw codegen sim tests
PY := .venv/bin/python
READY := .venv/.ready
PIP := PYTHONUNBUFFERED=1 $(PY) -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt
# One line for each package that pip has fetched, and what it is at.
SHOWN := | awk '/^ *(Downloading|Using cached) / { sub(/-(py|cp)[0-9].*/, "", $$2); print "         " $$2, $$3, $$4; fflush() } \
    /^Installing collected/ { print "         unpacking " NF - 3 " packages"; fflush() }'
SHELL := bash
.SHELLFLAGS := -o pipefail -c
APT := sudo apt install python3 python3-venv libpython3.11 g++ make
stop = { echo "error: $(1); on Debian 12: $(APT)" >&2; exit 2; }

.DEFAULT_GOAL := help
# What was asked for by name; without, the benchmark measures everything.
BENCH = $(if $(filter command,$(firstword $(origin NET))),$(NET))
# cocotb reads variables of these names itself.
unexport NET IMAGES LANES STALL WAVES DATA WRITE
.PHONY: help sim sim-board test test-full lint bench bench-hw results-digits results-cifar venv clean distclean

help: ## show this list
	@echo "make TARGET [VARIABLE=value ...]"; echo
	@awk -F ': .*## ' '/^[a-z-]+: .*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile; echo
	@awk '/^## / { text = substr($$0, 4) } \
	      /^[A-Z]+ \?=/ { if (text) printf "  %-6s %s [%s]\n", $$1, text, $$3; text = "" }' Makefile

sim: $(READY) ## train NET if it can be and is not yet, build its hardware, simulate it, compare every value
	@$(PY) -m sim $(NET) $(if $(filter-out all,$(IMAGES)),--images $(IMAGES)) --stall $(STALL) \
	    $(if $(filter-out auto,$(LANES)),--lanes $(LANES)) $(if $(filter 1,$(WAVES)),--waves)

sim-board: $(READY) ## simulate a whole board with NET on it; the host program shows it images over its serial port
	@$(PY) -m sim $(NET) --board $(if $(filter-out all,$(IMAGES)),--images $(IMAGES)) \
	    $(if $(filter-out auto,$(LANES)),--lanes $(LANES))

test: lint ## lint, types and the quick tests
	@echo "test     quick tests"
	@$(PYTEST) -m "not slow"

test-full: lint ## lint, types and every test
	@echo "test     all tests"
	@$(PYTEST)

lint: $(READY) ## ruff and mypy
	@echo "lint     ruff"
	@$(PY) -m ruff check --quiet --output-format concise $(OURS)
	@echo "lint     mypy"
	@$(PY) -m mypy

bench: $(READY) ## measure every recipe, or NET if given: lane efficiency, times, memory; what each budget buys
	@$(PY) -m sim.benchmark $(BENCH) $(if $(filter-out auto,$(LANES)),--lanes $(LANES))

bench-hw: $(READY) ## area and clock on an ECP5 of some networks, or NET, beside what others made of them (an hour)
	@$(if $(BENCH),,$(PY) -m codegen.fpga.engines)
	@$(PY) -m codegen.fpga.benchmark $(BENCH)

results-digits: $(READY) ## train the digits in all widths and ways: tables in runs/results (a quarter of an hour)
	@$(PY) -m model results digits $(if $(WRITE),--write "$(WRITE)")

results-cifar: $(READY) ## the same for CIFAR-10 in DATA (most of a day; goes on where it was interrupted)
	@$(PY) -m model results cifar $(if $(DATA),--data "$(DATA)") $(if $(WRITE),--write "$(WRITE)")

venv: $(READY) ## make or repair the environment in .venv, everything pinned in constraints.txt

# A .venv without the stamp was left half made: it is made anew.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || $(call stop,$(PYTHON) is not installed)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    $(call stop,Python 3.11 or newer is needed and $(PYTHON) is "$$($(PYTHON) --version 2>&1)")
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || $(call stop,$(PYTHON) has no venv module)
	@command -v g++ >/dev/null || $(call stop,g++ is not installed)
	@test -e $@ || { echo "venv     .venv, $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear .venv; }
	@rm -f $@
	@echo "install  the pinned packages (a few minutes the first time)"
	@$(PIP) setuptools $(SHOWN)
	@$(PIP) --no-build-isolation -e '.[train,sim,fpga,dev]' $(SHOWN)
	@$(PY) -m sim.verilator
	@$(PY) -m codegen.fpga.tools
	@touch $@

clean: ## remove what was built (build/); trained networks in runs/ stay
	rm -rf build

distclean: clean ## also remove .venv and every cache; trained networks in runs/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
