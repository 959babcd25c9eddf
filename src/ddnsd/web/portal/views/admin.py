# SPDX-License-Identifier: GPL-3.0-or-later
"""Administration: numbers, hosts and domains of all users, and groups."""

from starlette.responses import Response

from ddnsd.registry.host_lists import host_view
from ddnsd.web.portal.paging import page_number
from ddnsd.web.portal.presenters.host_status import STATES, status_of
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get
from ddnsd.web.portal.views.domains import zones_by_name
from ddnsd.web.portal.views.status import verdict

SIZE = 50
TEXT_LENGTH = 253
GROUPS = 1000


async def show(page: PageRequest) -> Response:
    """Numbers, and what needs attention."""
    portal, now = page.portal, page.portal.status.current()
    return page.render(
        "admin/first.html",
        counts=await portal.admin_stats.counts(),
        waiting=await portal.domain_requests.open_count(),
        reports=await portal.abuse_reports.open_count(),
        now=now,
        behind=[zone for zone in now.zones if zone.primary.problem or zone.problem],
        verdict=verdict(now),
    )


async def list_hosts(page: PageRequest) -> Response:
    """The hosts of all users."""
    number, owner = page_number(page), page.search_text("owner", TEXT_LENGTH)
    view = host_view(
        text=page.search_text("q", TEXT_LENGTH),
        domain=page.search_text("domain", TEXT_LENGTH),
        state=page.query.get("state", ""),
        sort="-updated" if page.query.get("sort") == "updated" else "name",
    )
    found = await page.portal.host_lists.of_everybody(view, owner, number, SIZE)
    return page.render(
        "admin/hosts.html",
        rows=[(row.host, row.owner, status_of(row.host, row.dns)) for row in found.rows],
        total=found.total,
        view=view,
        owner=owner,
        number=number,
        size=SIZE,
        states=[("", page.gettext("all")), *((name, page.gettext(word)) for name, word in STATES.items())],
    )


async def list_domains(page: PageRequest) -> Response:
    """All domains."""
    domains = page.portal.domains
    return page.render(
        "admin/domains.html",
        domains=await domains.all(),
        counts=await domains.host_counts(),
        zones=zones_by_name(page),
    )


async def list_groups(page: PageRequest) -> Response:
    """All groups, with their members and domains."""
    return page.render("admin/groups.html", groups=await page.portal.admin_stats.groups(GROUPS))


ROUTES = [
    get("/admin", show, Access.ADMINISTRATOR),
    get("/admin/hosts", list_hosts, Access.ADMINISTRATOR),
    get("/admin/domains", list_domains, Access.ADMINISTRATOR),
    get("/admin/groups", list_groups, Access.ADMINISTRATOR),
]
