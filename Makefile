# Everything runs from a virtual environment in .venv. `make` without a target lists the targets.
# Dependencies are installed again only when pyproject.toml or constraints.txt have changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
ARGS ?=
PYTEST := $(BIN)/pytest -n logical --maxprocesses 8 --dist loadgroup
DESCRIBE := $(BIN)/python manage.py spectacular --format openapi-json --validate --fail-on-warn

.DEFAULT_GOAL := help
.PHONY: help install up down test test-system test-all coverage screenshots check texts schema clients reference fuzz format clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(VENV)/.installed-run  ## Create .venv with everything needed to run

up: install  ## Run the whole system on http://127.0.0.1:8000 (PORT=…, ARGS="--empty …")
	@exec $(BIN)/python manage.py stack --port $(PORT) $(ARGS)

down:  ## Stop the running system
	@$(BIN)/python manage.py stack --stop

# A path in ARGS replaces `testpaths`, which are those of pyproject.toml for `make test`. Each process needs its own Redis database, of 16.
test: $(VENV)/.installed-test  ## Run what to run after each change: unit and db tests, the main path (ARGS="tests/db/feeds -k …")
	$(PYTEST) $(ARGS)

test-system: $(VENV)/.installed-test  ## Run the tests with real processes
	$(PYTEST) -o testpaths=tests/system $(ARGS)

test-all: $(VENV)/.installed-test  ## Run all tests: also deployment, browser and benchmarks
	$(PYTEST) --durations=25 -o testpaths=tests $(ARGS)

coverage: $(VENV)/.installed-test  ## Measure the branch coverage of all tests, processes that they start included
	@rm -f $(VENV)/coverage.*
	-$(BIN)/coverage run $(subst $(BIN)/pytest,-m pytest,$(PYTEST)) -o testpaths=tests $(ARGS)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --skip-empty --sort=miss

screenshots: $(VENV)/.installed-test  ## Write the pictures in docs/images with the browser tests
	@fc-list :lang=ja family | grep -q . && fc-list | grep -qi emoji || { echo "Install fonts for CJK and emoji first (Debian: fonts-noto-cjk, fonts-noto-color-emoji): texts of the demo use both."; exit 1; }
	SCREENSHOTS=docs/images BROWSER_TESTS=required $(BIN)/pytest tests/browser

check: $(VENV)/.installed-dev  ## Lint, format, texts, types, imports, migrations, OpenAPI, clients, settings reference, a short fuzz
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m tests.lint.texts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -W "ignore:Got an error checking:RuntimeWarning" manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.lint.migrations
	$(BIN)/python manage.py check
	$(DESCRIBE) --file $(VENV)/openapi.json
	@cmp -s $(VENV)/openapi.json openapi.json || { echo "openapi.json differs from the code: run \`make schema\`, review the difference and commit it."; exit 1; }
	@$(BIN)/python -m deploy.settings_reference | cmp -s - docs/configuration.md || { echo "docs/configuration.md differs from the code: run \`make reference\`, review the difference and commit it."; exit 1; }
	$(BIN)/python -m tests.clients
	$(BIN)/python -m tests.fuzz --examples 2 --phases examples,fuzzing --seed 1

texts: $(VENV)/.installed-dev  ## Check all texts against the word list, and line lengths in Markdown
	$(BIN)/python -m tests.lint.texts

schema: $(VENV)/.installed-dev  ## Write openapi.json from the code
	$(DESCRIBE) --file openapi.json

clients: $(VENV)/.installed-dev  ## Lint openapi.json, and generate Python and TypeScript clients from it
	$(BIN)/python -m tests.clients

reference: $(VENV)/.installed-dev  ## Write docs/configuration.md from the settings and .env.example, and NOTICE from the packages
	$(BIN)/python -m deploy.settings_reference > $(VENV)/configuration.md
	@mv $(VENV)/configuration.md docs/configuration.md
	$(BIN)/python -m deploy.notice > $(VENV)/NOTICE
	@mv $(VENV)/NOTICE NOTICE

fuzz: $(VENV)/.installed-dev  ## Fuzz the API from its description, at length (ARGS="--examples 1000")
	$(BIN)/python -m tests.fuzz $(ARGS)

format: $(VENV)/.installed-dev  ## Format the code and apply automatic fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## Remove .venv and caches; keeps the data in var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache .schemathesis

# --- Installation ------------------------------------------------------------------------------------

$(VENV)/.installed-run: extras := stack
$(VENV)/.installed-test: extras := stack test
$(VENV)/.installed-dev: extras := stack test dev bench

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing dependencies ($(extras)), about a minute ..."
	@$(BIN)/python deploy/requirements.py $(extras) > $(VENV)/requirements-$*.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r $(VENV)/requirements-$*.txt
	@touch $@

# pip is created last, so an interrupted environment is created again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "instafeed needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
