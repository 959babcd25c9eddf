# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and statuses of requests, and metrics of a process that cannot see all of /proc."""

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from ddnsd.web.process_metrics import SandboxedProcess
from ddnsd.web.request_metrics import RequestMetrics


def test_requests_are_counted_by_handler_status_and_duration() -> None:
    metrics, registry = RequestMetrics(), CollectorRegistry()
    registry.register(metrics)
    for status, seconds in ((200, 0.001), (200, 0.002), (503, 99.0)):
        metrics.count("update", status, seconds)
    shown = generate_latest(registry).decode().splitlines()
    for line in (
        "# TYPE ddnsd_http_request_duration_seconds histogram",
        "# TYPE ddnsd_http_requests_total counter",
        'ddnsd_http_requests_total{handler="update",status="200"} 2.0',
        'ddnsd_http_requests_total{handler="update",status="503"} 1.0',
        'ddnsd_http_request_duration_seconds_bucket{handler="update",le="0.001"} 1.0',
        'ddnsd_http_request_duration_seconds_bucket{handler="update",le="0.0025"} 2.0',
        'ddnsd_http_request_duration_seconds_bucket{handler="update",le="10.0"} 2.0',
        'ddnsd_http_request_duration_seconds_bucket{handler="update",le="+Inf"} 3.0',
        'ddnsd_http_request_duration_seconds_count{handler="update"} 3.0',
    ):
        assert line in shown


def test_a_sandbox_that_hides_the_machine_hides_no_process_metric(tmp_path: Path) -> None:
    """ProcSubset=pid of systemd leaves only the folders of processes."""
    (tmp_path / "self").symlink_to("/proc/self")
    registry = CollectorRegistry()
    SandboxedProcess(proc=str(tmp_path), registry=registry)
    shown = generate_latest(registry).decode()
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds"):
        assert f"\nprocess_{name} " in shown
