# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering and unregistering hosts."""

from collections.abc import Awaitable
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.db import bulk_hosts, host_edits, queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.history import Author
from ddnsd.db.rows import Domain, Host, endings
from ddnsd.dns.errors import ChangeRefused, DnsError, HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.records import records
from ddnsd.dns.writer import Writer
from ddnsd.registry import history, names
from ddnsd.registry.addresses import AddressUpdate, initial_columns
from ddnsd.registry.changes import Changes
from ddnsd.registry.errors import (
    Blocked,
    Code,
    DeniedAddress,
    Held,
    HostRefused,
    Invalid,
    InvalidAddress,
    NoDomain,
    NoHost,
    NotPublished,
    Reason,
    Taken,
    Unconfirmed,
)
from ddnsd.registry.inputs import COMMENT_LENGTH
from ddnsd.registry.policy import Policy
from ddnsd.registry.validation import BELOW, TAKEN, Change, Expect, Verb, check_reserved

log = structlog.get_logger()


@dataclass(frozen=True)
class NewHost:
    """A registration: `fqdn` is folded, `secret_hash` is what is kept of the secret, `labels` are JSON.

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
    labels: str = "{}"
    tls: bool = False
    client_ip: str | None = None
    author: Author | None = None


class Hosts:
    """The hosts of the registry; whether the caller may is decided before."""

    def __init__(self, store: Store, writer: Writer, policy: Policy) -> None:
        self._store, self._writer, self._policy = store, writer, policy
        self._changes = Changes(store, writer, policy)

    async def register(self, domain: Domain, new: NewHost) -> Host:
        """Register, and publish its addresses.

        Raises Invalid, InvalidAddress, NoDomain, StoreDown, and NotPublished with nothing left behind.
        """
        if not domain.available:
            raise NoDomain
        await self._check(domain, new)
        try:
            host = await self._store.transact(lambda c: _insert(c, domain, new))
        except IntegrityError:
            raise Taken(__all__=TAKEN) from None
        try:
            await self._writer.push_host(domain.id, [host.id])
        except NameConflict as error:
            await self._take_back(host, sent=False)
            raise Taken(name=Reason(Code.NAME_UNAVAILABLE, obstacle=str(error))) from None
        except ChangeRefused as error:
            await self._take_back(host, sent=False)
            raise HostRefused(str(error)) from None
        except (NotAcknowledged, HostGone, StoreDown) as error:
            await self._take_back(host, sent=True)
            raise NotPublished(str(error)) from None
        return host

    async def _check(self, domain: Domain, new: NewHost) -> None:
        if new.comment is not None and len(new.comment) > COMMENT_LENGTH:
            raise Invalid(comment=Reason(Code.TEXT_TOO_LONG, limit=COMMENT_LENGTH))
        await self.check_name(domain, new.fqdn)
        if problem := names.owned_problem(new.fqdn, [f"*.{new.fqdn}"] if new.wildcard else ()):
            raise Invalid(name=problem)
        try:
            self._policy.check(new.wanted, domain_takes_private=domain.private_addresses)
        except DeniedAddress:
            raise InvalidAddress(",".join(new.wanted.addresses)) from None

    async def check_name(self, domain: Domain, fqdn: str) -> None:
        """Whether a host may have the name at all. Raises Invalid, and NotPublished where DNS cannot be asked."""
        if problem := names.problem(fqdn):
            raise Invalid(name=problem)
        check_reserved(self._policy, domain, fqdn, await self._servers(domain))

    async def _servers(self, domain: Domain) -> frozenset[str]:
        try:
            return await self._writer.name_servers(domain.id)
        except (DnsError, HostGone) as error:
            raise NotPublished(str(error)) from None

    async def _take_back(self, host: Host, *, sent: bool) -> None:
        """Delete the host; nothing of it is left in DNS.

        Where it was `sent`, a message that was given up may still put it there. A name that was about to leave the zone
        when the host took it leaves now.
        """

        def work(connection: Connection) -> None:
            queries.delete_host(connection, host.id)
            if sent or host.claimed:
                queries.add_removals(connection, records(host), domain_id=host.domain_id, exact=not host.claimed)

        await self._store.transact(work)
        if sent or host.claimed:
            self._writer.push_removals_later(host.domain_id)

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


def _insert(connection: Connection, domain: Domain, new: NewHost) -> Host:
    bulk_hosts.hold_domains(connection, endings(new.fqdn))
    check_family(connection, domain, new.fqdn, new.owner_id)
    if queries.taken(connection, new.fqdn):
        raise Taken(__all__=TAKEN)
    columns = initial_columns(new.wanted)
    updated = {f"updated_{f}": queries.now() for f in new.wanted.families}
    tls = {f"tls_{f}": new.tls for f in new.wanted.families}
    queries.add_host(
        connection,
        domain_id=domain.id,
        owner_id=new.owner_id,
        fqdn=new.fqdn,
        name=new.fqdn.removesuffix("." + domain.name),
        secret_hash=new.secret_hash,
        wildcard=new.wildcard,
        comment=new.comment,
        ttl=new.ttl,
        stack=new.stack,
        labels=new.labels,
        claimed=queries.reclaim(connection, new.fqdn),
        **columns,
        **updated,
        **tls,
    )
    queries.add_event(connection, new.owner, "host.register", new.fqdn, new.client_ip, None, owner_id=new.owner_id)
    host = queries.host(connection, new.fqdn)
    assert host is not None
    history.registered(connection, host, new.author or Author(new.owner, new.client_ip))
    return host


def check_family(connection: Connection, domain: Domain, fqdn: str, owner_id: int) -> None:
    """A name below somebody else's host would borrow that host's trust (cookies, certificates). Raises Invalid."""
    closest = queries.closest_domain(connection, fqdn)
    if closest is None or closest.id != domain.id:
        raise Invalid(name=Reason(Code.NAME_IN_OTHER_DOMAIN, domain=closest.name if closest else ""))
    if not closest.available:
        raise NoDomain
    labels = fqdn.removesuffix("." + domain.name).split(".")
    above = [".".join([*labels[i:], domain.name]) for i in range(1, len(labels))]
    if any(host.owner_id != owner_id for host in queries.hosts_named(connection, above)):
        raise Invalid(name=BELOW)
