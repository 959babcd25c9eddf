# SPDX-License-Identifier: GPL-3.0-or-later
"""The first page: an introduction, or the hosts of the user who has signed in."""

from starlette.responses import Response

from ddnsd.registry.domains import takes_hosts
from ddnsd.registry.host_lists import host_view
from ddnsd.web.portal import access
from ddnsd.web.portal.paging import page_number
from ddnsd.web.portal.presenters.host_status import STATES, status_of
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get

SIZE = 50
"""Hosts in a page."""

TEXT_LENGTH = 253


async def first(page: PageRequest) -> Response:
    """The introduction, or the user's hosts after sign-in."""
    if page.signed_in:
        return await show(page)
    usable = [domain for domain in await page.portal.domains.all() if domain.public and domain.available]
    public = [domain.name for domain in usable if takes_hosts(domain)]
    return page.render("overview/landing.html", domain=public[0] if public else "example.org")


async def show(page: PageRequest) -> Response:
    """The user's hosts, filtered and sorted by the query."""
    number = page_number(page)
    view = host_view(
        owner_id=page.caller.user_id,
        text=page.search_text("q", TEXT_LENGTH),
        domain=page.search_text("domain", TEXT_LENGTH),
        stack=page.search_text("stack", TEXT_LENGTH),
        state=page.query.get("state", ""),
        sort=page.query.get("sort", ""),
    )
    found, facets = await page.portal.host_lists.of_owner(view, number, SIZE)
    has_any = any(facets.domains.values())
    return page.render(
        "overview/hosts.html",
        rows=[(row.host, status_of(row.host, row.dns), row.last_request) for row in found.rows],
        total=found.total,
        view=view,
        number=number,
        size=SIZE,
        facets=facets,
        states=STATES,
        has_any=has_any,
        usable=bool(has_any or await access.usable_domains(page)),
    )


ROUTES = [get("/", first, Access.EVERYBODY), get("/hosts", show)]
