# SPDX-License-Identifier: GPL-3.0-or-later
"""The object that a page's path names. The answer is 404 if the user may not see it."""

from collections.abc import Callable

from ddnsd.auth.permissions import Action, can
from ddnsd.registry import names
from ddnsd.registry.errors import Invalid, NoRequest
from ddnsd.registry.rows import Domain, DomainRequest, OwnedHost
from ddnsd.registry.validation import NO_DOMAIN, Expect
from ddnsd.web import preconditions
from ddnsd.web.portal.request import PageRequest


async def get_host(page: PageRequest, action: Action = Action.LIST) -> OwnedHost:
    """The host of the path's `fqdn`. Raises NoHost, StoreDown."""
    portal, caller = page.portal, page.caller_with_rights
    return await preconditions.get_host_or_404(portal.host_lists, caller, page.param("fqdn"), action)


async def get_domain(page: PageRequest, action: Action = Action.LIST) -> Domain:
    """The domain of the path's `name`. Raises NoDomain, NotPermitted, StoreDown."""
    portal, caller = page.portal, page.caller_with_rights
    return await preconditions.get_domain_or_404(portal.domains, caller, page.param("name"), action)


async def get_domain_request(page: PageRequest) -> DomainRequest:
    """The domain request of the path's `id`. Raises NoRequest, StoreDown."""
    found = await page.portal.domain_requests.find(page.id_param())
    if found is None or not can(page.caller_with_rights, Action.LIST, found):
        raise NoRequest
    return found


def expect_host(page: PageRequest, action: Action) -> Expect:
    """Precondition inside the transaction: still permitted, and unchanged since the form was rendered."""
    return preconditions.expect_host(page.caller_with_rights, action, page.form.get("tag"))


def expect_domain(page: PageRequest, action: Action) -> Callable[[Domain], None]:
    """Likewise for a domain."""
    return preconditions.expect_domain(page.caller_with_rights, action, page.form.get("tag"))


def may_register(page: PageRequest, domain: Domain) -> bool:
    """Whether the user may register hosts in the domain now."""
    return bool(domain.available) and can(page.caller, Action.REGISTER, domain)


async def usable_domains(page: PageRequest) -> list[Domain]:
    """The domains in which the user may register hosts, their own first. Raises StoreDown."""
    usable = [domain for domain in await page.portal.domains.all() if may_register(page, domain)]
    return sorted(usable, key=lambda domain: (domain.owner_id != page.caller.user_id, domain.name))


async def domain_around(page: PageRequest, fqdn: str) -> Domain:
    """The domain of a new name. Raises Invalid, StoreDown."""
    if problem := names.problem(fqdn):
        raise Invalid(name=problem)
    domain = await page.portal.domains.for_new_host(page.caller, fqdn, None)
    if domain is None or not domain.available:
        raise Invalid(name=NO_DOMAIN)
    return domain
