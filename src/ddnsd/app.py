# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the service from its settings. Only here parts are connected."""

import asyncio
import contextlib
import gc
import ipaddress
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.device_keys import DeviceKeys
from ddnsd.auth.failed_sign_ins import SECONDS as FAILED_SECONDS
from ddnsd.auth.failed_sign_ins import UNKNOWN, FailedSignIns
from ddnsd.auth.failure_counter import FailureCounter
from ddnsd.auth.oidc.callbacks import Callbacks
from ddnsd.auth.one_time_secrets import OneTimeSecrets
from ddnsd.auth.passkey_throttle import PasskeyThrottle
from ddnsd.auth.passkeys import Site
from ddnsd.auth.passwords import Passwords
from ddnsd.auth.pending_signin import PendingSignIns
from ddnsd.auth.sealing import BadKeyFile, SealingKeys
from ddnsd.auth.sessions import Sessions
from ddnsd.auth.throttle import LoginThrottle
from ddnsd.auth.tokens import LocalTokens, Verifier
from ddnsd.auth.tsig_callers import TsigCallers
from ddnsd.auth.tsig_secrets import SECONDS as TSIG_SECONDS
from ddnsd.auth.tsig_secrets import TsigSecrets
from ddnsd.checks.watch import SECONDS as CHECK_SECONDS
from ddnsd.checks.watch import CheckWatch
from ddnsd.db import migrate, moved, postgres_tls
from ddnsd.db.base import StoreDown
from ddnsd.db.connect import open_store
from ddnsd.db.lookups import Lookups
from ddnsd.db.retention import SECONDS as TRIM_SECONDS
from ddnsd.db.retention import Trimmer
from ddnsd.dns.bind.statistics import StatisticsChannel
from ddnsd.dns.delegations import SECONDS as DELEGATION_SECONDS
from ddnsd.dns.delegations import Delegations
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.mirror import SECONDS as MIRROR_SECONDS
from ddnsd.dns.mirror import Mirrors
from ddnsd.dns.monitor import ZoneMonitor
from ddnsd.dns.secondaries import SECONDS as SECONDARY_SECONDS
from ddnsd.dns.secondaries import Secondaries
from ddnsd.dns.writer import Writer, run_safely
from ddnsd.heartbeat import Heartbeat
from ddnsd.registry import dhcp_configs
from ddnsd.registry.abuse_reports import AbuseReports
from ddnsd.registry.account_export import AccountExport
from ddnsd.registry.certificates import SECONDS as CERTIFICATE_SECONDS
from ddnsd.registry.certificates import Budgets, Certificates
from ddnsd.registry.challenges import SECONDS as CHALLENGE_SECONDS
from ddnsd.registry.challenges import Challenges
from ddnsd.registry.changes import Changes
from ddnsd.registry.credentials import Keys, Tokens
from ddnsd.registry.dhcp_keys import DhcpKeys
from ddnsd.registry.dhcp_updates import DhcpUpdates
from ddnsd.registry.domain_requests import Requests
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.domains import Domains
from ddnsd.registry.enrolments import Enrolments
from ddnsd.registry.events import AdminStats, AuditLog
from ddnsd.registry.fleet_devices import FleetDevices
from ddnsd.registry.history import HostHistory
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.hosts import Edits, Hosts
from ddnsd.registry.identities import Identities
from ddnsd.registry.last_seen import SECONDS as CONTACT_SECONDS
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.passkeys import Passkeys
from ddnsd.registry.quota_overrides import QuotaOverrides
from ddnsd.registry.rates import SECONDS as RATES_SECONDS
from ddnsd.registry.rates import Rates
from ddnsd.registry.readiness import Readiness
from ddnsd.registry.records import RRsets
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.second_factors import SecondFactors
from ddnsd.registry.stacks import Stacks
from ddnsd.registry.status import HOSTS_SECONDS, Status
from ddnsd.registry.status import SECONDS as STATUS_SECONDS
from ddnsd.registry.stored_denylist import SECONDS as DENY_SECONDS
from ddnsd.registry.stored_denylist import StoredDenyList
from ddnsd.registry.transfers import Transfers
from ddnsd.registry.unknown_fronts import SECONDS as FRONT_SECONDS
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.registry.update_requests import UpdateRequests
from ddnsd.registry.updates import Updates
from ddnsd.registry.users import Users
from ddnsd.registry.webhook_sender import SECONDS as WEBHOOK_SECONDS
from ddnsd.registry.webhook_sender import WebhookSender
from ddnsd.registry.webhooks import Webhooks, address_rule
from ddnsd.registry.zone_updates import ZoneUpdates
from ddnsd.server import Server, listen, url
from ddnsd.settings import PREFIX, RELOADABLE, Settings, SettingsError, differences
from ddnsd.systemd import Unit
from ddnsd.web.api.bulk_turns import BulkTurns
from ddnsd.web.api.dependencies import Context
from ddnsd.web.asgi import Application, Dispatcher, Handler
from ddnsd.web.client_address import Origins
from ddnsd.web.connection_limits import Sources
from ddnsd.web.context import Services
from ddnsd.web.dnsupdate.door import UpdateDoor
from ddnsd.web.dnsupdate.server import DnsServer
from ddnsd.web.dyndns.acme_clients import AcmeClientViews
from ddnsd.web.dyndns.agents import Agents
from ddnsd.web.dyndns.duckdns import DuckDnsView
from ddnsd.web.dyndns.dyndns2 import Dyndns2Views
from ddnsd.web.dyndns.egi import EgiApi
from ddnsd.web.dyndns.freedns import QUERY_PATH, TOKEN_PATH, FreeDnsView
from ddnsd.web.dyndns.return_codes import answered
from ddnsd.web.health import Probes
from ddnsd.web.portal.context import Portal
from ddnsd.web.request_metrics import RequestMetrics
from ddnsd.web.update_port import UpdatePort
from ddnsd.webhooks.client import Resolver

if TYPE_CHECKING:
    from ddnsd.acme.client import AcmeClient
    from ddnsd.auth.oidc.http_client import Http
    from ddnsd.auth.oidc.login import Flow

USE_SECONDS = 60.0
"""How often the last use of tokens and sessions is written."""

STUCK_SECONDS = 1800.0
"""No periodic task takes this long, because every wait in it has a limit."""

PAUSE_SECONDS = (0.5, 5.0)
"""First and longest pause between tries to reach the database; it doubles in between."""

METHOD_LEVELS = {"exception": "error", "msg": "info", "warn": "warning"}
"""Levels of the log methods that are not named after theirs."""

log = structlog.get_logger()


class Service:
    """The connected parts of one process."""

    def __init__(self, settings: Settings, embedded: str | None = None) -> None:
        """`embedded` is the address of the one name server that belongs to this process, under `ddnsd dev`."""
        self.settings = settings
        self.store = open_store(settings.store_url)
        self.lookups = lookups = Lookups(self.store)
        self.writer = Writer(self.store, lookups, deadline=settings.dns_deadline, default_ttl=settings.ttl)
        channels = {primary: StatisticsChannel(channel) for primary, channel in settings.channels.items()}
        self.watch = ZoneMonitor(self.store, self.writer, channels)
        self.mirrors = Mirrors(self.store, self.writer, deadline=settings.dns_deadline, default_ttl=settings.ttl)
        self._throttle = throttle = LoginThrottle(self.store, lookups, settings.signin_failures, enabled=settings.rules)
        claims_age = settings.claims_age
        self.tokens = LocalTokens(self.store, throttle, claims_age)
        self.sessions = Sessions(
            self.store,
            lookups,
            settings.session_lifetime,
            claims_age,
            passwords=settings.local_accounts,
            admin_factor=settings.admin_second_factor,
        )
        self._failed_sign_ins = failed = FailedSignIns(self.store)
        self._passwords = passwords = Passwords(
            self.store,
            settings.signin_failures,
            rules=settings.rules,
            enabled=settings.local_accounts,
            failed=failed,
        )
        factor_keys = _factor_keys(settings)
        self._passkey_guard = passkey_guard = FailureCounter(settings.signin_failures, enabled=settings.rules)
        self._policy = policy = settings.policy()
        self.denials, self.rates = StoredDenyList(self.store, policy.deny), Rates(self.store, policy)
        self._provider_guard = provider_guard = FailureCounter(settings.signin_failures, enabled=settings.rules)
        members = Identities(self.store, claims_age, passwords=settings.local_accounts)
        self._http, flows, access_tokens = _openid(settings, members, provider_guard)
        self.tsig = tsig = TsigSecrets(self.store, lookups, factor_keys if settings.update_listen else None)
        signin = SignIn(lookups, throttle, [self.tokens, *access_tokens], failed, tsig.note, DeviceKeys(factor_keys))
        self.secondaries = Secondaries(self.writer, settings.followers, self.watch.serial)
        self.delegations = Delegations(self.writer, self.watch.serial, settings.bind)
        self.checks = CheckWatch(
            settings.surroundings, self.store, self.writer, self.watch, self.secondaries, self.delegations
        )
        self.status = Status(self.store, self.writer, self.watch, self.secondaries, answered)
        self.contacts, self.trimmer, self.fronts = LastSeen(self.store), Trimmer(self.store), Fronts(self.store)
        hosts = Hosts(self.store, self.writer, policy, self.rates)
        edits = Edits(self.store, self.writer, policy, self.rates)
        self._abuse_reports = AbuseReports(self.store, edits, settings.abuse_reports_per_hour, rules=settings.rules)
        domains, access = Domains(self.store), HostAccess(lookups)
        updates = Updates(self.store, lookups, self.writer, policy, self.rates)
        requests = UpdateRequests(access, updates, self.writer)
        self._agents = agents = Agents(
            settings.agent_deny,
            required=settings.agent_required,
            true_status=settings.agent_true_status,
            also=policy.deny,
        )
        self._dyndns2 = dyndns2 = Dyndns2Views(
            signin,
            requests,
            agents,
            self.contacts,
            self.fronts,
            FleetDevices(self.store, lookups, hosts, claims_age),
            offline=settings.offline,
            query_credentials=settings.query_credentials,
            loopback_peers=settings.allow_loopback_peers,
        )
        rrsets = RRsets(self.store, self.writer, self.rates)
        duckdns = DuckDnsView(
            signin,
            access,
            requests,
            agents,
            self.fronts,
            dyndns2.update,
            rrsets,
            loopback_peers=settings.allow_loopback_peers,
        )
        freedns = FreeDnsView(
            signin,
            requests,
            agents,
            self.contacts,
            self.fronts,
            loopback_peers=settings.allow_loopback_peers,
        )
        self.challenges = challenges = Challenges(self.store, rrsets)
        acme_clients = AcmeClientViews(signin, access, challenges, agents)
        host_lists = HostLists(self.store, self.writer, self.contacts)
        egi = EgiApi(
            signin,
            access,
            hosts,
            host_lists,
            domains,
            self.fronts,
            self.rates,
            tsig,
            base_url=settings.base_url,
            ipv6_url=settings.public_url_ipv6.rstrip("/"),
            loopback_peers=settings.allow_loopback_peers,
        )
        self._own_tokens = tokens = Tokens(self.store, policy, settings.token_max_days)
        zones = Zones(
            self.store, settings.bind, settings.primary, settings.surroundings.resolver, self._take_up_domains
        )
        dhcp = DhcpKeys(self.store, tsig, dhcp_configs.endpoint(settings.update_listen))
        self.certificates = Certificates(
            self.store,
            self.writer,
            self.secondaries,
            challenges,
            _acme(settings),
            Budgets(settings.acme_host_budget, settings.acme_domain_budget),
        )
        rule = address_rule([ipaddress.ip_network(text) for text in settings.webhook_networks])
        self.webhook_sender = WebhookSender(self.store, factor_keys, Resolver(rule), claims_age)
        services = Services(
            policy=policy,
            rates=self.rates,
            quota_overrides=QuotaOverrides(self.store, self.rates),
            hosts=hosts,
            edits=edits,
            abuse_reports=self._abuse_reports,
            host_lists=host_lists,
            host_history=HostHistory(self.store, self.contacts),
            transfers=Transfers(self.store, self.contacts),
            related=RelatedNames(self.store, self.writer, hosts, policy, self.rates),
            rrsets=rrsets,
            certificates=self.certificates,
            domains=domains,
            zones=zones,
            domain_requests=Requests(self.store, zones),
            tokens=tokens,
            keys=Keys(self.store, policy),
            dhcp_keys=dhcp,
            stacks=Stacks(self.store),
            webhooks=Webhooks(self.store, factor_keys, Resolver(rule)),  # not the sender's, whom users could hold up
            users=Users(self.store, claims_age),
            account_export=AccountExport(self.store, self.contacts),
            second_factors=SecondFactors(self.store, factor_keys, settings.public_host),
            passkeys=Passkeys(
                self.store,
                factor_keys,
                Site.of_url(settings.base_url) if settings.local_accounts else None,
                PasskeyThrottle(passkey_guard, failed),
                settings.public_host,
            ),
            audit_log=AuditLog(self.store),
            denylist=self.denials,
            status=self.status,
            tsig=tsig,
            update_port=UpdatePort.of(settings.update_listen, settings.update_algorithms, settings.public_host),
        )
        context = Context(
            **vars(services),
            signin=signin,
            enrolments=Enrolments(self.store, throttle),
            changes=Changes(self.store, self.writer, policy, self.rates),
            bulk_turns=BulkTurns(),
        )
        readiness = Readiness(self.store, lookups, self.trouble, self.writer)
        requests_served = RequestMetrics()
        probes = Probes(
            readiness,
            self.watch,
            signin,
            status=self.status,
            checks=self.checks,
            certificates=self.certificates,
            requests=requests_served,
            metrics_zones=settings.metrics_zones,
            embedded=embedded,
        )
        routes = _routes(dyndns2, duckdns, freedns, acme_clients, egi, probes)
        portal = Portal(
            **vars(services),
            base_url=settings.base_url,
            admin_stats=AdminStats(self.store),
            sessions=self.sessions,
            passwords=passwords,
            identities=members,
            one_time_secrets=OneTimeSecrets(self.store),
            pending_signins=PendingSignIns(self.store, factor_keys),
            flows=flows,
            callbacks=Callbacks(provider_guard),
        )
        below = {"/api": _api(context)} | _portal(portal)
        self._origins = origins = Origins(
            settings.proxies, unix_proxy=settings.unix_proxy, unreadable=lambda fault: self.fronts.note(*fault)
        )
        self.app = Dispatcher(routes, origins, below, requests_served)
        self.sources = Sources(settings.connections_per_address, settings.proxies)
        self.dns_server = None
        if settings.update_listen:
            zone_updates = ZoneUpdates(
                self.store, lookups, self.writer, updates, services.rrsets, hosts, edits, domains, self.rates
            )
            callers = TsigCallers(lookups, tsig, signin, self.tokens)
            algorithms = settings.update_algorithms
            dhcp_updates = DhcpUpdates(self.store, self.writer, policy)
            door = UpdateDoor(
                callers, zone_updates, dhcp_updates, domains, self.writer, self.contacts, failed, algorithms
            )
            self.dns_server = DnsServer(door, self.sources)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heartbeats: dict[str, Heartbeat] = {}
        self._waiting: asyncio.Task[None] | None = None

    def reload(self, loaded: Settings) -> tuple[list[str], list[str]]:
        """Apply the settings that can change while the service runs.

        Returns the names of those that it applied, and of those that differ and need a restart.
        """
        differ = differences(self.settings, loaded)
        applied = [name for name in differ if name in RELOADABLE]
        # a copy of the new ones: they know which quotas are given, also if a value equals the default
        later = [name for name in differ if name not in RELOADABLE]
        self.settings = now = loaded.model_copy(update={name: getattr(self.settings, name) for name in later})
        self._policy.use(now.policy())
        self._agents.use(now.agent_deny, required=now.agent_required, true_status=now.agent_true_status)
        self._dyndns2.use(offline=now.offline, query_credentials=now.query_credentials)
        self._origins.use(now.proxies, unix_proxy=now.unix_proxy)
        self.sources.use(now.connections_per_address, now.proxies)
        self.sessions.lifetime = now.session_lifetime
        self._own_tokens.max_days = now.token_max_days
        for counter in (self._throttle, self._passwords, self._provider_guard, self._passkey_guard):
            counter.use(now.signin_failures, enabled=now.rules)
        self.certificates.budgets = Budgets(now.acme_host_budget, now.acme_domain_budget)
        self._abuse_reports.use(now.abuse_reports_per_hour, rules=now.rules)
        set_log_level(now.log_level, addresses=now.log_addresses)
        return applied, later

    async def start(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Start writer and monitor, now or when the database is available.

        Until then callers get StoreDown with the reason; `tell` gets the reason, and "" at the end.
        Raises ForeignSchema or Pooled, here or in `wait`.
        """
        try:
            await self._begin()
        except StoreDown as error:
            self._hold(str(error), tell)
            self._waiting = asyncio.create_task(self._begin_later(tell))

    async def wait(self) -> None:
        """Wait until writer and monitor run. Raises ForeignSchema, Pooled."""
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
        """Start the parts. Raises StoreDown (it may then be called again), ForeignSchema, Pooled."""
        began = time.monotonic()
        await migrate.verify(self.settings.store_url)
        self.store.note_mark(None, began)
        self.store.release()
        if note := postgres_tls.warning(self.settings.store_url):
            log.warning("database connection not verified", reason=note)
        await self.denials.refresh()
        await self.rates.refresh()
        await self.writer.start()
        await self.watch.start()
        for seconds, work, what in (
            (USE_SECONDS, self.tokens.record_use, "use of tokens"),
            (USE_SECONDS, self.sessions.record_seen, "use of sessions"),
            (FAILED_SECONDS, self._failed_sign_ins.write, "failed sign-ins"),
            (CONTACT_SECONDS, self.contacts.write, "contacts"),
            (FRONT_SECONDS, self.fronts.write, "fronts"),
            (TRIM_SECONDS, self.trimmer.run, "removal of old history entries"),
            (DENY_SECONDS, self.denials.refresh, "deny lists"),
            (RATES_SECONDS, self.rates.refresh, "quotas"),
            (moved.LOOK_SECONDS, self._look_for_move, "check for a moved database"),
            (STATUS_SECONDS, self.status.look, "status"),
            (SECONDARY_SECONDS, self.secondaries.look, "secondaries"),
            (HOSTS_SECONDS, self.status.count_hosts, "number of hosts"),
            (CHECK_SECONDS, self.checks.look, "checks of disks, backups and clocks"),
            (CHECK_SECONDS, self.checks.look_slowly, "checks of certificate and DNSSEC"),
            (MIRROR_SECONDS, self.mirrors.look, "second primaries"),
            (DELEGATION_SECONDS, self.delegations.look, "delegations"),
            (TSIG_SECONDS, self.tsig.write, "TSIG secrets"),
            (CHALLENGE_SECONDS, self.challenges.remove_ended, "ACME challenges"),
            (CERTIFICATE_SECONDS, self.certificates.look, "numbers of certificates"),
            (WEBHOOK_SECONDS, self.webhook_sender.run_round, "webhooks"),
        ):
            heartbeat = self._heartbeats[what] = Heartbeat(STUCK_SECONDS)
            self._tasks[what] = asyncio.create_task(_repeat(seconds, work, what, heartbeat))

    async def _look_for_move(self) -> None:
        before = self.store.moved
        with contextlib.suppress(StoreDown):  # other parts report it
            await moved.look(self.store)
        if self.store.moved != before:
            if self.store.moved is None:
                log.info("database accepts updates again")
            else:
                log.error("updates get 911", reason=self.store.moved)

    async def stop(self) -> None:
        """Stop everything that `start` has started."""
        for task in (*self._tasks.values(), *filter(None, [self._waiting])):
            task.cancel()
        await run_safely(self.certificates.stop, "orders of certificates")
        await run_safely(self.webhook_sender.stop, "webhooks")
        await self.watch.stop()
        await self.mirrors.stop()
        await run_safely(self.writer.stop, "last acknowledgements")
        await run_safely(self.tokens.record_use, "use of tokens")
        await run_safely(self.sessions.record_seen, "use of sessions")
        await run_safely(self._failed_sign_ins.write, "failed sign-ins")
        await run_safely(self.contacts.write, "contacts")
        await run_safely(self.fronts.write, "fronts")
        await run_safely(self.tsig.write, "TSIG secrets")
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


KEY_COMMAND = "(umask 077; openssl rand -hex 32 >%s)"
"""Creates a key file."""


def _factor_keys(settings: Settings) -> SealingKeys | None:
    """The keys for second factors, or None. Raises SettingsError with the command that creates the file."""
    file = settings.second_factor_key
    if file is None:
        if settings.local_accounts:
            log.warning(
                "no second factors, because there is no key",
                create=KEY_COMMAND % "/etc/ddnsd/second_factor_key",
                then=f"set {PREFIX}SECOND_FACTOR_KEY to this file, the same key on all nodes",
            )
        return None
    try:
        return SealingKeys.from_file(file)
    except FileNotFoundError:
        reason = (
            f"there is no file {file}. If there was one before, restore it: without it nobody can use their "
            f"authenticator app. Else create it, the same one for all nodes: {KEY_COMMAND % file}"
        )
    except OSError as error:
        reason = f"{file}: {error.strerror}"
    except BadKeyFile as error:
        reason = f"{error}. This command creates one: {KEY_COMMAND % file}"
    raise SettingsError(f"{PREFIX}SECOND_FACTOR_KEY: {reason}")


def _acme(settings: Settings) -> "AcmeClient | None":
    authority = settings.authority
    if authority is None:
        return None
    from ddnsd.acme.client import AcmeClient  # here: its packages are optional

    return AcmeClient(authority)


def _openid(
    settings: Settings, members: Identities, guard: FailureCounter
) -> "tuple[Http | None, dict[str, Flow], list[Verifier]]":
    if not settings.providers:
        return None, {}, []
    from ddnsd.auth.oidc.bearer import AccessTokens  # here: most services need no provider
    from ddnsd.auth.oidc.client import Client
    from ddnsd.auth.oidc.http_client import Http
    from ddnsd.auth.oidc.login import Flow

    http = Http()
    clients = [Client(provider, http) for provider in settings.providers]
    flows = {client.provider.name: Flow(client, settings.base_url) for client in clients}
    return http, flows, [AccessTokens(clients, members, guard)]


def _api(context: Context) -> Application:
    from ddnsd.web.api import app  # here: the import is slow, and the commands do not need it
    from ddnsd.web.security_headers import CLOSED, SecurityHeaders

    return SecurityHeaders(app.build(context), CLOSED)


def _portal(portal: Portal) -> dict[str, Application]:
    from ddnsd.web.portal import app  # here: as above

    return dict.fromkeys(app.PATHS, app.build(portal))


def _routes(
    dyndns2: Dyndns2Views,
    duckdns: DuckDnsView,
    freedns: FreeDnsView,
    acme_clients: AcmeClientViews,
    egi: EgiApi,
    probes: Probes,
) -> dict[str, Handler]:
    updates = ("/nic/update", "/v3/update", "/dyndns/update")
    return dict.fromkeys(updates, dyndns2.update) | {
        "/update": duckdns.update,
        QUERY_PATH: freedns.update,
        TOKEN_PATH: freedns.update,
        "/acme/present": acme_clients.present,
        "/acme/cleanup": acme_clients.cleanup,
        "/acme-dns/update": acme_clients.update,
        "/acme-dns/register": acme_clients.register,
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


async def serve(
    settings: Settings,
    unit: Unit,
    ready: Callable[[str], None],
    load: Callable[[], Settings],
    embedded: str | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, on the unit's sockets if it has some; `ready` gets the URL when it answers.

    SIGHUP reads the settings again by `load`. `embedded` as in `Service`. Without its database it answers 911.
    Raises OSError, ForeignSchema, Pooled.
    """
    service = Service(settings, embedded)
    again = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again.set)
    reloading = asyncio.create_task(_reload_forever(service, load, again))
    sockets = list(unit.sockets) or [listen(Endpoint.from_text(text)) for text in (settings.http, *settings.listen)]
    where = url(sockets[0]) if unit.sockets else f"http://{settings.http}"
    if service.dns_server is not None:
        await service.dns_server.start([Endpoint.from_text(text) for text in settings.update_listen])
    await service.start(lambda reason: unit.notify(f"STATUS={reason}"))
    gc.collect()
    gc.freeze()  # exclude loaded objects: a full collection would stop all requests for tens of milliseconds

    def started() -> None:
        ready(where)
        unit.notify("READY=1")

    def stopping() -> None:
        unit.notify("STOPPING=1")
        service.certificates.give_up()

    server = Server(service.app, service.sources, started, stopping)
    watchdog = asyncio.create_task(unit.keep_alive(service.trouble))
    waiting = asyncio.create_task(service.wait())
    waiting.add_done_callback(lambda task: _stop_if_failed(server, task))
    try:
        await server.serve(sockets)
    finally:
        failed = waiting.done()
        for task in (watchdog, waiting, reloading):
            task.cancel()
        if service.dns_server is not None:
            await service.dns_server.stop()
        await service.stop()
    if failed:
        waiting.result()


async def _reload_forever(service: Service, load: Callable[[], Settings], again: asyncio.Event) -> None:
    while True:
        await again.wait()
        again.clear()
        await _reload(service, load)


async def _reload(service: Service, load: Callable[[], Settings]) -> None:
    """Read the settings again, and apply them. A mistake changes nothing."""
    try:
        applied, later = service.reload(await asyncio.to_thread(load))
    except SettingsError as error:
        log.error("settings not reloaded", reason=str(error))
        return
    except Exception:
        log.exception("settings not reloaded")
        return
    log.info("settings reloaded", changed=_variables(applied))
    if later:
        log.warning("settings need a restart", changed=_variables(later))


def _variables(names: list[str]) -> str:
    return ",".join(f"{PREFIX}{name.upper()}" for name in names) or "none"


def _stop_if_failed(server: Server, waiting: "asyncio.Task[None]") -> None:
    if not waiting.cancelled() and waiting.exception() is not None:
        server.should_exit = True


class LogOutput:
    """Drops what cannot be written, for example on a full disk: a lost line must not end the task that logs it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write the text if possible."""
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the file if possible."""
        with contextlib.suppress(OSError):
            self._file.flush()


def set_up_logging(level: str, *, addresses: bool = True) -> None:
    """Log one line per event to standard error, never a query string, a header or a secret."""
    structlog.configure(
        processors=[
            _drop_below_level,
            _hide_source,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, LogOutput(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    set_log_level(level, addresses=addresses)


def set_log_level(level: str, *, addresses: bool = True) -> None:
    """Log events of this level and above from now on, and warnings of libraries; clients' addresses only on demand."""
    _threshold.addresses = addresses
    _threshold.level = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(max(_threshold.level, logging.WARNING))


class _Threshold:
    """What is logged: the lowest level, and clients' addresses. Loggers keep their configuration, so both are looked
    up for each event."""

    level = logging.INFO
    addresses = True


_threshold = _Threshold()


def _drop_below_level(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if logging.getLevelNamesMapping()[METHOD_LEVELS.get(method, method).upper()] < _threshold.level:
        raise structlog.DropEvent
    return event


def _hide_source(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if "source" in event and not _threshold.addresses:
        event["source"] = UNKNOWN
    return event
