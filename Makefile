# Every target first makes .venv if it is missing or older than what it is made from.
# Needs python3 (3.11 or newer, with venv), g++ and make; all else comes from PyPI.

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test lint typecheck bench elaborate clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## train on real data on a simulated device: a table and a picture
	@zipsgd demo

test: $(READY)  ## run every test, on two cores
	@pytest -n 2

lint: $(READY)  ## check style and likely bugs
	@ruff check .

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
