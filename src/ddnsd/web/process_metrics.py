# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of the process itself (`process_…`), also in a sandbox that hides /proc/stat (ProcSubset=pid of systemd)."""

import time
from contextlib import suppress

from prometheus_client import PROCESS_COLLECTOR, REGISTRY, CollectorRegistry, ProcessCollector


class SandboxedProcess(ProcessCollector):
    """prometheus_client reads the time of the boot from /proc/stat, and without it shows no metric at all."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def install(registry: CollectorRegistry = REGISTRY) -> None:
    """Replace the collector that prometheus_client has registered."""
    with suppress(KeyError):  # it was replaced before
        registry.unregister(PROCESS_COLLECTOR)
        SandboxedProcess(registry=registry)
