# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and statuses of requests, counted without locks: the event loop is the only thread that counts.

A `Histogram` of prometheus_client takes several locks for each request, which the path of an update would notice.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets in seconds; beyond the last one is one more."""

HANDLERS = {
    **dict.fromkeys(
        ("/nic/update", "/v3/update", "/dyndns/update", "/update", "/nic/delete", "/dynamic/update.php", "/u/"),
        "update",
    ),
    **dict.fromkeys(
        ("/nic/domains", "/nic/hosts", "/nic/register", "/nic/unregister", "/nic/generate_secret"), "management"
    ),
    **dict.fromkeys(("/healthz", "/readyz", "/healthz/dns", "/metrics"), "health"),
    **dict.fromkeys(("/acme/present", "/acme/cleanup", "/acme-dns/update", "/acme-dns/register"), "acme"),
    "/myip": "myip",
}
"""The handlers of fixed paths, as metrics name them."""

API, PORTAL, OTHER = "api", "portal", "other"


class _Handler:
    """The numbers of one handler."""

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.statuses: dict[int, int] = {}


class RequestMetrics(Collector):
    """Counts answered requests by handler."""

    def __init__(self) -> None:
        self._handlers: dict[str, _Handler] = {}

    def count(self, handler: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        found = self._handlers.get(handler)
        if found is None:
            found = self._handlers[handler] = _Handler()
        found.buckets[bisect_left(BOUNDS, seconds)] += 1
        found.seconds += seconds
        found.statuses[status] = found.statuses.get(status, 0) + 1

    def describe(self) -> Iterable[Metric]:
        """Return nothing: at registration there are no requests."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The current numbers."""
        requests = CounterMetricFamily(
            "ddnsd_http_requests", "Answered requests, by handler and status", labels=["handler", "status"]
        )
        durations = HistogramMetricFamily(
            "ddnsd_http_request_duration_seconds", "Time until the answer was written, by handler", labels=["handler"]
        )
        for handler, found in sorted(self._handlers.items()):
            for status, number in sorted(found.statuses.items()):
                requests.add_metric([handler, str(status)], number)
            durations.add_metric([handler], list(_cumulated(found.buckets)), found.seconds)
        yield from (requests, durations)


def _cumulated(buckets: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, number in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
        total += number
        yield bound, total
