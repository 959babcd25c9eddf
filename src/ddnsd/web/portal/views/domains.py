# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains: those in which the user may register hosts, and what their owners can change."""

import asyncio
from typing import Any

from starlette.responses import Response

from ddnsd.auth.permissions import Action, can
from ddnsd.dns.errors import DnsError
from ddnsd.dns.zone_members import Member
from ddnsd.registry import ds_views, names, reverse
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.host_lists import host_view
from ddnsd.registry.inputs import GROUP_LENGTH
from ddnsd.registry.rows import Domain
from ddnsd.registry.status import ZoneStatus
from ddnsd.web.portal import access, forms
from ddnsd.web.portal.paging import page_number
from ddnsd.web.portal.presenters.host_status import STATES, status_of
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get, post
from ddnsd.web.preconditions import domain_tag

REQUESTS = 100
SIZE = 50
TEXT_LENGTH = 253
RESOLVER_SECONDS = 1.5
DS_SECONDS = 2.0
"""So long a page waits for a resolver, and in all for the DS records."""
SWITCHES = ("private_addresses", "query_credentials")
"""Columns that only administrators set."""


async def show_all(page: PageRequest) -> Response:
    """The user's own domains, those of others that the user may see, and the user's requests for domains."""
    portal, user_id = page.portal, page.caller.user_id
    visible = [domain for domain in await portal.domains.all() if can(page.caller, Action.LIST, domain)]
    return page.render(
        "domains/list.html",
        own=[domain for domain in visible if domain.owner_id == user_id],
        others=[domain for domain in visible if domain.owner_id != user_id],
        counts=await portal.domains.host_counts(),
        zones=zones_by_name(page),
        requests=await portal.domain_requests.latest(user_id, REQUESTS),
    )


async def show(page: PageRequest) -> Response:
    """One domain."""
    domain = await access.get_domain(page)
    mine = can(page.caller_with_rights, Action.EDIT, domain)
    return page.render(
        "domains/show.html",
        domain=domain,
        ds=await _ds(page, domain) if mine else None,
        count=await page.portal.domains.host_count(domain.id),
        zone=zones_by_name(page).get(domain.name),
        mine=mine,
        usable=access.may_register(page, domain),
    )


async def _ds(page: PageRequest, domain: Domain) -> dict[str, Any] | None:
    """The DS records of a signed zone, or None. With only `problem`, its primary did not tell them in time."""
    try:
        async with asyncio.timeout(DS_SECONDS):
            found = await page.portal.zones.ds(domain, only_signed=True, seconds=RESOLVER_SECONDS)
    except TimeoutError:
        return {"problem": page.gettext("It does not answer in time.")}
    except DnsError as error:
        return {"problem": str(error)}
    return ds_views.as_json(found) if found.published.keys else None


async def list_hosts(page: PageRequest) -> Response:
    """The hosts of all users in the domain, for its owner."""
    domain = await access.get_domain(page, Action.EDIT)
    number, owner = page_number(page), page.search_text("owner", TEXT_LENGTH)
    view = host_view(
        text=page.search_text("q", TEXT_LENGTH), domain=domain.name, state=page.query.get("state", "")
    )._replace(comments=page.admin)
    found = await page.portal.host_lists.of_everybody(view, owner, number, SIZE)
    return page.render(
        "domains/hosts.html",
        domain=domain,
        rows=[(row, status_of(row.host, row.dns)) for row in found.rows],
        total=found.total,
        view=view,
        owner=owner,
        number=number,
        size=SIZE,
        states=[("", page.gettext("all")), *((name, page.gettext(word)) for name, word in STATES.items())],
    )


async def list_members(page: PageRequest) -> Response:
    """The names that members of the domain's Kerberos realm have registered, for its owner."""
    domain = await access.get_domain(page, Action.EDIT)
    number, text, problem = page_number(page), page.search_text("q", TEXT_LENGTH), ""
    found: list[Member] = []
    try:
        found = await page.portal.zones.members(domain)
    except DnsError as error:
        problem = str(error)
    word = text.lower()
    matching = [m for m in found if word in m.name or word in m.addresses]
    return page.render(
        "domains/members.html",
        503 if problem else 200,
        domain=domain,
        members=matching[(number - 1) * SIZE : number * SIZE],
        total=len(matching),
        text=text,
        number=number,
        size=SIZE,
        problem=problem,
    )


async def edit(page: PageRequest) -> Response:
    """The form of a domain."""
    return _form(page, await access.get_domain(page, Action.EDIT), {})


async def save(page: PageRequest) -> Response:
    """Change the domain to the values of the form."""
    domain = await access.get_domain(page, Action.EDIT)
    try:
        columns = form_columns(page) | {"dns_updates": page.checked("dns_updates")}
        if page.admin:
            columns |= {name: page.checked(name) for name in SWITCHES} | {"owner": page.text("owner")}
        if names.is_reverse(domain.name):
            columns |= {"reverse": page.text("reverse"), "network": page.text("network") or None}
        await page.portal.domains.change(
            domain.name,
            actor=page.caller.user,
            client_ip=page.client_ip,
            expect=access.expect_domain(page, Action.EDIT),
            **columns,
        )
    except Invalid as error:
        return _form(page, domain, page.reasons(error.fields))
    return page.redirect(f"/domains/{domain.name}", page.gettext("Saved."))


async def remove(page: PageRequest) -> Response:
    """Remove a domain without hosts."""
    domain = await access.get_domain(page, Action.DELETE)
    expect = access.expect_domain(page, Action.DELETE)
    await page.portal.zones.remove(domain.name, actor=page.caller.user, client_ip=page.client_ip, expect=expect)
    return page.redirect("/domains", page.gettext("%(name)s was removed.", name=domain.name))


def zones_by_name(page: PageRequest) -> dict[str, ZoneStatus]:
    """The state of each domain's name servers, by the domain's name."""
    return {zone.name: zone for zone in page.portal.status.current().zones}


def form_columns(page: PageRequest) -> dict[str, Any]:
    """The columns of a domain that its form sets, without the name. Raises Invalid."""
    group = page.text("group")
    if len(group) > GROUP_LENGTH or not group.isprintable():
        raise Invalid(group=Reason(Code.GROUP_INVALID, limit=GROUP_LENGTH))
    return {
        "public": page.text("use") == "public",
        "group": group or None if page.text("use") == "group" else None,
        "available": page.checked("available"),
        **forms.read(page, forms.DomainFields).model_dump(),
    }


def use_of(domain: Domain) -> str:
    """Who may register hosts in the domain: `public`, `group` or `private`."""
    return "public" if domain.public else "group" if domain.group else "private"


def _form(page: PageRequest, domain: Domain, errors: dict[str, str]) -> Response:
    values: dict[str, Any] = {
        "use": use_of(domain),
        "group": domain.group,
        "available": domain.available,
        "dns_updates": domain.dns_updates,
        "comment": domain.comment,
        "ttl": domain.ttl,
        "owner": domain.owner,
        "reverse": domain.reverse,
        "network": reverse.shown_network(domain),
    } | {name: getattr(domain, name) for name in SWITCHES}
    if errors:
        checked = {name: page.checked(name) for name in ("available", "dns_updates", *SWITCHES)}
        values = {name: page.text(name) for name in values} | checked
    return page.render(
        "domains/edit.html",
        422 if errors else 200,
        domain=domain,
        values=values,
        errors=errors,
        is_reverse=names.is_reverse(domain.name),
        tag=domain_tag(domain),
    )


ROUTES = [
    get("/domains", show_all),
    get("/domains/{name}", show),
    get("/domains/{name}/hosts", list_hosts),
    get("/domains/{name}/members", list_members),
    get("/domains/{name}/edit", edit),
    post("/domains/{name}/edit", save),
    post("/domains/{name}/remove", remove),
]
