# Each target prepares .venv by itself; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
export PYTHON

.PHONY: help setup demo up test test-all test-servers test-faults soak lint audit-dependencies format bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: ## prepare .venv with the locked dependencies (every target does it)
	@tools/bootstrap

demo: setup ## send 60 e-mails at 3,000 an hour on embedded servers, and show the evidence
	@$(BIN)/kadencia demo

up: setup ## run the whole product on this machine
	@$(BIN)/kadencia up

test: setup ## check style, types and layers, and run the tests
	@tools/test

test-all: ## the same with the slow tests, and Debian's servers where they are installed
	@tools/bootstrap --checks
	@tools/test --all

test-servers: ## run the tests that need servers and programs of Debian's packages
	@tools/bootstrap --checks
	@tools/test --servers

test-faults: setup ## make every fault while e-mails and SMS are sent, and judge (an hour)
	@$(BIN)/python -m tests.faults

soak: setup ## ten minutes of faults at random, memory and connections watched, with a plot
	@$(BIN)/python -m tests.faults.soak

lint: setup ## check style, types, layers and the lock file
	@tools/lint

audit-dependencies: ## ask for known defects of the locked dependencies (needs PyPI itself)
	@tools/bootstrap --checks
	@$(BIN)/python tools/audit_dependencies.py

format: setup ## lay the code out
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## measure, and print medians and ratios
	@$(BIN)/python -m benchmarks

lock: setup ## renew requirements.lock from pyproject.toml (needs uv)
	@uv pip compile --quiet pyproject.toml --extra dev --extra tracing --universal --generate-hashes --no-emit-index-url --no-header -o requirements.lock
	@uv pip compile --quiet pyproject.toml --extra dev --extra tracing --extra checks --constraint requirements.lock --universal --generate-hashes --no-emit-index-url --no-header -o requirements-checks.lock
	@tools/lock-image

clean: ## remove .venv and what the tools leave behind
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage build dist
