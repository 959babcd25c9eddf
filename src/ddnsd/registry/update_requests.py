# SPDX-License-Identifier: GPL-3.0-or-later
"""Update requests of clients: which hosts they change, what is refused, and whose fault that is.

Faults are counted for each host. The owner sees the faults of the client; those of the server are ours.
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
from ddnsd.registry.errors import Blocked, DeniedAddress, Held, InvalidAddress, NoHost, RegistryError
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.updates import Outcome, Updates, check_updatable

MOST_NAMES = 20
"""Names of a request."""

log = structlog.get_logger()


class Refusal(Enum):
    """Why a host is not updated, or a whole request is refused; and whether the client gets a fault for that."""

    NOT_FULL_NAME = "the name has no domain", True
    UNKNOWN_HOST = "no such host, or not the caller's", True
    UNAVAILABLE = "host, domain or owner is switched off", False
    BLOCKED = "the host is flagged or blocked for abuse", False
    BAD_ADDRESS = "not an address that a host may have", True
    DENIED_ADDRESS = "the operator denies the address, so the host is blocked", True
    UNKNOWN_PEER = "the caller's own address is asked for, and is not known", False
    HELD = "a foreign record has the name", False
    UNCONFIRMED = "the name server or the database did not confirm", False

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
"""What became of a name of a request; None in place of a host that the caller may not update."""


def check_count(fqdns: Sequence[str]) -> None:
    """Whether a request may have so many names. Raises RequestRefused."""
    if len(fqdns) > MOST_NAMES:
        raise RequestRefused(Refusal.TOO_MANY_NAMES)


def is_suspended(caller: Caller) -> bool:
    """Whether the owner of the calling host is switched off. Then nothing counts as a fault."""
    return caller.kind is Kind.HOST and not caller.hosts[0].owner_active


class UpdateRequests:
    """Carries out update requests of callers."""

    def __init__(self, hosts: HostAccess, updates: Updates, writer: Writer) -> None:
        self._hosts, self._updates, self._writer = hosts, updates, writer

    async def apply(
        self, caller: Caller, fqdn: str, update: AddressUpdate | Refusal, *, tls: bool, author: Author
    ) -> HostResult:
        """Update the host of that name. A Refusal in place of the update is the result for a host that takes updates.

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
                return host, await self._updates.apply(host, update, tls=tls, author=author)
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
        """As `apply`, for each name by itself. Raises StoreDown."""
        return await asyncio.gather(*(self.apply(caller, fqdn, update, tls=tls, author=author) for fqdn in fqdns))

    async def apply_to_all(self, hosts: Sequence[Host], update: AddressUpdate, *, tls: bool, author: Author) -> None:
        """Update the hosts if all of them take updates. No faults are counted. Raises as `Updates.apply`, NoHost."""
        for host in hosts:
            check_updatable(host)
        await asyncio.gather(*(self._updates.apply(host, update, tls=tls, author=author) for host in hosts))

    async def count_refusal(self, caller: Caller, refusal: Refusal) -> None:
        """Count a fault of the calling host, if the refusal is one. Raises StoreDown."""
        if refusal.is_client_fault and caller.kind is Kind.HOST:
            await self._writer.count(Fault(caller.hosts[0].id, "client_faults"))

    @staticmethod
    def _refusal(host: Host, error: Exception) -> Refusal:
        """What the error means for the client. Raises an error that no update raises."""
        match error:
            case InvalidAddress():
                return Refusal.BAD_ADDRESS
            case DeniedAddress():
                return Refusal.DENIED_ADDRESS
            case Blocked():
                return Refusal.BLOCKED
            case NoHost():
                return Refusal.UNAVAILABLE
            case Held():
                log.info("host held", host=host.fqdn, reason=error.cause)
                return Refusal.HELD
            case NotAcknowledged() | StoreDown():
                log.warning("update not acknowledged", host=host.fqdn, reason=str(error))
                return Refusal.UNCONFIRMED
        raise error
