# SPDX-License-Identifier: GPL-3.0-or-later
PYTEST ?= -n 3 --dist worksteal

SCENARIOS = fleet server client restore upgrade acme nat hooks cloud-init

# Every test starts programs of ours: Python is to keep what it has compiled, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-machines venv lint types walls collection pytest bench lock

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

run: ## Start the service on an embedded BIND, with example hosts, until Ctrl-C
	@scripts/run

test: lint ## Everything that CI runs; what waits runs beside what computes, and is shown when it has ended
	+@$(MAKE) --no-print-directory --jobs=6 --output-sync=target machines-server machines-client pytest collection types walls

venv:
	@scripts/venv dev

lint: venv
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: venv
	.venv/bin/mypy

walls: venv
	.venv/bin/lint-imports

pytest: venv
	.venv/bin/python -m pytest $(PYTEST)

collection: venv
	scripts/collection

test-machines: venv ## Prove the roles on real systemd machines: servers, a fleet, restore, upgrade, ACME, clients, NAT, hooks
	+@$(MAKE) --no-print-directory --jobs=3 --output-sync=target $(SCENARIOS:%=machines-%)

machines-%: venv
	scripts/machines $*

bench: venv ## Print the speed claims, as ratios measured on this machine
	.venv/bin/python -m bench

lock: ## Pin what pyproject.toml and requirements/*.in ask for
	scripts/lock
