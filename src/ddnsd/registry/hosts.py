# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering and unregistering hosts."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from ddnsd.db import host_edits, queries
from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.rows import Domain, Host
from ddnsd.dns.errors import DnsError, HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.writer import Writer
from ddnsd.registry import history
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.changes import Changes, Decided
from ddnsd.registry.errors import (
    Blocked,
    Held,
    NoHost,
    NotPublished,
    Taken,
    Unconfirmed,
)
from ddnsd.registry.policy import Policy
from ddnsd.registry.validation import TAKEN, Change, Expect, NameTaken, Verb, check_name

GIVEN = ("wildcard", "comment", "ttl", "stack", "labels")
"""Fields of a registration beside its addresses."""


@dataclass(frozen=True)
class NewHost:
    """A registration: `fqdn` is folded, `secret_hash` is what is kept of the secret.

    `author` is who stands in the host's history, `owner` unless given.
    """

    fqdn: str
    owner_id: int
    owner: str
    secret_hash: bytes
    wanted: AddressUpdate
    wildcard: bool = False
    comment: str | None = None
    ttl: int | None = None
    stack: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    client_ip: str | None = None
    author: Author | None = None


class Hosts:
    """The hosts of the registry; whether the caller may is decided before."""

    def __init__(self, store: Store, writer: Writer, policy: Policy) -> None:
        self._store, self._writer, self._policy = store, writer, policy
        self._changes = Changes(store, writer, policy)

    async def register(self, domain: Domain, new: NewHost) -> Host:
        """Register, and publish its addresses; the host as it is registered.

        Raises Invalid, Taken, StoreDown, and NotPublished with nothing left behind.
        """
        values: dict[str, Any] = {name: getattr(new, name) for name in GIVEN}
        values |= {"ipv4": new.wanted.ipv4, "ipv6": new.wanted.ipv6}
        if not new.wanted.explicit:
            values["inferred"] = "ipv4" if new.wanted.ipv4 else "ipv6"
        try:
            row = await self._changes.make(
                Change(Verb.CREATE, new.fqdn, values),
                new.author or Author(new.owner, new.client_ip),
                rights=Decided(user_id=new.owner_id, domain=domain),
                tls=new.tls,
                secret_hash=new.secret_hash,
            )
        except NameTaken:
            raise Taken(__all__=TAKEN) from None
        assert row.now is not None
        return row.now

    async def check_name(self, domain: Domain, fqdn: str) -> None:
        """Whether a host may have the name at all. Raises Invalid, and NotPublished where DNS cannot be asked."""
        try:
            servers = await self._writer.name_servers(domain.id)
        except (DnsError, HostGone) as error:
            raise NotPublished(str(error)) from None
        check_name(self._policy, domain, fqdn, servers)

    async def unregister(self, host: Host, actor: str, client_ip: str | None, expect: Expect | None = None) -> None:
        """Remove the host and its records; `expect` is called with the row just before, and may raise.

        Raises Blocked, NoHost, StoreDown, Unconfirmed (removed, DNS follows).
        """
        change = Change(Verb.DELETE, host.fqdn, expect=still(host, expect))
        await self._changes.make(change, Author(actor, client_ip))

    async def new_secret(
        self, host: Host, secret_hash: bytes, actor: str, client_ip: str | None, author: Author | None = None
    ) -> None:
        """Replace the secret; the old one, and keys of other users, are refused when this returns.

        Raises NoHost, StoreDown.
        """
        change = Change(Verb.ROTATE, host.fqdn, expect=still(host))
        await self._changes.make(change, author or Author(actor, client_ip), secret_hash=secret_hash)

    async def lift_flag(self, host: Host, author: Author, expect: Expect) -> None:
        """Take updates of a host again that was flagged for its rate of them; a block stays.

        `expect` is called with the row just before, and may raise. Raises NoHost, Blocked, StoreDown.
        """

        def work(connection: Connection) -> None:
            current = _found(connection, host, expect)
            if current.abuse_blocked:
                raise Blocked
            if current.abuse:
                values = {"abuse": False, "client_faults": 0}
                queries.set_host(connection, host.id, **values)
                queries.add_event(
                    connection, author.actor, "host.unflag", host.fqdn, author.source, None, owner_id=host.owner_id
                )
                history.edited(connection, current, values, author)

        await self._store.transact(work)

    async def of_owner(self, owner_id: int, domain: Domain | None) -> list[Host]:
        """A user's hosts, sorted by domain and name. Raises StoreDown."""
        return await self._store.read(lambda c: queries.hosts_of_owner(c, owner_id, domain.id if domain else None))


def still(host: Host, expect: Expect | None = None) -> Expect:
    """The precondition that the name has not become another host's; `expect` is called then. It raises NoHost."""

    def check(current: Host) -> None:
        if current.id != host.id:
            raise NoHost
        if expect is not None:
            expect(current)

    return check


async def confirmed(done: Awaitable[None]) -> None:
    """Wait for DNS to follow what is kept. Raises Unconfirmed, NoHost."""
    try:
        await done
    except NameConflict as error:
        raise Held(str(error)) from None
    except NotAcknowledged as error:
        raise Unconfirmed(str(error)) from None
    except HostGone:
        raise NoHost from None


def locked(connection: Connection, host: Host, expect: Expect) -> Host:
    """The host as it is now, to be changed by its owner. Raises NoHost, Blocked, and what `expect` raises."""
    current = _found(connection, host, expect)
    if current.abuse or current.abuse_blocked:
        raise Blocked
    return current


def _found(connection: Connection, host: Host, expect: Expect) -> Host:
    current = host_edits.locked_host(connection, host.fqdn)
    if current is None or current.id != host.id:
        raise NoHost
    expect(current)
    return current
