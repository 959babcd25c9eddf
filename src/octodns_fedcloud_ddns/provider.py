# SPDX-License-Identifier: GPL-3.0-or-later
"""`FedcloudDdnsProvider`, a target and source of octoDNS, and `FedcloudDdnsSource`, which only reads.

Plans are made and applied by the engine of `ddnsctl`: each change has the registered values as its precondition, the
service checks the plan beforehand, and hosts of other stacks and users are never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from logging import getLogger
from threading import Lock
from typing import Any, NamedTuple

from octodns.provider import ProviderException, SupportsException
from octodns.provider.base import BaseProvider
from octodns.provider.plan import Plan as RecordPlan
from octodns.record import Record
from octodns.record.rr import RdataParseError
from octodns.source.base import BaseSource
from octodns.zone import Zone

from ddnsctl.rrsets import ALIAS, FAMILIES, WILDCARD, owner_of
from ddnsctl.sync import names
from ddnsctl.sync.api import Server
from ddnsctl.sync.apply import apply_plan
from ddnsctl.sync.connect import open_server
from ddnsctl.sync.connection_failures import OptionNames
from ddnsctl.sync.dry_run import asked, require
from ddnsctl.sync.model import Host, Registered
from ddnsctl.sync.plan import Plan
from ddnsctl.sync.records import APEX
from ddnsctl.transport import RequestsTransport
from octodns_fedcloud_ddns.hosts import TYPES, divided, edited, rrsets_of

OPTIONS = OptionNames("`url`", "`ca`", "`timeout`")
DEFAULT_TTL = 60
"""The TTL of ddnsd, unless its operator has set another one."""
SHOWN = 10


class _Connection:
    """The service and what is registered there. It connects when it is needed first."""

    def __init__(self, url: str, token: str, ca: str | None, timeout: float, default_ttl: int) -> None:
        self._arguments = (url, token, ca, timeout)
        self._default_ttl = default_ttl
        self._lock = Lock()

    @cached_property
    def _opened(self) -> Server:
        url, token, ca, timeout = self._arguments
        server = open_server(RequestsTransport(url, token, ca=ca, timeout=float(timeout), options=OPTIONS))
        if "records" not in server.capabilities.fields:
            raise ProviderException(f"{server.url} is {server.capabilities.server}, which stores only addresses")
        return server

    @property
    def server(self) -> Server:
        """The service. Raises SyncError, ProviderException."""
        with self._lock:
            return self._opened

    def domains(self) -> list[str]:
        """The names of the domains that the token may see, as zones of octoDNS."""
        return sorted(f"{name}." for name in self.server.registered(()).domains)

    def read(self, zone: Zone) -> tuple[Registered, int]:
        """The hosts in the domain of this name and all domains; and the TTL of hosts without their own."""
        name = zone.name.rstrip(".")
        found = self.server.registered((), domains=[name])
        domain = found.domains.get(name)
        return found, (domain.ttl if domain else None) or self._default_ttl


def _add(zone: Zone, host: Host, ttl: int, source: FedcloudDdnsSource | FedcloudDdnsProvider, lenient: bool) -> None:
    """Add the records of a host to the zone. Those that octoDNS cannot read are left out, with a warning."""
    for rrset in rrsets_of(host, ttl):
        try:
            record = Record.from_rrset(zone, rrset, lenient=lenient, source=source)
        except RdataParseError:
            source.log.warning("%s %s: octoDNS cannot read %s; left out", rrset.name, rrset._type, rrset.rdatas)
        else:
            zone.add_record(record, lenient=lenient)


class FedcloudDdnsSource(BaseSource):  # type: ignore[misc]
    """Reads the hosts of the token's user, if `stack` is given only those of this stack."""

    SUPPORTS_GEO = False
    SUPPORTS = TYPES

    def __init__(
        self,
        id: str,  # noqa: A002 - octoDNS passes it by name
        url: str,
        token: str,
        stack: str | None = None,
        ca: str | None = None,
        timeout: float = 60,
        default_ttl: int = DEFAULT_TTL,
    ) -> None:
        """The options are those of the configuration file; docs/octodns.md explains them."""
        self.log = getLogger(f"FedcloudDdnsSource[{id}]")
        super().__init__(id)
        self.stack = stack
        self.connection = _Connection(url, token, ca, timeout, default_ttl)

    def list_zones(self) -> list[str]:
        """The domains that the token may see."""
        return self.connection.domains()

    def populate(self, zone: Zone, target: bool = False, lenient: bool = False) -> bool:  # noqa: ARG002
        """Add the records of the hosts to the zone. Returns whether the service has the domain."""
        found, ttl = self.connection.read(zone)
        for host in found.hosts.values():
            if host.own and self.stack in (None, host.stack):
                _add(zone, host, ttl, self, lenient)
        return zone.name.rstrip(".") in found.domains


class FedcloudDdnsProvider(BaseProvider):  # type: ignore[misc]
    """Manages the hosts of one stack."""

    SUPPORTS_GEO = False
    SUPPORTS = FedcloudDdnsSource.SUPPORTS

    def __init__(
        self,
        id: str,  # noqa: A002 - octoDNS passes it by name
        url: str,
        token: str,
        stack: str,
        ca: str | None = None,
        timeout: float = 60,
        default_ttl: int = DEFAULT_TTL,
        **options: Any,
    ) -> None:
        """The options are those of the configuration file; docs/octodns.md explains them. `options` are octoDNS's."""
        self.log = getLogger(f"FedcloudDdnsProvider[{id}]")
        super().__init__(id, **options)
        try:
            self.stack = names.stack(stack)
        except ValueError as error:
            raise ProviderException(f"{id}: stack: {error}") from None
        self.connection = _Connection(url, token, ca, timeout, default_ttl)
        self._registered: dict[str, Registered] = {}
        """What `populate` has read, by zone. Plans are made from it."""

    def list_zones(self) -> list[str]:
        """The domains that the token may see."""
        return self.connection.domains()

    def populate(self, zone: Zone, target: bool = False, lenient: bool = False) -> bool:
        """Add the records of the stack to the zone. Returns whether the service has the domain."""
        found, ttl = self.connection.read(zone)
        if target:
            self._registered[zone.name] = found
        for host in found.hosts.values():
            if owner_of(host, self.stack) is None:
                _add(zone, host, ttl, self, lenient)
        return zone.name.rstrip(".") in found.domains

    def _process_desired_zone(self, desired: Zone) -> Zone:
        """Remove what the service cannot store or another stack has; if `strict_supports`, fail with all reasons."""
        found = list(_Unsupported(desired, self._foreign(desired)).find())
        if found and self.strict_supports:
            raise SupportsException("\n".join(f"{self.id}: {one.text}" for one in found))
        for one in found:
            self.supports_warn_or_except(one.text, one.fallback)
            one.act()
        return super()._process_desired_zone(desired)

    def _foreign(self, zone: Zone) -> dict[str, str]:
        """Hosts that are not the stack's, with what they belong to."""
        hosts = self._registered[zone.name].hosts.items()
        return {name: owner for name, host in hosts if (owner := owner_of(host, self.stack)) is not None}

    def plan(self, desired: Zone, processors: Any = (), lenient: bool = False) -> RecordPlan | None:
        """The plan, which the service has checked. Raises SyncError if it would refuse changes, ProviderException."""
        plan = super().plan(desired, processors=processors, lenient=lenient)
        if plan is not None:
            name = plan.desired.name.rstrip(".")
            if not plan.exists:
                raise ProviderException(f"{self.id}: the service has no domain {name}, or the token may not see it")
            require(self._hosts_plan(plan))
        return plan

    def _hosts_plan(self, plan: RecordPlan) -> Plan:
        """The changes of hosts. Raises SyncError, ProviderException."""
        registered = self._registered[plan.desired.name]
        try:
            changes = edited(plan.changes, registered.hosts)
        except ValueError as error:
            raise ProviderException(f"{self.id}: {error}") from None
        server = self.connection.server
        return asked(changes.plan(self.stack, registered, server), server)

    def _apply(self, plan: RecordPlan) -> None:
        """Make the changes, if everything is still as it was planned. Raises ProviderException."""
        new_secrets: list[str] = []
        changes = self._hosts_plan(plan)
        require(changes)
        outcome = apply_plan(changes, self.connection.server, lambda change, _secret: new_secrets.append(change.name))
        for text in outcome.warnings:
            self.log.warning("%s", text)
        if new_secrets:
            self.log.info(
                "the secrets of %d new hosts are not stored; `ddnsctl rotate` makes new ones", len(new_secrets)
            )
        if failed := outcome.failed:
            reasons = [f"{result.change.name}: {result.error}" for result in failed[:SHOWN]]
            more = [f"and {len(failed) - SHOWN} more"] if len(failed) > SHOWN else []
            text = f"{self.id}: {len(failed)} of {len(outcome.results)} hosts could not be changed:"
            raise ProviderException("\n".join([text, *reasons, *more]))


class _Problem(NamedTuple):
    """What the service does not support, and what is done instead."""

    text: str
    fallback: str
    act: Callable[[], None]


class _Unsupported:
    """Finds records that the service cannot store as they are. `foreign` has hosts that are not the stack's."""

    def __init__(self, zone: Zone, foreign: Mapping[str, str]) -> None:
        self.zone, self.foreign = zone, foreign

    def find(self) -> Iterator[_Problem]:
        """All problems."""
        addresses: dict[str, dict[str, list[Record]]] = {}
        aliases: set[str] = set()
        others: list[tuple[str, Record]] = []
        for record in sorted(self.zone.records):
            if record.ignored or record._type not in FedcloudDdnsSource.SUPPORTS:
                continue
            try:
                host, below = divided(record)
            except ValueError as error:
                yield self.omitted(record, str(error))
                continue
            if owner := self.foreign.get(host):
                yield self.omitted(record, f"{host} belongs to {owner}")
            elif record._type in FAMILIES:
                addresses.setdefault(host, {}).setdefault(below, []).append(record)
            elif record._type == ALIAS:
                aliases.add(host)
            else:
                others.append((host, record))
        for host, record in others:
            if host in aliases:
                yield self.omitted(record, f"{host} is an alias, which has no other records")
        for by_name in addresses.values():
            yield from self.of_addresses(by_name.get(APEX, []), by_name.get(WILDCARD, []))

    def of_addresses(self, own: list[Record], wildcard: list[Record]) -> Iterator[_Problem]:
        """Problems of the addresses of a host, and of its wildcard."""
        ttl = min((record.ttl for record in own), default=0)
        stored = {}
        for record in own:
            one = record.copy()
            one.ttl = ttl
            stored[record._type] = (ttl, one.values)
            if record.ttl != ttl:
                yield self.replaced(record, one, "the service stores one TTL for A and AAAA")
        if stored != {record._type: (record.ttl, record.values) for record in wildcard}:
            for record in wildcard:
                yield self.omitted(record, "a wildcard has the addresses and the TTL of its host, and no others")

    def omitted(self, record: Record, why: str) -> _Problem:
        """A problem with a record that is left out."""
        return _Problem(_text(record, why), "omitting record", lambda: self.zone.remove_record(record))

    def replaced(self, record: Record, other: Record, why: str) -> _Problem:
        """A problem with a record that another one replaces."""
        fallback = f"using the TTL {other.ttl}"
        return _Problem(_text(record, why), fallback, lambda: self.zone.add_record(other, replace=True))


def _text(record: Record, why: str) -> str:
    return f"{record._type} {record.decoded_fqdn}: {why}"
