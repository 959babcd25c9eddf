# SPDX-License-Identifier: GPL-3.0-or-later
"""Preconditions of a request: the object exists, the caller is permitted, and nobody else has changed the object.

An ETag covers the values that callers can set. Counters and the state in DNS do not change it.
"""

import hashlib
import re
from collections.abc import Callable, Iterable

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, acts_for_domain, can, visible
from ddnsd.registry import names
from ddnsd.registry.domains import Domains
from ddnsd.registry.errors import Code, NoDomain, NoHost, NotPermitted, Stale
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.rows import Domain, Host, OwnedHost, User
from ddnsd.registry.validation import Expect

_TAG = re.compile(r'(W/)?"([^"]*)"')


def host_tag(host: Host) -> str:
    """The ETag of a host."""
    flags = map(bool, (host.wildcard, host.available, host.abuse_blocked, host.quarantined, host.protect, host.ptr))
    texts = (host.alias, host.block_reason, host.comment, host.ttl, host.stack, host.labels)
    return _tag(host.id, host.owner_id, host.fqdn, host.ipv4, host.ipv6, *flags, *texts)


def domain_tag(domain: Domain) -> str:
    """The ETag of a domain."""
    flags = (bool(domain.public), bool(domain.available), bool(domain.dns_updates), domain.frozen)
    return _tag(
        domain.id, domain.owner_id, flags, domain.comment, domain.ttl, domain.group, domain.stack, domain.primary
    )


def user_tag(user: User, groups: Iterable[str] = ()) -> str:
    """The ETag of a user, with the groups if the form also shows and sets them."""
    flags = (bool(user.admin), bool(user.active), bool(user.withdrawn))
    return _tag(user.id, user.name, flags, user.suspension_reason, *groups)


def _tag(*values: object) -> str:
    return f'"{hashlib.sha256(repr(values).encode()).hexdigest()[:32]}"'


def check_match(if_match: str | None, tag: str) -> None:
    """Check that the `If-Match` header, if any, contains the tag. Raises Stale."""
    if if_match is None or if_match.strip() == "*":
        return
    if not any(not weak and f'"{value}"' == tag for weak, value in _TAG.findall(if_match)):
        raise Stale


def same_user(caller: Caller) -> Callable[[User], None]:
    """A check inside the transaction that the user of this name is still the caller. It raises Stale."""

    def expect(user: User) -> None:
        if user.id != caller.user_id:
            raise Stale

    return expect


# ---- hosts and domains of a path


async def get_host_or_404(hosts: HostLists, caller: Caller, fqdn: str, action: Action) -> OwnedHost:
    """The host, if the caller may do this to it. Raises NoHost, NotPermitted, StoreDown."""
    owned = await hosts.named(fqdn)
    if owned is None:
        raise NoHost
    expect_host(caller, action)(owned.host)
    return owned


async def get_domain_or_404(domains: Domains, caller: Caller, name: str, action: Action) -> Domain:
    """The domain, if the caller may do this to it. Raises NoDomain, NotPermitted, StoreDown."""
    folded = names.fold(name)
    domain = await domains.named(folded) if names.is_full(folded) else None
    if domain is None:
        raise NoDomain
    expect_domain(caller, action)(domain)
    return domain


def expect_host(caller: Caller, action: Action, if_match: str | None = None) -> Expect:
    """A check inside the transaction that changes a host: the caller may still do it, and the tag still matches.

    It raises NotPermitted if the caller may see the host but not do it, NoHost if not even that, and Stale.
    """

    def expect(host: Host) -> None:
        if not can(caller, action, host):
            if can(caller, Action.OVERSEE, host):
                others = acts_for_domain(caller, host)
                raise NotPermitted(Code.HOST_OF_OTHERS if others else Code.FIELD_OF_ADMINISTRATORS)
            raise NoHost
        check_match(if_match, host_tag(visible(caller, host)))

    return expect


def expect_domain(caller: Caller, action: Action, if_match: str | None = None) -> Callable[[Domain], None]:
    """Likewise for a domain. It raises NotPermitted if the caller may see the domain but not change it."""

    def expect(domain: Domain) -> None:
        if not can(caller, action, domain):
            if can(caller, Action.REGISTER, domain):
                raise NotPermitted(Code.DOMAIN_OF_OTHERS)
            raise NoDomain
        check_match(if_match, domain_tag(domain))

    return expect
