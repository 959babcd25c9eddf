# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page is about: found by its name, and answered with 404 where the user may not see it."""

from collections.abc import Callable
from typing import TypeVar

from ddnsd.auth.permissions import Action, can
from ddnsd.registry import names
from ddnsd.registry.errors import Invalid, Stale
from ddnsd.registry.rows import Domain, DomainRequest, Host, OwnedHost
from ddnsd.registry.validation import NO_DOMAIN
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import PageRequest

Subject = TypeVar("Subject", Host, Domain, DomainRequest)


def get_or_404(page: PageRequest, action: Action, subject: Subject | None) -> Subject:
    """The subject, if there is one and the user may do this to it. Raises NotFound."""
    if subject is None or not can(page.overseer, action, subject):
        raise NotFound
    return subject


async def get_host(page: PageRequest, action: Action = Action.LIST) -> OwnedHost:
    """The host of the path's `fqdn`. Raises NotFound, StoreDown."""
    owned = await page.portal.host_lists.named(page.param("fqdn"))
    if owned is None:
        raise NotFound
    get_or_404(page, action, owned.host)
    return owned


async def get_domain(page: PageRequest, action: Action = Action.LIST) -> Domain:
    """The domain of the path's `name`. Raises NotFound, StoreDown."""
    name = names.fold(page.param("name"))
    return get_or_404(page, action, await page.portal.domains.named(name) if names.is_full(name) else None)


def precondition(
    page: PageRequest, action: Action, tag_of: Callable[[Subject], str] | None = None
) -> Callable[[Subject], None]:
    """Precondition inside the transaction: still permitted, and unchanged since the form was rendered.

    `tag_of` computes the value that the form's page has put into the field `tag`.
    """
    tag = page.form.get("tag")

    def expect(subject: Subject) -> None:
        get_or_404(page, action, subject)
        if tag_of is not None and tag is not None and tag != tag_of(subject):
            raise Stale

    return expect


async def usable_domains(page: PageRequest) -> list[Domain]:
    """The domains in which the user may register hosts, their own first. Raises StoreDown."""
    usable = [domain for domain in await page.portal.domains.all() if may_register(page, domain)]
    return sorted(usable, key=lambda domain: (domain.owner_id != page.caller.user_id, domain.name))


async def domain_around(page: PageRequest, fqdn: str) -> Domain:
    """The domain of a new name. Raises Invalid, StoreDown."""
    if problem := names.problem(fqdn):
        raise Invalid(name=problem)
    domain = await page.portal.domains.around(fqdn)
    if domain is None or not may_register(page, domain):
        raise Invalid(name=NO_DOMAIN)
    return domain


def may_register(page: PageRequest, domain: Domain) -> bool:
    """Whether the user may register hosts in the domain now."""
    return bool(domain.available) and can(page.caller, Action.REGISTER, domain)
