# SPDX-License-Identifier: GPL-3.0-or-later
"""The first page: what this is, or, to who has signed in, their hosts."""

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route

from ddnsd.db import host_search, last_seen
from ddnsd.db.host_search import Facets, Part, View
from ddnsd.db.last_seen import Contact
from ddnsd.registry.dns_state import DnsState
from ddnsd.web.portal import access
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.presenters.host_status import STATES, status_of
from ddnsd.web.portal.request import Access, PageRequest, get

SIZE = 50
"""Hosts in a page."""

TEXT_LENGTH = 253


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def first(page: PageRequest) -> Response:
        if page.signed_in:
            return await show(page)
        public = [domain.name for domain in await portal.domains.all() if domain.public and domain.available]
        return page.render("overview/landing.html", domain=public[0] if public else "example.org")

    async def show(page: PageRequest) -> Response:
        view, number = _view(page), _page(page)
        seen = DnsState(portal.writer)
        part, facets, asked = await portal.store.read(lambda c: _read(c, view, number, page.caller.user_id))
        rows = [
            (host, status_of(host, seen.of(host)), portal.contacts.last(host.id, asked.get(host.id)))
            for host in part.hosts
        ]
        has_any = any(facets.domains.values())
        return page.render(
            "overview/hosts.html",
            rows=rows,
            total=part.total,
            view=view,
            number=number,
            size=SIZE,
            facets=facets,
            states=STATES,
            has_any=has_any,
            usable=bool(has_any or await access.domains(page)),
        )

    return [get("/", first, Access.EVERYBODY), get("/hosts", show)]


def _read(connection: Connection, view: View, number: int, owner_id: int) -> tuple[Part, Facets, dict[int, Contact]]:
    part = host_search.page(connection, view, SIZE, (number - 1) * SIZE)
    asked = last_seen.of(connection, [host.id for host in part.hosts])
    return part, host_search.facets(connection, owner_id), asked


def _view(page: PageRequest) -> View:
    """What the URL asks for; what it asks for in vain does not limit."""
    query = page.query
    order, descending = query.get("sort", "name").removeprefix("-"), query.get("sort", "").startswith("-")
    return View(
        page.caller.user_id,
        query.get("q", "").strip()[:TEXT_LENGTH].replace("\0", ""),
        query.get("domain", "").replace("\0", ""),
        query.get("stack", "").replace("\0", ""),
        query.get("state", "") if query.get("state", "") in host_search.STATES else "",
        order if order in host_search.ORDERS else "name",
        descending,
    )


def _page(page: PageRequest) -> int:
    text = page.query.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 9 else 1
