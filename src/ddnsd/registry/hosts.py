# SPDX-License-Identifier: GPL-3.0-or-later
"""Register, change and unregister one host."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from ddnsd.auth.caller import Caller
from ddnsd.db import host_edits, queries
from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.rows import Domain, Host
from ddnsd.dns.errors import DnsError, HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.writer import Writer
from ddnsd.registry import history, transfers
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
from ddnsd.registry.rates import Rates
from ddnsd.registry.record_sets import Content
from ddnsd.registry.validation import TAKEN, Change, Expect, NameTaken, Verb, check_name

GIVEN = ("alias", "wildcard", "comment", "ttl", "stack", "protect", "ptr", "labels", "records", "related")
"""Fields of a registration in addition to its addresses."""


@dataclass(frozen=True)
class NewHost:
    """A registration. `fqdn` is folded, `secret_hash` is the stored hash of the secret.

    `author` is named in the host's history; the default is `owner`. `caller` is asked about reverse zones.
    """

    fqdn: str
    owner_id: int
    owner: str
    secret_hash: bytes
    wanted: AddressUpdate
    alias: str | None = None
    wildcard: bool = False
    comment: str | None = None
    ttl: int | None = None
    stack: str | None = None
    protect: bool = False
    ptr: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, Content | None] = field(default_factory=dict)
    related: Mapping[str, str | None] = field(default_factory=dict)
    tls: bool = False
    client_ip: str | None = None
    author: Author | None = None
    caller: Caller | None = None


class Hosts:
    """Registers and removes hosts. The caller checks permissions."""

    def __init__(self, store: Store, writer: Writer, policy: Policy, rates: Rates | None = None) -> None:
        self._store, self._writer, self._policy = store, writer, policy
        self._changes = Changes(store, writer, policy, rates)

    async def register(self, domain: Domain, new: NewHost) -> Host:
        """Register a host, and publish its addresses. Returns the host.

        Raises Invalid, Taken, StoreDown, NotPublished. The host is then not registered.
        """
        values: dict[str, Any] = {name: getattr(new, name) for name in GIVEN}
        values |= {"ipv4": new.wanted.ipv4, "ipv6": new.wanted.ipv6}
        if not new.wanted.explicit:
            values["inferred"] = "ipv4" if new.wanted.ipv4 else "ipv6"
        try:
            row = await self._changes.make(
                Change(Verb.CREATE, new.fqdn, values),
                new.author or Author(new.owner, new.client_ip),
                rights=Decided(user_id=new.owner_id, domain=domain, caller=new.caller),
                tls=new.tls,
                secret_hash=new.secret_hash,
            )
        except NameTaken:
            raise Taken(__all__=TAKEN) from None
        assert row.now is not None
        return row.now

    async def check_name(self, domain: Domain, fqdn: str) -> None:
        """Check that a host may have the name.

        Raises Invalid, and NotPublished if the name server does not answer or the domain is frozen.
        """
        if domain.frozen:
            raise NotPublished(domain.frozen)
        try:
            servers = await self._writer.name_servers(domain.id)
        except (DnsError, HostGone) as error:
            raise NotPublished(str(error)) from None
        check_name(self._policy, domain, fqdn, servers)

    async def unregister(
        self,
        host: Host,
        actor: str,
        client_ip: str | None,
        expect: Expect | None = None,
        *,
        for_domain: bool = False,
    ) -> None:
        """Remove the host and its records; `expect` is called with the row just before, and may raise.

        `for_domain`: the actor is only the owner of its domain.
        Raises Blocked, NoHost, StoreDown, Unconfirmed (removed here, and later from DNS).
        """
        change = Change(Verb.DELETE, host.fqdn, expect=still(host, expect))
        await self._changes.make(change, Author(actor, client_ip), rights=Decided(for_domain=for_domain))

    async def new_secret(
        self, host: Host, secret_hash: bytes, actor: str, client_ip: str | None, author: Author | None = None
    ) -> None:
        """Replace the secret. When this returns, the old secret and keys of other users are refused.

        Raises NoHost, StoreDown.
        """
        change = Change(Verb.ROTATE, host.fqdn, expect=still(host))
        await self._changes.make(change, author or Author(actor, client_ip), secret_hash=secret_hash)

    async def lift_flag(self, host: Host, author: Author, expect: Expect) -> None:
        """Accept updates again from a host that was flagged for too many updates; a block is not removed.

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


def still(host: Host, expect: Expect | None = None) -> Expect:
    """A precondition: the name still belongs to this host, and `expect` accepts it. It raises NoHost otherwise."""

    def check(current: Host) -> None:
        if current.id != host.id:
            raise NoHost
        if expect is not None:
            expect(current)

    return check


async def confirmed(done: Awaitable[None]) -> None:
    """Wait until DNS has a stored change. Raises Unconfirmed, NoHost."""
    try:
        await done
    except NameConflict as error:
        raise Held(error.obstacle) from None
    except NotAcknowledged as error:
        raise Unconfirmed(str(error)) from None
    except HostGone:
        raise NoHost from None


def locked(connection: Connection, host: Host, expect: Expect) -> Host:
    """The current host, locked for a change by its owner. Raises NoHost, Blocked, and what `expect` raises."""
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


@dataclass(frozen=True)
class Edit:
    """A change of one host.

    `values` are those that `host_columns.columns` accepts, and `owner` by name. `rename` is the new folded full name,
    with its domain. `expect` is called with the host just before the change, and may raise. `oversight` is for
    administrators, who can also change blocked hosts. `author` is named in the host's history; the default is `actor`.
    `keep_secrets`: with a new owner, the secret and keys of the host still work. `verb` is `UPDATE` or `BLOCK`.
    `for_domain`: the actor is only the owner of the host's domain. `caller` is asked about reverse zones.
    """

    values: Mapping[str, Any]
    actor: str
    client_ip: str | None
    expect: Expect
    rename: tuple[str, Domain] | None = None
    tls: bool = False
    oversight: bool = False
    author: Author | None = None
    keep_secrets: bool = False
    verb: Verb = Verb.UPDATE
    for_domain: bool = False
    caller: Caller | None = None


class Edits:
    """Changes hosts. The caller checks permissions."""

    def __init__(self, store: Store, writer: Writer, policy: Policy, rates: Rates | None = None) -> None:
        self._changes = Changes(store, writer, policy, rates)

    async def apply(self, host: Host, edit: Edit) -> Host:
        """Change the host, and return it. The change is then durable and acknowledged by the name server.

        Raises Invalid, Taken, Blocked, NoHost, NotPublished, StoreDown (nothing is changed), Unconfirmed (the change is
        kept, and sent to DNS later), and what `edit.expect` raises.
        """
        fqdn, domain = edit.rename or (None, None)
        kept = {"secrets": transfers.KEEP} if edit.keep_secrets else {}
        change = Change(edit.verb, host.fqdn, {**edit.values, **kept}, fqdn, expect=still(host, edit.expect))
        row = await self._changes.make(
            change,
            edit.author or Author(edit.actor, edit.client_ip),
            rights=Decided(host.owner_id, edit.oversight, domain, edit.for_domain, edit.caller),
            tls=edit.tls,
        )
        assert row.now is not None
        return row.now
