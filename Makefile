# make film    render the film of the README to renders/four-seasons.mp4
# make test    run the tests
# make check   lint, types and tests
#
# The first call sets up a virtual environment in .venv (VENV=... for another folder); later calls
# find it there. PIP_ARGS=... is handed to pip, PYTEST_ARGS=... to pytest.

VENV ?= .venv
PIP_ARGS ?=
PYTEST_ARGS ?=
BIN := $(VENV)/bin

.PHONY: film test lint types docs pictures check clean

film: $(VENV)/.ready
	$(BIN)/artdiff render four-seasons -o renders/four-seasons.mp4

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .

types: $(VENV)/.ready-test
	$(BIN)/pyright --pythonpath $(BIN)/python artdiff plugins

docs: $(VENV)/.ready-test
	$(BIN)/python docs/generate.py

pictures: $(VENV)/.ready-test
	$(BIN)/python docs/make_pictures.py

check: lint types test

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find artdiff plugins presets tests examples docs -name __pycache__ -prune -exec rm -rf {} +

# Stamps: a set-up is done again when what it was made from has changed.
# constraints.txt keeps pip to the tested versions; see there why that saves gigabytes.

$(BIN)/python:
	@for python in python3.11 python3 python3.12 python3.13; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "$$python -m venv $(VENV)"; exec $$python -m venv $(VENV); \
	    fi; \
	done; echo "artdiff needs Python 3.11 or newer" >&2; exit 1

$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt -e .
	touch $@

$(VENV)/.ready-test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt -e '.[test]'
	touch $@ $(VENV)/.ready
