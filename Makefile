# For people; `.ci/run` is what decides. VENV=… works in another environment, COUNT=… sets the repetitions of `stress`.
VENV ?= .venv
COUNT ?= 200
BIN := $(VENV)/bin

.PHONY: check lint test coverage stress docs bench clean

check: lint test

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.dev
	$(BIN)/python -m pytest

coverage: $(VENV)/.dev
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage report

# Long: by hand, before something that touches threads is called done.
stress: $(VENV)/.dev
	$(BIN)/python -m pytest -m stress --count=$(COUNT) -x -q
	$(BIN)/python -m pytest tests/machines --hypothesis-profile=stress --timeout=1800 -o faulthandler_timeout=0 -x -q

docs: $(VENV)/.dev
	$(BIN)/python -m pytest tests/test_docs.py

bench: $(VENV)/.dev
	$(BIN)/pip install -q -e '.[bench]'
	for script in $$(grep -l '^if __name__' benchmarks/*.py); do $(BIN)/python $$script || exit; done

clean:
	rm -rf build dist htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.dev: pyproject.toml constraints.txt
	test -d $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@
