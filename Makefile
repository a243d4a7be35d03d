# Everything runs from .venv, which `make` fills itself; Python 3.11+, make and the package registries are all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := common server agent tests bench examples docs

.DEFAULT_GOAL := help
.PHONY: help up demo-agent test check interop bench proto proto-check sql sql-check docs docs-check format clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/run: pyproject.toml
	@echo "Installing into $(VENV); the first time takes about a minute."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	$(BIN)/python -m compileall -q common server agent proto
	@touch $@

$(VENV)/dev: $(VENV)/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

up: $(VENV)/run ## start a server and an agent, fetch both kinds of SVID; ARGS=--once to exit after that
	$(BIN)/assay up $(ARGS)

demo-agent: $(VENV)/run ## a governed AI agent: given a task, allowed and refused, stopped, and the proof of it
	$(BIN)/python examples/governed_agent/demo.py

test: $(VENV)/dev ## all tests that need only Python
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not interop' $(ARGS)

check: $(VENV)/dev proto-check sql-check docs-check ## lint, types, layers, generated code and pages, a test for each row of the standards
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports

interop: $(VENV)/dev ## tests with foreign clients; installs what they need
	$(BIN)/python -m pytest -m interop --timeout 300 $(ARGS)

bench: $(VENV)/dev ## the hot paths, each against a floor measured in the same run
	$(BIN)/python -m bench $(ARGS)

proto: $(VENV)/dev ## generate the protobuf code anew
	$(BIN)/python proto/generate.py

proto-check: $(VENV)/dev
	$(BIN)/python proto/generate.py --check

sql: $(VENV)/dev ## write the texts of the store's statements anew
	$(BIN)/python -m assay_server.datastore.sql.statements

sql-check: $(VENV)/dev
	$(BIN)/python -m assay_server.datastore.sql.statements --check

docs: $(VENV)/dev ## write the tables of docs/configuration.md, and docs/cli.md and docs/conformance.md anew
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/cli.py
	$(BIN)/python -m tests.conformance

docs-check: $(VENV)/dev
	$(BIN)/python docs/generate.py --check
	$(BIN)/python docs/cli.py --check
	$(BIN)/python -m tests.conformance --check

format: $(VENV)/dev ## format and mend what can be mended
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean: ## remove what make made
	rm -rf $(VENV) dist .assay
