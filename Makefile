# make demo    a fresh machine to the main job on real data
# make test    every test, on TensorFlow, JAX and PyTorch
# make check   format, lint, types, docs
# make docs    the site, into build/docs
# make bench   side-by-side timings

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
AXE := $(VENV)/node_modules/axe-core/axe.min.js

.PHONY: demo test test-tensorflow test-jax test-torch test-doors check docs axe format bench clean

demo: $(INSTALLED)
	$(BIN)/layerwright demo

test: test-doors test-tensorflow test-jax test-torch

test-tensorflow test-jax test-torch: $(INSTALLED)
	KERAS_BACKEND=$(@:test-%=%) $(BIN)/python -m pytest --numprocesses auto tests/backend

test-doors: $(INSTALLED) axe
	$(BIN)/python -m pytest --numprocesses auto tests/doors

check: $(INSTALLED) docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pre-commit validate-manifest .pre-commit-hooks.yaml
	$(BIN)/python -m pytest tests/doors/test_architecture.py --quiet

docs: $(INSTALLED)
	$(BIN)/sphinx-build -E -a -W --keep-going -n -q -d build/doctrees docs build/docs

# axe-core judges in tests whether everybody can use the pages; without npm these tests are skipped, and say so.
axe: $(INSTALLED)
	@if [ ! -e $(AXE) ] && command -v npm >/dev/null; then npm install --silent --no-save --prefix $(VENV) axe-core@4 || true; fi

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED)
	$(BIN)/python benchmarks/checker.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/watch.py

clean:
	rm -rf $(VENV) build dist docs/checks docs/layers docs/reference

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,examples]' tensorflow-cpu jax torch
	touch $(INSTALLED)
