# SPDX-License-Identifier: GPL-3.0-or-later
"""What a visitor may see and do: found by name, or refused as if it were not there."""

from collections.abc import Callable

from ddnsd.auth.permissions import Action, can
from ddnsd.db import paging
from ddnsd.db.paging import OwnedHost
from ddnsd.db.rows import Domain, Host
from ddnsd.registry import names
from ddnsd.registry.errors import Invalid, NoHost, Stale
from ddnsd.registry.validation import NO_DOMAIN
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.preconditions import host_tag


async def host(page: PageRequest, action: Action = Action.LIST) -> OwnedHost:
    """The host of the path's `fqdn`; an administrator finds everybody's. Raises NoHost, StoreDown."""
    name = names.fold(page.param("fqdn"))
    owned = await page.portal.store.read(lambda c: paging.host(c, name)) if names.is_full(name) else None
    if owned is None or not can(page.overseer, action, owned.host):
        raise NoHost
    return owned


def precondition(page: PageRequest, action: Action) -> Callable[[Host], None]:
    """What must hold of the host just before a form changes it: it is theirs, and as the form's page has shown it."""
    tag = page.form.get("tag")

    def expect(host: Host) -> None:
        if not can(page.overseer, action, host):
            raise NoHost
        if tag is not None and tag != host_tag(host):
            raise Stale

    return expect


async def domains(page: PageRequest) -> list[Domain]:
    """Those in which the visitor may register hosts, their own first. Raises StoreDown."""
    every = await page.portal.domains.all()
    usable = [domain for domain in every if domain.available and can(page.caller, Action.REGISTER, domain)]
    return sorted(usable, key=lambda domain: (domain.owner_id != page.caller.user_id, domain.name))


async def domain_around(page: PageRequest, fqdn: str) -> Domain:
    """The domain of a new name. Raises Invalid, StoreDown."""
    if problem := names.problem(fqdn):
        raise Invalid(name=problem)
    domain = await page.portal.domains.around(fqdn)
    if domain is None or not domain.available or not can(page.caller, Action.REGISTER, domain):
        raise Invalid(name=NO_DOMAIN)
    return domain
