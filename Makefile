# SPDX-License-Identifier: GPL-3.0-or-later
PYTEST ?= -n 3 --dist worksteal --attacks $(COVERAGE)
COVERAGE ?= --cov --cov-report=

SCENARIOS = server client cloud-init nat
LONG_SCENARIOS = another-role fleet restore upgrade acme hooks guide

# What depends on the version of BIND. Tests that look at the process of named are not here: a loader runs it.
INTEGRATION_9_20 = bind catalog dnssec domains foreign_changes foreign_records freeze journals zone_transfer
CONFORMANCE_9_20 = api_records nic_register nic_unregister update_addresses
TESTS_9_20 = $(INTEGRATION_9_20:%=tests/integration/test_%.py) $(CONFORMANCE_9_20:%=tests/conformance/test_%.py)

# Each part shows its output when it ends.
PARALLEL = $(MAKE) --no-print-directory --output-sync=target
# The tests of pytest have deadlines, so the other parts leave the processor to them.
NICE = nice -n 10

# Every test starts our programs. With compiled modules they start faster, so ignore this setting of the environment.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-full test-machines venv lint types walls pytest long collection units sanity-2.16 bind-9.20 \
  debian-12 containers bench dist audit lock

help: ## Show this list
	@sed -n 's/^\([a-z0-9.-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 24

run: ## Start the service with its own BIND and example hosts; Ctrl-C stops it
	@scripts/run

test: lint ## Run the tests and checks that a change must pass
	+@$(PARALLEL) --jobs=4 types walls pytest collection $(SCENARIOS:%=machines-%)

test-full: export COVERAGE = --cov --cov-config=tests/coverage-full.toml --cov-report=term
test-full: test ## Run everything: `make test`, and the tests that take longer
	+@$(PARALLEL) --jobs=3 units long bind-9.20 debian-12 containers $(LONG_SCENARIOS:%=machines-%)

test-machines: venv ## Test the roles on systemd machines, in all scenarios
	+@$(PARALLEL) --jobs=3 $(SCENARIOS:%=machines-%) debian-12 $(LONG_SCENARIOS:%=machines-%)

venv:
	@scripts/venv dev

lint: venv ## Check style and format
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: venv ## Check types
	$(NICE) .venv/bin/mypy

walls: venv ## Check that imports between the packages run downwards only
	.venv/bin/lint-imports

pytest: venv ## Run the tests of tests/ but the long ones; PYTEST=… are pytest's options
	scripts/in-memory .venv/bin/python -m pytest --no-long $(PYTEST)

long: venv ## Run the long tests of tests/
	$(NICE) scripts/in-memory .venv/bin/python -m pytest -n 2 --dist worksteal -m long

collection: venv ## Run ansible-lint, and ansible-test sanity and integration
	$(NICE) scripts/collection

units: venv ## Run tests/unit/plugins with ansible-test as well, where the collection lies as it is installed
	$(NICE) scripts/collection units

sanity-2.16: venv ## Run ansible-test sanity with the oldest Ansible that is supported
	scripts/peer-venv ansible-2.16
	PROGRAMS=$(CURDIR)/.cache/ansible-2.16-venv/bin scripts/collection sanity

bind-9.20: venv ## Run the tests of records and zones with Debian 13's BIND
	$(NICE) scripts/bind-9.20 scripts/in-memory .venv/bin/python -m pytest -n 2 --dist worksteal $(TESTS_9_20)

debian-12: venv ## Test the roles on Debian 12, with its BIND 9.18 and Python 3.11, and a directory of Samba
	MACHINES_SUITE=bookworm $(NICE) scripts/machines server client cloud-init directory

containers: venv ## Build the images of containers/, and test them with podman
	$(NICE) scripts/containers

machines-%: venv
	$(NICE) scripts/machines $*

bench: venv ## Measure the speed on this machine, as ratios; NAMES=million measures with a million hosts
	.venv/bin/python -m bench $(NAMES)

dist: venv ## Build wheel, source archive and collection into dist/, and check each; URL=… is the public address
	scripts/dist $(URL)

audit: venv ## Compare the locked packages with known vulnerabilities; ADVISORIES=all.zip is an export of osv.dev, for no network
	scripts/peer-venv audit
	.cache/audit-venv/bin/python scripts/audit $(ADVISORIES)

lock: ## Pin the versions of all dependencies in requirements/
	scripts/lock
