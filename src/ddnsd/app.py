# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the service from its settings. Only here parts are connected."""

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.failure_counter import FailureCounter
from ddnsd.auth.oidc.callbacks import Callbacks
from ddnsd.auth.one_time_secrets import OneTimeSecrets
from ddnsd.auth.passwords import Passwords
from ddnsd.auth.sessions import Sessions
from ddnsd.auth.throttle import LoginThrottle
from ddnsd.auth.tokens import LocalTokens, Verifier
from ddnsd.db import migrate
from ddnsd.db.base import StoreDown
from ddnsd.db.connect import open_store
from ddnsd.db.history_retention import SECONDS as TRIM_SECONDS
from ddnsd.db.history_retention import Trimmer
from ddnsd.db.lookups import Lookups
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.monitor import ZoneMonitor
from ddnsd.dns.secondaries import SECONDS as SECONDARY_SECONDS
from ddnsd.dns.secondaries import Secondaries
from ddnsd.dns.writer import Writer, run_safely
from ddnsd.heartbeat import Heartbeat
from ddnsd.registry.changes import Changes
from ddnsd.registry.credentials import Keys, Tokens
from ddnsd.registry.domain_requests import Requests
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.domains import Domains
from ddnsd.registry.enrolments import Enrolments
from ddnsd.registry.events import AdminStats, AuditLog
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.host_edits import Edits
from ddnsd.registry.host_history import HostHistory
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.hosts import Hosts
from ddnsd.registry.identities import Identities
from ddnsd.registry.last_seen import SECONDS as CONTACT_SECONDS
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.readiness import Readiness
from ddnsd.registry.records import RRsets
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.status import SECONDS as STATUS_SECONDS
from ddnsd.registry.status import Status
from ddnsd.registry.stored_denylist import SECONDS as DENY_SECONDS
from ddnsd.registry.stored_denylist import StoredDenyList
from ddnsd.registry.transfers import Transfers
from ddnsd.registry.unknown_fronts import SECONDS as FRONT_SECONDS
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.registry.update_requests import UpdateRequests
from ddnsd.registry.updates import Updates
from ddnsd.registry.users import Users
from ddnsd.server import Server, listen, url
from ddnsd.settings import Settings
from ddnsd.systemd import Unit
from ddnsd.web.api.context import Context
from ddnsd.web.asgi import Application, Dispatcher, Handler
from ddnsd.web.client_address import Origins
from ddnsd.web.connection_limits import Sources
from ddnsd.web.context import Services
from ddnsd.web.dyndns.agents import Agents
from ddnsd.web.dyndns.duckdns import DuckDnsView
from ddnsd.web.dyndns.dyndns2 import Dyndns2Views
from ddnsd.web.dyndns.egi import EgiApi
from ddnsd.web.dyndns.return_codes import answered
from ddnsd.web.health import Probes
from ddnsd.web.portal.context import Portal

if TYPE_CHECKING:
    from ddnsd.auth.oidc.http_client import Http
    from ddnsd.auth.oidc.login import Flow

USE_SECONDS = 60.0
"""How often the last use of tokens and sessions is written."""

STUCK_SECONDS = 1800.0
"""No periodic task takes this long, because every wait in it has a limit."""

PAUSE_SECONDS = (0.5, 5.0)
"""First and longest pause between tries to reach the database; it doubles in between."""

log = structlog.get_logger()


class Service:
    """The connected parts of one process."""

    def __init__(self, settings: Settings, embedded: str | None = None) -> None:
        """`embedded` is the address of the one name server that belongs to this process, under `ddnsd dev`."""
        self.settings = settings
        self.store = open_store(settings.store_url)
        self.lookups = lookups = Lookups(self.store)
        self.writer = Writer(self.store, lookups, deadline=settings.dns_deadline, default_ttl=settings.ttl)
        self.watch = ZoneMonitor(self.store, self.writer)
        throttle = LoginThrottle(self.store, lookups, settings.signin_failures, enabled=settings.rules)
        self.tokens = LocalTokens(self.store, throttle)
        self.sessions = Sessions(self.store, lookups, settings.session_lifetime, passwords=settings.local_accounts)
        passwords = Passwords(
            self.store, settings.signin_failures, rules=settings.rules, enabled=settings.local_accounts
        )
        policy = settings.policy()
        self.denials = StoredDenyList(self.store, policy.deny)
        provider_guard = FailureCounter(settings.signin_failures, enabled=settings.rules)
        members = Identities(self.store, passwords=settings.local_accounts)
        self._http, flows, access_tokens = _openid(settings, members, provider_guard)
        signin = SignIn(lookups, throttle, [self.tokens, *access_tokens])
        self.secondaries = Secondaries(self.writer, settings.followers)
        self.status = Status(self.store, self.writer, self.watch, self.secondaries, answered)
        self.contacts, self.trimmer, self.fronts = LastSeen(self.store), Trimmer(self.store), Fronts(self.store)
        hosts, domains, access = Hosts(self.store, self.writer, policy), Domains(self.store), HostAccess(lookups)
        requests = UpdateRequests(access, Updates(self.store, self.writer, policy), self.writer)
        agents = Agents(
            settings.agent_deny,
            required=settings.agent_required,
            true_status=settings.agent_true_status,
            also=policy.deny,
        )
        dyndns2 = Dyndns2Views(
            signin,
            requests,
            agents,
            self.contacts,
            self.fronts,
            offline=settings.offline,
            query_credentials=settings.query_credentials,
            loopback_peers=settings.allow_loopback_peers,
        )
        duckdns = DuckDnsView(
            signin,
            access,
            requests,
            agents,
            self.fronts,
            dyndns2.update,
            loopback_peers=settings.allow_loopback_peers,
        )
        egi = EgiApi(
            signin,
            access,
            hosts,
            domains,
            self.fronts,
            base_url=settings.base_url,
            ipv6_url=settings.public_url_ipv6.rstrip("/"),
            loopback_peers=settings.allow_loopback_peers,
        )
        zones = Zones(self.store, settings.bind, settings.primary, self._take_up_domains)
        services = Services(
            policy=policy,
            hosts=hosts,
            edits=Edits(self.store, self.writer, policy),
            host_lists=HostLists(self.store, self.writer, self.contacts),
            host_history=HostHistory(self.store, self.contacts),
            transfers=Transfers(self.store, self.contacts),
            related=RelatedNames(self.store, self.writer, hosts),
            rrsets=RRsets(self.store, self.writer),
            domains=domains,
            zones=zones,
            domain_requests=Requests(self.store, zones),
            tokens=Tokens(self.store),
            keys=Keys(self.store),
            users=Users(self.store),
            audit_log=AuditLog(self.store),
            denylist=self.denials,
            status=self.status,
        )
        context = Context(
            **vars(services),
            signin=signin,
            enrolments=Enrolments(self.store, throttle),
            changes=Changes(self.store, self.writer, policy),
        )
        readiness = Readiness(self.store, lookups, self.trouble, self.writer)
        probes = Probes(readiness, self.watch, signin, metrics_zones=settings.metrics_zones, embedded=embedded)
        routes = _routes(dyndns2, duckdns, egi, probes)
        portal = Portal(
            **vars(services),
            base_url=settings.base_url,
            admin_stats=AdminStats(self.store),
            sessions=self.sessions,
            passwords=passwords,
            identities=members,
            one_time_secrets=OneTimeSecrets(self.store),
            flows=flows,
            callbacks=Callbacks(provider_guard),
        )
        below = {"/api": _api(context)} | _portal(portal)
        origins = Origins(
            settings.proxies, unix_proxy=settings.unix_proxy, unreadable=lambda fault: self.fronts.note(*fault)
        )
        self.app = Dispatcher(routes, origins, below)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heartbeats: dict[str, Heartbeat] = {}
        self._waiting: asyncio.Task[None] | None = None

    async def start(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Start writer and monitor, now or when the database is available.

        Until then callers get StoreDown with the reason; `tell` gets the reason, and "" at the end.
        Raises ForeignSchema, here or in `wait`.
        """
        try:
            await self._begin()
        except StoreDown as error:
            self._hold(str(error), tell)
            self._waiting = asyncio.create_task(self._begin_later(tell))

    async def wait(self) -> None:
        """Wait until writer and monitor run. Raises ForeignSchema."""
        if self._waiting is not None:
            await asyncio.shield(self._waiting)

    async def _begin_later(self, tell: Callable[[str], None]) -> None:
        pause = PAUSE_SECONDS[0]
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS[1])
            try:
                await self._begin()
            except StoreDown as error:
                self._hold(str(error), tell)
            else:
                log.info("database connected")
                tell("")
                return

    def _hold(self, reason: str, tell: Callable[[str], None]) -> None:
        if reason != self.store.held:
            log.error("database not available, updates get 911", reason=reason)
            tell(reason)
        self.store.hold(reason)

    async def _begin(self) -> None:
        """Start the parts. Raises StoreDown (it may then be called again), ForeignSchema."""
        await migrate.verify(self.settings.store_url)
        self.store.release()
        await self.denials.refresh()
        await self.writer.start()
        await self.watch.start()
        for seconds, work, what in (
            (USE_SECONDS, self.tokens.record_use, "use of tokens"),
            (USE_SECONDS, self.sessions.record_seen, "use of sessions"),
            (CONTACT_SECONDS, self.contacts.write, "contacts"),
            (FRONT_SECONDS, self.fronts.write, "fronts"),
            (TRIM_SECONDS, self.trimmer.run, "trimming of histories"),
            (DENY_SECONDS, self.denials.refresh, "deny lists"),
            (STATUS_SECONDS, self.status.look, "status"),
            (SECONDARY_SECONDS, self.secondaries.look, "secondaries"),
        ):
            heartbeat = self._heartbeats[what] = Heartbeat(STUCK_SECONDS)
            self._tasks[what] = asyncio.create_task(_repeat(seconds, work, what, heartbeat))

    async def stop(self) -> None:
        """Stop everything that `start` has started."""
        for task in (*self._tasks.values(), *filter(None, [self._waiting])):
            task.cancel()
        await self.watch.stop()
        await run_safely(self.writer.stop, "last marks")
        await run_safely(self.tokens.record_use, "use of tokens")
        await run_safely(self.sessions.record_seen, "use of sessions")
        await run_safely(self.contacts.write, "contacts")
        await run_safely(self.fronts.write, "fronts")
        if self._http is not None:
            await self._http.close()
        await self.store.close()

    def trouble(self) -> str | None:
        """The part that has ended or hangs, or None."""
        if not self.lookups.alive:
            return "lookups"
        if not self._tasks:
            return "wait for the database" if self._waiting is None or self._waiting.done() else None
        if not self.writer.alive:
            return "writer"
        if not self.watch.alive:
            return "watch"
        parts = self._tasks.items()
        return next((what for what, task in parts if task.done() or not self._heartbeats[what].alive), None)

    async def _take_up_domains(self) -> None:
        await run_safely(self.writer.refresh, "domains")


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]], what: str, heartbeat: Heartbeat) -> None:
    while True:
        heartbeat.step()
        await asyncio.sleep(seconds)
        await run_safely(work, what)


def _openid(
    settings: Settings, members: Identities, guard: FailureCounter
) -> "tuple[Http | None, dict[str, Flow], list[Verifier]]":
    if not settings.providers:
        return None, {}, []
    from ddnsd.auth.oidc.bearer import AccessTokens  # here: most services start without
    from ddnsd.auth.oidc.client import Client
    from ddnsd.auth.oidc.http_client import Http
    from ddnsd.auth.oidc.login import Flow

    http = Http()
    clients = [Client(provider, http) for provider in settings.providers]
    flows = {client.provider.name: Flow(client, settings.base_url) for client in clients}
    return http, flows, [AccessTokens(clients, members, guard)]


def _api(context: Context) -> Application:
    from ddnsd.web.api import app  # here: the import is slow, and the commands do not need it

    return app.build(context)


def _portal(portal: Portal) -> dict[str, Application]:
    from ddnsd.web.portal import app  # here: as above

    return dict.fromkeys(app.PATHS, app.build(portal))


def _routes(dyndns2: Dyndns2Views, duckdns: DuckDnsView, egi: EgiApi, probes: Probes) -> dict[str, Handler]:
    updates = ("/nic/update", "/v3/update", "/dyndns/update")
    return dict.fromkeys(updates, dyndns2.update) | {
        "/update": duckdns.update,
        "/nic/delete": dyndns2.delete,
        "/myip": dyndns2.myip,
        "/nic/domains": egi.domains,
        "/nic/hosts": egi.hosts,
        "/nic/register": egi.register,
        "/nic/unregister": egi.unregister,
        "/nic/generate_secret": egi.generate_secret,
        "/healthz": probes.alive,
        "/readyz": probes.ready,
        "/healthz/dns": probes.dns,
        "/metrics": probes.metrics,
    }


async def serve(settings: Settings, unit: Unit, ready: Callable[[str], None], embedded: str | None = None) -> None:
    """Serve until SIGINT or SIGTERM, on the unit's sockets if it has some; `ready` gets the URL when it answers.

    `embedded` as in `Service`. Without its database it answers 911. Raises OSError, ForeignSchema.
    """
    service = Service(settings, embedded)
    sockets = list(unit.sockets) or [listen(Endpoint.from_text(text)) for text in (settings.http, *settings.listen)]
    where = url(sockets[0]) if unit.sockets else f"http://{settings.http}"
    await service.start(lambda reason: unit.notify(f"STATUS={reason}"))
    gc.collect()
    gc.freeze()  # exclude loaded objects: a full collection would stop all requests for tens of milliseconds

    def started() -> None:
        ready(where)
        unit.notify("READY=1")

    server = Server(
        service.app,
        Sources(settings.connections_per_address, settings.proxies),
        started,
        stopping=lambda: unit.notify("STOPPING=1"),
    )
    watchdog = asyncio.create_task(unit.keep_alive(service.trouble))
    waiting = asyncio.create_task(service.wait())
    waiting.add_done_callback(lambda task: _stop_if_failed(server, task))
    try:
        await server.serve(sockets)
    finally:
        failed = waiting.done()
        for task in (watchdog, waiting):
            task.cancel()
        await service.stop()
    if failed:
        waiting.result()


def _stop_if_failed(server: Server, waiting: "asyncio.Task[None]") -> None:
    if not waiting.cancelled() and waiting.exception() is not None:
        server.should_exit = True


def set_up_logging(level: str) -> None:
    """Log one line per event to standard error, never a query string, a header or a secret."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(threshold, logging.WARNING), format="%(levelname)s %(name)s %(message)s")
