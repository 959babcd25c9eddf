# SPDX-License-Identifier: GPL-3.0-or-later
"""The first page: what this is, or, to who has signed in, their hosts."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.faces.portal.context import Portal
from ddnsd.faces.portal.visit import Access, Visit, get


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def first(visit: Visit) -> Response:
        if not visit.signed_in:
            public = [domain.name for domain in await portal.domains.all() if domain.public and domain.available]
            return visit.render("overview/landing.html", domain=public[0] if public else "example.org")
        return await show(visit)

    async def show(visit: Visit) -> Response:
        hosts = await portal.hosts.of_owner(visit.caller.user_id, None)
        return visit.render("overview/hosts.html", hosts=hosts[:50])

    return [get("/", first, Access.EVERYBODY), get("/hosts", show)]
