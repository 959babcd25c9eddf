# SPDX-License-Identifier: GPL-3.0-or-later
"""Administration: what there is, hosts across users, and groups."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.db import admin_stats, domain_requests, host_search, paging, queries
from ddnsd.db.host_search import View
from ddnsd.registry.dns_state import DnsState
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.presenters.host_status import STATES, status_of
from ddnsd.web.portal.request import Access, PageRequest, get
from ddnsd.web.portal.views.status import verdict

SIZE = 50
TEXT_LENGTH = 253
GROUPS = 1000
NOBODY = -1


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def first(page: PageRequest) -> Response:
        now = portal.status.current()
        counts, waiting = await portal.store.read(lambda c: (admin_stats.counts(c), domain_requests.open_count(c)))
        behind = [zone for zone in now.zones if zone.primary.problem or zone.problem]
        return page.render(
            "admin/first.html", counts=counts, waiting=waiting, now=now, behind=behind, verdict=verdict(now)
        )

    async def hosts(page: PageRequest) -> Response:
        query, number, owner = page.query, _page(page), _text(page, "owner")
        user = await portal.store.read(lambda c: queries.user(c, owner)) if owner else None
        state = query.get("state", "") if query.get("state", "") in host_search.STATES else ""
        view = View(
            (user.id if user else NOBODY) if owner else None,
            _text(page, "q"),
            _text(page, "domain"),
            "",
            state,
            "updated" if query.get("sort") == "updated" else "name",
            query.get("sort") == "updated",
        )
        seen = DnsState(portal.writer)
        part = await portal.store.read(lambda c: host_search.page(c, view, SIZE, (number - 1) * SIZE))
        owners = await portal.store.read(lambda c: admin_stats.user_names(c, {host.owner_id for host in part.hosts}))
        rows = [(host, owners.get(host.owner_id, ""), status_of(host, seen.of(host))) for host in part.hosts]
        return page.render(
            "admin/hosts.html",
            rows=rows,
            total=part.total,
            view=view,
            owner=owner,
            number=number,
            size=SIZE,
            states=[("", page.gettext("all")), *((name, page.gettext(word)) for name, word in STATES.items())],
        )

    async def domains(page: PageRequest) -> Response:
        counts = await portal.store.read(paging.host_counts)
        return page.render(
            "admin/domains.html",
            domains=await portal.domains.all(),
            counts=counts,
            zones={zone.name: zone for zone in portal.status.current().zones},
        )

    async def groups(page: PageRequest) -> Response:
        found = await portal.store.read(lambda c: admin_stats.groups(c, GROUPS))
        return page.render("admin/groups.html", groups=found)

    return [
        get("/admin", first, Access.ADMINISTRATOR),
        get("/admin/hosts", hosts, Access.ADMINISTRATOR),
        get("/admin/domains", domains, Access.ADMINISTRATOR),
        get("/admin/groups", groups, Access.ADMINISTRATOR),
    ]


def _text(page: PageRequest, name: str) -> str:
    return page.query.get(name, "").strip()[:TEXT_LENGTH].replace("\0", "")


def _page(page: PageRequest) -> int:
    text = page.query.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 9 else 1
