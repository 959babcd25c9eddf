# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of the whole service: hosts, queue, database, secondaries, and what surrounds it."""

import importlib.metadata
import platform
import time
from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ddnsd.checks.findings import Check
from ddnsd.checks.watch import CheckWatch
from ddnsd.registry.certificates import Certificates
from ddnsd.registry.rows import QUEUE_STATES
from ddnsd.registry.status import Status

VERSION = importlib.metadata.version("fedcloud-ddns")


class ServiceSeries(Collector):
    """The series. `store` is the problem of the database, or None; it is set before each collection."""

    def __init__(self, status: Status, checks: CheckWatch, certificates: Certificates) -> None:
        self._status, self._checks, self._certificates = status, checks, certificates
        self.store: str | None = None

    def describe(self) -> Iterable[Metric]:
        """Return nothing: at registration nothing is known yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The current series. What is not configured, or not known yet, is missing."""
        build = GaugeMetricFamily("ddnsd_build_info", "1, with the versions as labels", labels=["version", "python"])
        build.add_metric([VERSION, platform.python_version()], 1)
        yield build
        yield GaugeMetricFamily("ddnsd_store_up", "1 while the database accepts writes", self.store is None)
        if self._status.hosts is not None:
            yield GaugeMetricFamily("ddnsd_hosts", "Hosts in the database", self._status.hosts)
        if (totals := self._certificates.totals) is not None:
            yield GaugeMetricFamily("ddnsd_host_certificates", "Hosts with a valid certificate", totals.number)
            if totals.first_end is not None:
                yield GaugeMetricFamily(
                    "ddnsd_host_certificates_first_end_timestamp_seconds",
                    "When the first of these certificates ends",
                    totals.first_end / 1e6,
                )
            ending = GaugeMetricFamily(
                "ddnsd_host_certificates_ending",
                "Hosts whose certificate ends within so many days and should have been renewed",
                labels=["days"],
            )
            for days, number in totals.ending.items():
                ending.add_metric([str(days)], number)
            yield ending
        yield from self._queue()
        yield from self._secondaries()
        yield from self._surroundings()
        problems = GaugeMetricFamily(
            "ddnsd_check_problems",
            "Problems of a check; /healthz/dns shows them with an administrator's token, and `ddnsd doctor` does",
            labels=["check"],
        )
        found = self._checks.problems()
        for check in Check:
            number = len(found.get(check, ())) if check != Check.DATABASE else int(self.store is not None)
            problems.add_metric([check], number)
        yield problems

    def _queue(self) -> Iterator[Metric]:
        numbers = self._status.queue.values()
        items = GaugeMetricFamily(
            "ddnsd_queue_items",
            "Hosts, RRsets and removals that DNS does not have yet, by state, in the whole database",
            labels=["state"],
        )
        for state in QUEUE_STATES:
            items.add_metric([state], sum(getattr(one, state) for one in numbers))
        yield items
        oldest = min((one.waiting_since for one in numbers if one.waiting_since is not None), default=None)
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest / 1_000_000)
        yield GaugeMetricFamily(
            "ddnsd_queue_oldest_age_seconds",
            "Age of the oldest change that waits to be sent, in zones that are not frozen; 0: none",
            age,
        )

    def _secondaries(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "ddnsd_secondary_up", "1 while the secondary answers for every zone", labels=["secondary"]
        )
        lag = GaugeMetricFamily(
            "ddnsd_secondary_lag_seconds",
            "Longest time that a zone of the secondary is behind its primary without progress",
            labels=["secondary"],
        )
        for one in self._checks.lags():
            up.add_metric([str(one.endpoint)], one.answers)
            lag.add_metric([str(one.endpoint)], one.seconds)
        yield from (up, lag)

    def _surroundings(self) -> Iterator[Metric]:
        checks = self._checks
        if checks.expires is not None:
            yield GaugeMetricFamily(
                "ddnsd_certificate_expiry_timestamp_seconds", "When the front's certificate ends", checks.expires
            )
        failed = GaugeMetricFamily("ddnsd_backup_failed", "1 if the last run of the job failed", labels=["kind"])
        succeeded = GaugeMetricFamily(
            "ddnsd_backup_last_success_timestamp_seconds", "Time of the last good run of the job", labels=["kind"]
        )
        octets = GaugeMetricFamily("ddnsd_backup_size_bytes", "Size of the last good backup", labels=["kind"])
        for kind, report in checks.reports.items():
            failed.add_metric([kind], bool(report.problem))
            if report.succeeded is not None:
                succeeded.add_metric([kind], report.succeeded)
            if report.size is not None:
                octets.add_metric([kind], report.size)
        yield from (failed, succeeded, octets)
        free = GaugeMetricFamily("ddnsd_disk_free_bytes", "Free space of the disk, by its use", labels=["use"])
        size = GaugeMetricFamily("ddnsd_disk_size_bytes", "Size of the disk, by its use", labels=["use"])
        for use, disk in checks.disks.items():
            free.add_metric([use], disk.free)
            size.add_metric([use], disk.size)
        offset = GaugeMetricFamily(
            "ddnsd_clock_offset_seconds", "Seconds by which the other clock is ahead of this one", labels=["clock"]
        )
        for other, seconds in checks.offsets.items():
            offset.add_metric([other], seconds)
        yield from (free, size, offset)
