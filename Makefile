# SPDX-License-Identifier: GPL-3.0-or-later
PYTEST ?= -n 3 --dist worksteal

SCENARIOS = fleet server client restore upgrade acme nat hooks cloud-init

# Every test starts our programs. With compiled modules they start faster, so ignore this setting of the environment.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-machines venv lint types walls collection sanity-2.16 pytest bench dist lock

help: ## Show this list
	@sed -n 's/^\([a-z0-9.-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 24

run: ## Start the service with its own BIND and example hosts; Ctrl-C stops it
	@scripts/run

test: lint ## Run all tests and checks, as CI does; each part shows its output when it ends
	+@$(MAKE) --no-print-directory --jobs=6 --output-sync=target machines-server machines-client pytest collection types walls

venv:
	@scripts/venv dev

lint: venv ## Check style and format
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: venv ## Check types
	.venv/bin/mypy

walls: venv ## Check that imports between the packages run downwards only
	.venv/bin/lint-imports

pytest: venv ## Run the tests of tests/; PYTEST=… are pytest's options
	.venv/bin/python -m pytest $(PYTEST)

collection: venv ## Run ansible-lint and ansible-test on the collection
	scripts/collection

sanity-2.16: venv ## Run ansible-test sanity with the oldest Ansible that is supported
	scripts/peer-venv ansible-2.16
	PROGRAMS=$(CURDIR)/.cache/ansible-2.16-venv/bin scripts/collection sanity

test-machines: venv ## Test the roles on systemd machines: servers, a fleet, restore, upgrade, ACME, clients, NAT, hooks
	+@$(MAKE) --no-print-directory --jobs=3 --output-sync=target $(SCENARIOS:%=machines-%)

machines-%: venv
	scripts/machines $*

bench: venv ## Measure the speed on this machine, as ratios
	.venv/bin/python -m bench

dist: venv ## Build wheel, source archive and collection into dist/, and check each; URL=… is the public address
	scripts/dist $(URL)

lock: ## Pin the versions of all dependencies in requirements/
	scripts/lock
