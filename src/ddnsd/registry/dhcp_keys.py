# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG keys with which DHCP servers change names of domains that are nobody's host.

A key belongs to its domains: their owners see and remove it, also owners who have got a domain later.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can, covers_domain
from ddnsd.auth.tsig_callers import may_name_dhcp_key
from ddnsd.auth.tsig_secrets import TsigSecrets, tsig_secret
from ddnsd.db import dhcp_keys as stored
from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.rows import DhcpKey, Domain
from ddnsd.dns.endpoint import Endpoint
from ddnsd.registry import names
from ddnsd.registry.dhcp_configs import DhcpTarget
from ddnsd.registry.errors import Code, Invalid, NoCredential, NotPermitted, Reason, Taken
from ddnsd.registry.rows import Page, page_of

MOST = 20
"""Maximum number of DHCP keys of a domain."""


class OwnDhcpKey(NamedTuple):
    """A key, and those of its domains that the caller may see."""

    key: DhcpKey
    domains: Sequence[Domain]

    @property
    def id(self) -> int:
        """The key's id."""
        return self.key.id


class DhcpKeys:
    """The keys of the domains that a user owns; an administrator has those of all."""

    def __init__(self, store: Store, tsig: TsigSecrets, server: Endpoint) -> None:
        self._store, self._tsig, self._server = store, tsig, server

    @property
    def are_possible(self) -> bool:
        """Whether keys can be used: there is a port for DNS UPDATE."""
        return self._tsig.are_kept

    def target(self, own: OwnDhcpKey, secret: str) -> DhcpTarget:
        """What DHCP servers need to use the key, whose TSIG secret follows from `secret`."""
        return DhcpTarget(own.key.name, tsig_secret(secret), [domain.name for domain in own.domains], self._server)

    async def page(self, caller: Caller, after: int, limit: int) -> Page[OwnDhcpKey]:
        """The keys with an id above `after`. Raises StoreDown."""
        owner_id = None if caller.admin else caller.user_id

        def work(connection: Connection) -> list[OwnDhcpKey]:
            found = stored.page(connection, owner_id, after, limit + 1)
            domains = stored.domains_of(connection, [key.id for key in found])
            return [OwnDhcpKey(key, _visible(caller, domains.get(key.id, ()))) for key in found]

        return page_of(await self._store.read(work), limit, lambda own: bool(own.domains))

    async def get(self, caller: Caller, name: str) -> OwnDhcpKey:
        """One of the keys. Raises NoCredential, StoreDown."""
        return await self._store.read(lambda c: _own(c, caller, name))

    async def create(
        self, caller: Caller, name: str, domains: Sequence[str], secret: str, *, client_ip: str | None
    ) -> OwnDhcpKey:
        """Create a key of some of the caller's domains, whose TSIG secret follows from `secret`.

        Raises Invalid, Taken, StoreDown.
        """
        if not self.are_possible:
            raise Invalid(name=Reason(Code.DHCP_KEYS_OFF))

        def work(connection: Connection) -> OwnDhcpKey:
            found = [queries.domain(connection, names.fold(domain)) for domain in domains]
            for given, domain in zip(domains, found, strict=True):
                if domain is None or not can(caller, Action.EDIT, domain):
                    raise Invalid(domains=Reason(Code.DHCP_DOMAIN_NOT_OWNED, domain=given))
            add(connection, name, [domain for domain in found if domain], secret, caller.user, client_ip)
            return _own(connection, caller, names.fold(name))

        await self._tsig.keep([secret])
        return await self._store.transact(work)

    async def delete(self, caller: Caller, name: str, *, client_ip: str | None) -> None:
        """Delete a key. Raises NoCredential, NotPermitted, StoreDown."""

        def work(connection: Connection) -> None:
            own = _own(connection, caller, name)
            if not all(can(caller, Action.EDIT, domain) for domain in own.domains):
                raise NotPermitted(Code.CREDENTIAL_IS_LIMITED)
            remove(connection, own.key, own.domains, caller.user, client_ip)

        await self._store.transact(work)


def _visible(caller: Caller, domains: Iterable[Domain]) -> list[Domain]:
    mine = (domain for domain in domains if caller.admin or domain.owner_id == caller.user_id)
    return [domain for domain in mine if covers_domain(caller, domain.name)]


def _own(connection: Connection, caller: Caller, name: str) -> OwnDhcpKey:
    key = stored.named(connection, name)
    domains = stored.domains_of(connection, [key.id]).get(key.id, []) if key is not None else []
    if key is None or not (visible := _visible(caller, domains)):
        raise NoCredential
    return OwnDhcpKey(key, visible)


# ---- within the caller's transaction, also for commands


def add(
    connection: Connection,
    name: str,
    domains: Collection[Domain],
    secret: str,
    actor: str,
    client_ip: str | None = None,
) -> None:
    """Store a key. Raises Invalid, Taken."""
    folded = names.fold(name)
    if not may_name_dhcp_key(folded):
        raise Invalid(name=Reason(Code.DHCP_KEY_NAME))
    if stored.named(connection, folded) is not None:
        raise Taken(name=Reason(Code.DHCP_KEY_EXISTS, name=folded))
    by_id = {domain.id: domain for domain in domains}
    for domain in by_id.values():
        if stored.count(connection, domain.id) >= MOST:
            raise Invalid(domains=Reason(Code.DHCP_KEYS_TOO_MANY, domain=domain.name, limit=MOST))
    try:
        stored.add(connection, folded, secrets.verifier(secret), actor, by_id)
    except IntegrityError:
        raise Taken(name=Reason(Code.DHCP_KEY_EXISTS, name=folded)) from None
    _tell(connection, "dhcp-key.add", folded, by_id.values(), actor, client_ip)


def remove(
    connection: Connection, key: DhcpKey, domains: Iterable[Domain], actor: str, client_ip: str | None = None
) -> None:
    """Delete a key; the names that it wrote stay."""
    stored.remove(connection, key.id)
    _tell(connection, "dhcp-key.delete", key.name, domains, actor, client_ip)


def _tell(
    connection: Connection, action: str, name: str, domains: Iterable[Domain], actor: str, client_ip: str | None
) -> None:
    """An event for each owner."""
    owned: dict[int, list[str]] = {}
    for domain in domains:
        owned.setdefault(domain.owner_id, []).append(domain.name)
    for owner_id, of_owner in owned.items():
        queries.add_event(connection, actor, action, name, client_ip, ", ".join(of_owner), owner_id=owner_id)
