# SPDX-License-Identifier: GPL-3.0-or-later
"""Administration: what there is, hosts across users, and groups."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.db import admin_stats, domain_requests, host_search, paging, queries
from ddnsd.db.host_search import View
from ddnsd.web.api.serializers import Seen
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.presenters.host_status import STATES, standing
from ddnsd.web.portal.request import Access, Visit, get
from ddnsd.web.portal.views.status import verdict

SIZE = 50
TEXT_LENGTH = 253
GROUPS = 1000
NOBODY = -1


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def first(visit: Visit) -> Response:
        now = portal.status.current()
        counts, waiting = await portal.store.read(lambda c: (admin_stats.counts(c), domain_requests.open_count(c)))
        behind = [zone for zone in now.zones if zone.primary.problem or zone.problem]
        return visit.render(
            "admin/first.html", counts=counts, waiting=waiting, now=now, behind=behind, verdict=verdict(now)
        )

    async def hosts(visit: Visit) -> Response:
        query, number, owner = visit.query, _page(visit), _text(visit, "owner")
        user = await portal.store.read(lambda c: queries.user(c, owner)) if owner else None
        state = query.get("state", "") if query.get("state", "") in host_search.STATES else ""
        view = View(
            (user.id if user else NOBODY) if owner else None,
            _text(visit, "q"),
            _text(visit, "domain"),
            "",
            state,
            "updated" if query.get("sort") == "updated" else "name",
            query.get("sort") == "updated",
        )
        seen = Seen(portal.writer)
        part = await portal.store.read(lambda c: host_search.page(c, view, SIZE, (number - 1) * SIZE))
        owners = await portal.store.read(lambda c: admin_stats.user_names(c, {host.owner_id for host in part.hosts}))
        rows = [(host, owners.get(host.owner_id, ""), standing(host, seen.dns(host))) for host in part.hosts]
        return visit.render(
            "admin/hosts.html",
            rows=rows,
            total=part.total,
            view=view,
            owner=owner,
            number=number,
            size=SIZE,
            states=[("", visit.gettext("all")), *((name, visit.gettext(word)) for name, word in STATES.items())],
        )

    async def domains(visit: Visit) -> Response:
        counts = await portal.store.read(paging.host_counts)
        return visit.render(
            "admin/domains.html",
            domains=await portal.domains.all(),
            counts=counts,
            zones={zone.name: zone for zone in portal.status.current().zones},
        )

    async def groups(visit: Visit) -> Response:
        found = await portal.store.read(lambda c: admin_stats.groups(c, GROUPS))
        return visit.render("admin/groups.html", groups=found)

    return [
        get("/admin", first, Access.ADMINISTRATOR),
        get("/admin/hosts", hosts, Access.ADMINISTRATOR),
        get("/admin/domains", domains, Access.ADMINISTRATOR),
        get("/admin/groups", groups, Access.ADMINISTRATOR),
    ]


def _text(visit: Visit, name: str) -> str:
    return visit.query.get(name, "").strip()[:TEXT_LENGTH].replace("\0", "")


def _page(visit: Visit) -> int:
    text = visit.query.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 9 else 1
