# make demo    a fresh machine to the main job on real data
# make test    every test, on TensorFlow, JAX and PyTorch
# make check   format, lint, types
# make bench   side-by-side timings

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-tensorflow test-jax test-torch test-doors check format bench clean

demo: $(INSTALLED)
	$(BIN)/layerwright demo

test: test-doors test-tensorflow test-jax test-torch

test-tensorflow test-jax test-torch: $(INSTALLED)
	KERAS_BACKEND=$(@:test-%=%) $(BIN)/python -m pytest --numprocesses auto tests/backend

test-doors: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto tests/doors

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/doors/test_architecture.py --quiet

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED)
	$(BIN)/python benchmarks/checker.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/watch.py

clean:
	rm -rf $(VENV) build dist

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,examples]' tensorflow-cpu jax torch
	touch $(INSTALLED)
