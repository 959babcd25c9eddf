# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains: those in which the visitor registers hosts, and what their owners do with them."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth.permissions import Action, can
from ddnsd.db import domain_requests, paging, queries
from ddnsd.db.rows import Domain
from ddnsd.registry import domains as registry
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, NoDomain, Reason, Stale
from ddnsd.registry.status import ZoneStatus
from ddnsd.web.api.serializers import domain_tag
from ddnsd.web.portal import forms
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import PageRequest, get, post

GROUP_LENGTH = 255
REQUESTS = 100
SWITCHES = ("private_addresses", "query_credentials")
"""Columns that administrators set."""


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show_all(page: PageRequest) -> Response:
        user_id = page.caller.user_id
        seen = [domain for domain in await portal.domains.all() if can(page.caller, Action.LIST, domain)]
        asked = await portal.store.read(lambda c: domain_requests.latest(c, REQUESTS, user_id=user_id))
        return page.render(
            "domains/list.html",
            own=[d for d in seen if d.owner_id == user_id],
            others=[d for d in seen if d.owner_id != user_id],
            counts=await portal.store.read(paging.host_counts),
            zones=zones(portal),
            requests=asked,
        )

    async def show(page: PageRequest) -> Response:
        domain = await find(page, Action.LIST)
        count = await portal.store.read(lambda c: paging.host_count(c, domain.id))
        return page.render(
            "domains/show.html",
            domain=domain,
            count=count,
            zone=zones(portal).get(domain.name),
            mine=can(page.overseer, Action.EDIT, domain),
            usable=domain.available and can(page.caller, Action.REGISTER, domain),
        )

    async def edit(page: PageRequest) -> Response:
        return _form(page, await find(page, Action.EDIT), {})

    async def save(page: PageRequest) -> Response:
        domain = await find(page, Action.EDIT)
        try:
            columns = wanted(page) | ({name: page.checked(name) for name in SWITCHES} if page.admin else {})
            await portal.store.transact(
                lambda c: registry.set_domain(
                    c,
                    domain.name,
                    actor=page.caller.user,
                    client_ip=page.client_ip,
                    expect=_precondition(page, Action.EDIT),
                    **columns,
                )
            )
        except Invalid as error:
            return _form(page, domain, page.reasons(error.fields))
        return page.redirect(f"/domains/{domain.name}", page.gettext("Saved."))

    async def remove(page: PageRequest) -> Response:
        domain = await find(page, Action.DELETE)
        await portal.zones.remove(
            domain.name, actor=page.caller.user, client_ip=page.client_ip, expect=_precondition(page, Action.DELETE)
        )
        return page.redirect("/domains", page.gettext("%(name)s was removed.", name=domain.name))

    return [
        get("/domains", show_all),
        get("/domains/{name}", show),
        get("/domains/{name}/edit", edit),
        post("/domains/{name}/edit", save),
        post("/domains/{name}/remove", remove),
    ]


def zones(portal: Portal) -> dict[str, ZoneStatus]:
    """How each domain's name servers are, by the domain's name."""
    return {zone.name: zone for zone in portal.status.current().zones}


async def find(page: PageRequest, action: Action) -> Domain:
    """The domain of the path, if the visitor may do this to it. Raises NoDomain, StoreDown."""
    name = names.fold(page.param("name"))
    domain = await page.portal.store.read(lambda c: queries.domain(c, name)) if names.is_full(name) else None
    if domain is None or not can(page.overseer, action, domain):
        raise NoDomain
    return domain


def wanted(page: PageRequest) -> dict[str, Any]:
    """The columns of a domain that a form sets, beside its name. Raises Invalid."""
    group = page.text("group")
    if len(group) > GROUP_LENGTH or not group.isprintable():
        raise Invalid(group=Reason(Code.GROUP_INVALID, limit=GROUP_LENGTH))
    return {
        "public": page.text("use") == "public",
        "group": group or None if page.text("use") == "group" else None,
        "available": page.checked("available"),
        "comment": forms.comment(page.text("comment")),
        "ttl": forms.ttl(page.text("ttl")),
    }


def use_of(domain: Domain) -> str:
    """Who registers hosts in it: `public`, `group` or `private`."""
    return "public" if domain.public else "group" if domain.group else "private"


def _form(page: PageRequest, domain: Domain, errors: dict[str, str]) -> Response:
    values: dict[str, Any] = {
        "use": use_of(domain),
        "group": domain.group,
        "available": domain.available,
        "comment": domain.comment,
        "ttl": domain.ttl,
    } | {name: getattr(domain, name) for name in SWITCHES}
    if errors:
        boxes = {name: page.checked(name) for name in ("available", *SWITCHES)}
        values = {name: page.text(name) for name in values} | boxes
    return page.render(
        "domains/edit.html",
        422 if errors else 200,
        domain=domain,
        values=values,
        errors=errors,
        tag=domain_tag(domain),
    )


def _precondition(page: PageRequest, action: Action) -> Callable[[Domain], None]:
    """What must hold of the domain just before it changes: it is theirs, and as the form's page has shown it."""
    tag = page.form.get("tag")

    def expect(domain: Domain) -> None:
        if not can(page.overseer, action, domain):
            raise NoDomain
        if tag is not None and tag != domain_tag(domain):
            raise Stale

    return expect
