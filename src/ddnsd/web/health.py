# SPDX-License-Identifier: GPL-3.0-or-later
"""`/healthz`, `/readyz`, `/healthz/dns`, `/metrics`: for probes, balancers, monitoring and Prometheus.

    /healthz       the process turns
    /readyz        this node can serve: 503 where its database takes no writes or one of its workers has ended
    /healthz/dns   every zone follows the store: 503 where one does not

Names of zones and causes are for administrators: their token comes as `Authorization: Bearer`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import Caller, SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.permissions import Action, can
from ddnsd.dns.causes import KINDS, UNREACHABLE
from ddnsd.dns.monitor import ZoneHealth, ZoneMonitor
from ddnsd.registry.errors import StoreDown
from ddnsd.registry.readiness import Readiness
from ddnsd.web.asgi import Reply, Request, json_reply, text_reply

SIGN_IN_SECONDS = 1.5

OK, DEGRADED, ERROR = "ok", "degraded", "error"


class Probes:
    """Health of the process, of the node, and of every zone.

    `embedded` is the address of a name server that belongs to the process: without it the node cannot serve.
    """

    def __init__(
        self,
        readiness: Readiness,
        watch: ZoneMonitor,
        signin: SignIn,
        *,
        metrics_zones: int,
        embedded: str | None = None,
    ) -> None:
        self._readiness, self._watch, self._signin, self._embedded = readiness, watch, signin, embedded
        self._zones = CollectorRegistry()
        self._zones.register(ZoneSeries(watch, metrics_zones))

    async def alive(self, _request: Request) -> Reply:
        """The process answers."""
        return text_reply(200, "ok")

    async def ready(self, request: Request) -> Reply:
        """200 while this node can serve, with the status `degraded` where a zone does not follow; else 503."""
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
        """200 while every zone follows the store, else 503."""
        caller, zones = await self._administrator(request), self._watch.zones()
        follow = not _failing(zones) and self._watch.alive
        content = {"status": OK if follow else ERROR} | _told(zones, request, caller)
        return json_reply(200 if follow else 503, content)

    async def metrics(self, _request: Request) -> Reply:
        """Prometheus text."""
        return Reply(200, generate_latest() + generate_latest(self._zones), CONTENT_TYPE_LATEST.encode())

    def _is_ours_and_hangs(self, zone: ZoneHealth) -> bool:
        return zone.primary == self._embedded and any(cause.kind == UNREACHABLE for cause in zone.causes)

    async def _administrator(self, request: Request) -> Caller | None:
        """The administrator whose token comes with the request; None also where that cannot be known now."""
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
    """How many zones fail; for an administrator which, and why: those within the limits of the token."""
    counts: dict[str, Any] = {"failing_zones": _failing(zones)}
    if caller is not None:
        seen = (zone for zone in zones if can(caller, Action.LIST, zone.domain))
        return counts | {"zones": {zone.domain.name: "; ".join(map(str, zone.causes)) or OK for zone in seen}}
    if request.header("authorization"):
        counts["zones_hidden"] = "this is no administrator's token, or it cannot be checked now"
    return counts


class ZoneSeries(Collector):
    """Counts of all zones, and series of at most `shown` zones: those that do not follow come first."""

    def __init__(self, watch: ZoneMonitor, shown: int) -> None:
        self._watch, self._shown = watch, shown

    def describe(self) -> Iterable[Metric]:
        """Nothing: the zones are not known yet when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The series as of now."""
        zones = self._watch.zones()
        yield GaugeMetricFamily("ddnsd_zones", "Zones that this process watches", len(zones))
        failing = GaugeMetricFamily("ddnsd_zones_failing", "Zones that do not follow, by cause", labels=["cause"])
        for kind in KINDS:
            failing.add_metric([kind], sum(_has(zone, kind) for zone in zones))
        yield failing
        shown = sorted(zones, key=lambda zone: not zone.causes)[: self._shown]
        unreachable = GaugeMetricFamily(
            "ddnsd_zone_unreachable", "1 while the primary does not answer", labels=["zone"]
        )
        problem = GaugeMetricFamily("ddnsd_zone_problem", "1 while this keeps a zone back", labels=["zone", "cause"])
        waiting = GaugeMetricFamily("ddnsd_zone_waiting", "Hosts that this process has to send", labels=["zone"])
        repaired = CounterMetricFamily(
            "ddnsd_reconciled_names", "Names that DNS held otherwise than the store", labels=["zone"]
        )
        for zone in shown:
            name = zone.domain.name
            unreachable.add_metric([name], _has(zone, UNREACHABLE))
            waiting.add_metric([name], zone.waiting)
            repaired.add_metric([name], zone.repaired)
            for kind in KINDS:
                problem.add_metric([name, kind], _has(zone, kind))
        yield from (unreachable, problem, waiting, repaired)


def _has(zone: ZoneHealth, kind: str) -> int:
    return int(any(cause.kind == kind for cause in zone.causes))
