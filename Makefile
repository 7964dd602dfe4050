# Thin targets: everything they do can be typed by hand.  PYTHON=python3.12 make setup  chooses another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS ?= train,serve,console,augment,explore,dev
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup oracle demo test test-slow lint format bench docs clean

setup: $(INSTALLED) ## Virtual environment with every pinned dependency

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Overflight needs Python 3.11 or newer: run  make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing (about 2 minutes) ..."
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]" 2> $(VENV)/pip.log || \
	  { grep -v "^WARNING: Location" $(VENV)/pip.log; exit 1; }
	@# Without its dependencies: it would bring opencv-python-headless over the cv2 that is there (its others: extra augment).
	@$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt albumentations albucore 2>> $(VENV)/pip.log || \
	  { grep -v "^WARNING: Location" $(VENV)/pip.log; exit 1; }
	@# Servers without a screen often lack libGL, which opencv-python links: the headless build is the same library.
	@$(BIN)/python -c "import cv2" 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --no-deps --force-reinstall -c constraints.txt opencv-python-headless
	@# A second policy engine for the tests, where there is npm; without it they are skipped with the reason.
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory oracle || echo "npm could not install the second policy engine"; fi
	@touch $@

oracle: ## The second policy engine that tests compare with (needs node and npm)
	@npm ci --prefix tests/iam/oracle --ignore-scripts --no-audit --no-fund --silent

demo: setup ## The whole life of a model, left serving
	@$(BIN)/overflight demo $(ARGS)

test: setup ## Fast tests, with coverage
	$(BIN)/pytest -n 2 -m "not slow" --cov --cov-report=term $(ARGS)

test-slow: setup ## The slow tests: real training, kills, the whole demo
	$(BIN)/pytest -m slow --timeout 900 $(ARGS)

lint: setup ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Print every figure of docs/benchmarks.md that one machine can measure
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: setup ## Check that the documents tell the truth (trees, links, commands)
	$(BIN)/pytest -q tests/project $(ARGS)

clean: ## Everything that can be made again (not .overflight)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
