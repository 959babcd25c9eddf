# SPDX-License-Identifier: GPL-3.0-or-later
"""Handle update requests of clients: update their hosts, or refuse updates, and count faults.

Faults are counted per host, those of the client and those of the server separately. The owner sees those of the client.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum

import structlog

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action
from ddnsd.db.base import StoreDown
from ddnsd.db.history import Author
from ddnsd.db.rows import Host
from ddnsd.dns.errors import NotAcknowledged
from ddnsd.dns.writer import Fault, Writer
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import Blocked, DeniedAddress, Held, InvalidAddress, NoHost, OverQuota, RegistryError, Static
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.updates import Outcome, Updates, check_updatable

MOST_NAMES = 20
"""Maximum number of names in a request."""

_OF_ONE_HOST = (Kind.HOST, Kind.DEVICE)

log = structlog.get_logger()


class Refusal(Enum):
    """Why a host is not updated, or a whole request is refused, and whether that is a fault of the client."""

    NOT_FULL_NAME = "the name has no domain", True
    UNKNOWN_HOST = "there is no such host, or it is not the caller's", True
    UNAVAILABLE = "the host, its domain or its owner is disabled", False
    STATIC = "the host is an alias, or has several addresses", False
    BLOCKED = "the host is flagged or blocked for abuse", False
    BAD_ADDRESS = "a host cannot have this address", True
    DENIED_ADDRESS = "the operator denies the address, so the host is blocked", True
    UNKNOWN_PEER = "the client sent no address, and its own address is unknown", False
    HELD = "a foreign record has the name", False
    TOO_MANY_CHANGES = "the host was changed too often within an hour", False
    UNCONFIRMED = "the name server or the database did not confirm the change", False

    FLEET_FULL = "the device is new, and its fleet or the fleet's owner has no room", False
    NAME_NOT_FREE = "the device is new, and somebody else has its name, or no host can have it", False

    TOO_MANY_NAMES = "the request has too many names", True
    BAD_AGENT = "the operator denies the user agent", True
    OFFLINE_DENIED = "the operator does not let clients remove records", False

    @property
    def is_client_fault(self) -> bool:
        """Whether it counts as a fault of the client."""
        return self.value[1]


class RequestRefused(Exception):
    """The whole request is refused; nothing is changed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value[0])
        self.refusal = refusal


HostResult = tuple[Host | None, Outcome | Refusal]
"""The result for one name in a request; None instead of a host that the caller may not update."""


def check_count(fqdns: Sequence[str]) -> None:
    """Check the number of names in a request. Raises RequestRefused."""
    if len(fqdns) > MOST_NAMES:
        raise RequestRefused(Refusal.TOO_MANY_NAMES)


def is_suspended(caller: Caller) -> bool:
    """Whether the owner of the calling host or device is inactive. Then nothing counts as a fault."""
    return caller.kind in _OF_ONE_HOST and any(not host.owner_active for host in caller.hosts)


class UpdateRequests:
    """Carries out update requests of callers."""

    def __init__(self, hosts: HostAccess, updates: Updates, writer: Writer) -> None:
        self._hosts, self._updates, self._writer = hosts, updates, writer

    async def apply(
        self, caller: Caller, fqdn: str, update: AddressUpdate | Refusal, *, tls: bool, author: Author
    ) -> HostResult:
        """Update the host of that name. If `update` is a Refusal, it is the result for a host that accepts updates.

        Raises StoreDown.
        """
        host: Host | None
        for host in caller.hosts:
            if host.fqdn == fqdn:
                break
        else:
            host = await self._hosts.find(caller, fqdn, Action.UPDATE)
        if host is None:
            unknown = Refusal.NOT_FULL_NAME if fqdn and "." not in fqdn else Refusal.UNKNOWN_HOST
            await self.count_refusal(caller, unknown)
            return None, unknown
        try:
            check_updatable(host)
            if not isinstance(update, Refusal):
                return host, await self._updates.apply(host, update, tls=tls, author=author, caller=caller)
            refusal = update
        except (RegistryError, NotAcknowledged, StoreDown) as error:
            refusal = self._refusal(host, error)
        if refusal.is_client_fault:
            await self._writer.count(Fault(host.id, "client_faults"))
        elif refusal is Refusal.UNCONFIRMED:
            self._writer.count_later(Fault(host.id, "server_faults"))
        return host, refusal

    async def apply_each(
        self, caller: Caller, fqdns: Sequence[str], update: AddressUpdate | Refusal, *, tls: bool, author: Author
    ) -> Sequence[HostResult]:
        """Call `apply` for each name separately. Raises StoreDown."""
        return await asyncio.gather(*(self.apply(caller, fqdn, update, tls=tls, author=author) for fqdn in fqdns))

    async def apply_to_all(
        self, caller: Caller, hosts: Sequence[Host], update: AddressUpdate, *, tls: bool, author: Author
    ) -> None:
        """Update the hosts if all of them accept updates. Counts no faults. Raises as `Updates.apply`, NoHost."""
        for host in hosts:
            check_updatable(host)
        await asyncio.gather(
            *(self._updates.apply(host, update, tls=tls, author=author, caller=caller) for host in hosts)
        )

    async def count_refusal(self, caller: Caller, refusal: Refusal) -> None:
        """Count a fault of the calling host or device, if the refusal is one. Raises StoreDown."""
        if refusal.is_client_fault and caller.kind in _OF_ONE_HOST:
            for host in caller.hosts:
                await self._writer.count(Fault(host.id, "client_faults"))

    @staticmethod
    def _refusal(host: Host, error: Exception) -> Refusal:
        """The refusal that the client gets for the error. Raises errors that updates do not raise."""
        match error:
            case InvalidAddress():
                return Refusal.BAD_ADDRESS
            case DeniedAddress():
                return Refusal.DENIED_ADDRESS
            case Blocked():
                return Refusal.BLOCKED
            case Static():
                return Refusal.STATIC
            case NoHost():
                return Refusal.UNAVAILABLE
            case OverQuota():
                return Refusal.TOO_MANY_CHANGES
            case Held():
                log.info("name held by a foreign record", host=host.fqdn, reason=str(error.cause))
                return Refusal.HELD
            case NotAcknowledged() | StoreDown():
                log.warning("update not acknowledged", host=host.fqdn, reason=str(error))
                return Refusal.UNCONFIRMED
        raise error
