# SPDX-License-Identifier: GPL-3.0-or-later
"""`/healthz`, `/readyz`, `/healthz/dns`, `/metrics`: for probes, balancers, monitoring and Prometheus.

    /healthz       the process runs
    /readyz        this node can serve; 503 if its database is not writable, one of its workers has ended, or its own
                   name server does not answer
    /healthz/dns   every zone is up to date, and the database accepts writes; else 503. The status is `degraded` if
                   something else needs attention: a certificate, a backup, a secondary

Names of zones and causes are only for administrators, who send their token as `Authorization: Bearer`.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import Caller, SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.permissions import Action, can
from ddnsd.checks.findings import ADVICE, Check
from ddnsd.checks.watch import CheckWatch
from ddnsd.dns.causes import KINDS, UNREACHABLE
from ddnsd.dns.monitor import ZoneHealth, ZoneMonitor
from ddnsd.registry.certificates import Certificates
from ddnsd.registry.errors import StoreDown
from ddnsd.registry.readiness import Readiness
from ddnsd.registry.rows import QUEUE_STATES, QueueCounts
from ddnsd.registry.status import Status
from ddnsd.web import process_metrics
from ddnsd.web.asgi import Reply, Request, json_reply, text_reply
from ddnsd.web.request_metrics import RequestMetrics
from ddnsd.web.service_metrics import ServiceSeries

SIGN_IN_SECONDS = 1.5

OK, DEGRADED, ERROR = "ok", "degraded", "error"


class Probes:
    """Health of the process, of the node, and of every zone.

    `embedded` is the address of the name server that belongs to the process. If it does not answer, the node cannot
    serve.
    """

    def __init__(
        self,
        readiness: Readiness,
        watch: ZoneMonitor,
        signin: SignIn,
        *,
        status: Status,
        checks: CheckWatch,
        certificates: Certificates,
        requests: RequestMetrics,
        metrics_zones: int,
        embedded: str | None = None,
    ) -> None:
        self._readiness, self._watch, self._signin, self._embedded = readiness, watch, signin, embedded
        self._status, self._checks = status, checks
        self._service, self._registry = ServiceSeries(status, checks, certificates), CollectorRegistry()
        for series in (self._service, requests, ZoneSeries(watch, status, metrics_zones, lambda: checks.signatures)):
            self._registry.register(series)
        process_metrics.install()

    async def alive(self, _request: Request) -> Reply:
        """Return 200: the process runs."""
        return text_reply(200, "ok")

    async def ready(self, request: Request) -> Reply:
        """Return 200 while this node can serve, else 503. The status is `degraded` if a zone is not up to date."""
        (store, workers), caller = await asyncio.gather(self._readiness.look(), self._administrator(request))
        zones = self._watch.zones()
        hanging = any(self._is_ours_and_hangs(zone) for zone in zones)
        serves = store is None and not workers and not hanging
        status = (DEGRADED if _failing(zones) else OK) if serves else ERROR
        content: dict[str, Any] = {"status": status, "store": OK if store is None else ERROR}
        content["workers"] = ERROR if workers else OK
        if hanging:
            content["primary"] = ERROR
        if caller is not None:
            content |= {"store": store or OK, "workers": "; ".join(workers) or OK}
        return json_reply(200 if serves else 503, content | _told(zones, request, caller))

    async def dns(self, request: Request) -> Reply:
        """Return 200 while every zone is up to date, the monitor runs, and the database accepts writes; else 503.

        The status is `degraded` if only something else needs attention.
        """
        ready, caller = await asyncio.gather(self._readiness.look(), self._administrator(request))
        zones, problems = self._watch.zones(), self._checks.problems()
        if ready.store is not None:
            problems = {Check.DATABASE: [ready.store], **problems}
        follow = not _failing(zones) and self._watch.alive and ready.store is None
        content = {"status": (DEGRADED if problems else OK) if follow else ERROR} | _told(zones, request, caller)
        if problems:
            named = caller is not None and all(can(caller, Action.LIST, zone.domain) for zone in zones)
            content["problems"] = {
                check.value: "; ".join(texts) if named else ADVICE[check] for check, texts in problems.items()
            }
        if "zones" in content and (moves := self._status.moves()):
            content["moves"] = {zone: str(move) for zone, move in moves.items() if zone in content["zones"]}
        return json_reply(200 if follow else 503, content)

    async def metrics(self, _request: Request) -> Reply:
        """Return all metrics in Prometheus text format."""
        self._service.store = (await self._readiness.look()).store
        return Reply(200, generate_latest() + generate_latest(self._registry), CONTENT_TYPE_LATEST.encode())

    def _is_ours_and_hangs(self, zone: ZoneHealth) -> bool:
        return zone.primary == self._embedded and any(cause.kind == UNREACHABLE for cause in zone.causes)

    async def _administrator(self, request: Request) -> Caller | None:
        """The administrator whose token the request has; None also if the token cannot be checked now."""
        scheme, _, token = request.header("authorization").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            async with asyncio.timeout(SIGN_IN_SECONDS):
                caller = await self._signin.by_token(token.strip(), request.peer)
        except (SignInError, StoreDown, ProviderDown, TimeoutError):
            return None
        return caller._replace(admin=True) if "admin" in caller.scopes else None


def _failing(zones: Iterable[ZoneHealth]) -> int:
    return sum(bool(zone.causes) for zone in zones)


def _told(zones: Sequence[ZoneHealth], request: Request, caller: Caller | None) -> dict[str, Any]:
    """The number of failing zones; for administrators also the causes of each zone that their token may see."""
    counts: dict[str, Any] = {"failing_zones": _failing(zones)}
    if frozen := sum(zone.domain.frozen is not None for zone in zones):
        counts["frozen_zones"] = frozen
    if caller is not None:
        seen = (zone for zone in zones if can(caller, Action.LIST, zone.domain))
        return counts | {"zones": {zone.domain.name: _state(zone) for zone in seen}}
    if request.header("authorization"):
        counts["zones_hidden"] = "the token is not an administrator's, or it cannot be checked now"
    return counts


def _state(zone: ZoneHealth) -> str:
    return zone.domain.frozen or "; ".join(map(str, zone.causes)) or OK


class ZoneSeries(Collector):
    """Counts of all zones, and series of at most `shown` zones and as many primaries. Failing ones come first.

    `signatures` returns when the first signature of each signed zone ends.
    """

    def __init__(
        self, watch: ZoneMonitor, status: Status, shown: int, signatures: Callable[[], Mapping[str, int]]
    ) -> None:
        self._watch, self._status, self._shown, self._ends = watch, status, shown, signatures

    def describe(self) -> Iterable[Metric]:
        """Return nothing: at registration the zones are not known yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The current series."""
        zones = self._watch.zones()
        yield GaugeMetricFamily("ddnsd_zones", "Zones that this process watches", len(zones))
        frozen = sum(zone.domain.frozen is not None for zone in zones)
        yield GaugeMetricFamily("ddnsd_zones_frozen", "Zones that are frozen for maintenance", frozen)
        failing = GaugeMetricFamily("ddnsd_zones_failing", "Zones that are not up to date, by cause", labels=["cause"])
        for kind in KINDS:
            failing.add_metric([kind], sum(_has(zone, kind) for zone in zones))
        yield failing
        shown = sorted(zones, key=lambda zone: not zone.causes)[: self._shown]
        unreachable = GaugeMetricFamily(
            "ddnsd_zone_unreachable", "1 while the primary does not answer", labels=["zone"]
        )
        problem = GaugeMetricFamily(
            "ddnsd_zone_problem", "1 while the zone is not up to date for this cause", labels=["zone", "cause"]
        )
        waiting = GaugeMetricFamily("ddnsd_zone_waiting", "Hosts that this process has not sent yet", labels=["zone"])
        maintained = GaugeMetricFamily(
            "ddnsd_zone_frozen", "1 while the zone is frozen for maintenance", labels=["zone"]
        )
        queued = GaugeMetricFamily(
            "ddnsd_zone_queue",
            "Hosts, RRsets and removals that DNS does not have yet, by state, in the whole database",
            labels=["zone", "state"],
        )
        unknown = GaugeMetricFamily(
            "ddnsd_zone_unknown_names",
            "Names in the zone that the database does not have, at the last comparison of all of it",
            labels=["zone"],
        )
        signatures = GaugeMetricFamily(
            "ddnsd_zone_signature_expiry_timestamp_seconds",
            "When the first signature of the zone's apex ends; only of signed zones",
            labels=["zone"],
        )
        repaired = CounterMetricFamily(
            "ddnsd_reconciled_names",
            "Names that differed between DNS and database, and were sent again",
            labels=["zone"],
        )
        ends = self._ends()
        for zone in shown:
            name = zone.domain.name
            unreachable.add_metric([name], _has(zone, UNREACHABLE))
            waiting.add_metric([name], zone.waiting)
            repaired.add_metric([name], zone.repaired)
            maintained.add_metric([name], zone.domain.frozen is not None)
            if zone.contents is not None:
                unknown.add_metric([name], zone.contents.unknown)
            if (end := ends.get(name)) is not None:
                signatures.add_metric([name], end)
            for kind in KINDS:
                problem.add_metric([name, kind], _has(zone, kind))
            numbers = self._status.queue.get(name, QueueCounts())
            for state in QUEUE_STATES:
                queued.add_metric([name, state], getattr(numbers, state))
        yield from (unreachable, problem, waiting, maintained, queued, unknown, signatures, repaired)
        yield from self._moves({zone.domain.name for zone in shown})
        yield from self._primaries()

    def _moves(self, shown: Collection[str]) -> Iterator[Metric]:
        """Of the zones that are shown, those that move or have moved."""
        waiting = GaugeMetricFamily(
            "ddnsd_zone_move_waiting",
            "Hosts that the second primary does not have, which is the new or the old one",
            labels=["zone", "role"],
        )
        problem = GaugeMetricFamily(
            "ddnsd_zone_move_problem", "1 while the second primary is not up to date for a reason", labels=["zone"]
        )
        for name, move in self._status.moves().items():
            if name in shown:
                problem.add_metric([name], move.problem is not None)
                if move.waiting is not None:
                    waiting.add_metric([name, move.role], move.waiting)
        yield from (waiting, problem)

    def _primaries(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("ddnsd_primary_up", "1 while the primary answers", labels=["primary"])
        zones = GaugeMetricFamily("ddnsd_primary_zones", "Zones of the primary", labels=["primary"])
        messages = CounterMetricFamily(
            "ddnsd_primary_messages", "Messages that the primary answered", labels=["primary"]
        )
        failed = GaugeMetricFamily(
            "ddnsd_primary_last_error_timestamp_seconds",
            "Time of the last message that the primary did not answer; 0: never",
            labels=["primary"],
        )
        found = sorted(self._status.primaries(), key=lambda primary: primary.problem is None)
        for primary in found[: self._shown]:
            up.add_metric([primary.name], primary.problem is None)
            zones.add_metric([primary.name], primary.zones)
            messages.add_metric([primary.name], primary.messages)
            failed.add_metric([primary.name], (primary.error_at or 0) / 1_000_000)
        yield from (up, zones, messages, failed)


def _has(zone: ZoneHealth, kind: str) -> int:
    return int(any(cause.kind == kind for cause in zone.causes))
