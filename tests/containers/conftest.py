# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of containers/. scripts/containers builds them and runs these tests; otherwise they are not collected."""

import os

COMPOSE = os.environ.get("DDNS_PODMAN_COMPOSE", "")

collect_ignore_glob = [] if COMPOSE else ["test_*.py"]
