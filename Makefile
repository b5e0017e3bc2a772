# Every target first makes .venv if it is missing or older than what it is made from.
# Needs python3 (3.11 or newer, with venv), g++ and make; all else comes from PyPI.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-sample lint typecheck bench elaborate clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## train on real data on a simulated device: a table and a picture
	@zipsgd demo

test: $(READY)  ## run the tests, on two cores, in 12 minutes
	@pytest -n 2 --durations-file build/durations.txt

test-long: $(READY)  ## run those that take long: every geometry, all jobs, faults of the line, kills
	@pytest -n 2 -m long

test-sample: $(READY)  ## run some of those, drawn at random
	@pytest -n 2 -m long --sample 30

lint: $(READY)  ## check style and likely bugs; a table of sizes
	@ruff check .
	@python -m tests.rooms

typecheck: $(READY)  ## check the types
	@mypy

bench: $(READY)  ## measure what the README quotes; DATA="FILE ..." and two-class CLASSES="..." add to it
	@zipsgd bench utilisation
	@zipsgd bench sim-speed
	@zipsgd bench host
	@zipsgd bench cycles
	@zipsgd bench time-to-loss
	@zipsgd bench link
	@zipsgd bench compute
	@zipsgd bench end-to-end
	@$(if $(DATA),zipsgd bench convergence $(DATA))
	@$(if $(DATA),zipsgd bench step $(DATA))
	@$(if $(CLASSES),zipsgd bench convergence --loss logistic $(CLASSES))

elaborate: $(READY)  ## write the engine's Verilog to build/engine.v
	@mkdir -p build && zipsgd elaborate -o build/engine.v

clean:  ## remove everything that was made here
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis zipsgd-demo.png

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -m venv $(VENV) || { echo "no virtual environment: apt-get install python3-venv" >&2; exit 3; }
	@echo "installing into $(VENV) (a minute or two, once)"
	@PIP_CONSTRAINT=constraints.txt $(VENV)/bin/python -m pip install --quiet --editable '.[dev,boards]'
	@touch $@
