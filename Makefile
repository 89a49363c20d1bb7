# For people; `.ci/run` is what decides. VENV=… works in another environment, COUNT=… sets the repetitions of `stress`,
# BENCH=… the options of the benchmarks: --quick tries whether all of them run, --reps 3 repeats each row three times.
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

# Long: by hand, before something that touches threads is called done. Rounds of 20, each in a process of its own: one
# that crashes says by its last lines where, and what it takes of memory stays bounded.
stress: $(VENV)/.dev
	@for left in $$(seq $(COUNT) -20 1); do \
		echo "stress: $$left repetitions left"; \
		$(BIN)/python -m pytest -m stress --count=$$((left < 20 ? left : 20)) -x -q || exit 1; \
	done
	$(BIN)/python -m pytest tests/machines --hypothesis-profile=stress --timeout=1800 -o faulthandler_timeout=0 -x -q

docs: $(VENV)/.dev
	$(BIN)/python -m pytest tests/test_docs.py

# A peer that can't be had is a row that says so; a script that can't run doesn't keep the others from it.
bench: $(VENV)/.dev
	@$(BIN)/pip install -q -e '.[bench]' || echo "bench: the peers could not be installed; rows say which are absent"
	@status=0; for script in $$(grep -l '^if __name__' benchmarks/*.py); do \
		echo; $(BIN)/python $$script $(BENCH) || status=1; \
	done; exit $$status

clean:
	rm -rf build dist htmlcov .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.dev: pyproject.toml constraints.txt
	test -d $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@
