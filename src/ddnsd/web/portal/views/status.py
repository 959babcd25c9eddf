# SPDX-License-Identifier: GPL-3.0-or-later
"""How the service is, for everybody; addresses and reasons are for those whom they concern."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.registry.status import Snapshot, ZoneStatus
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import Access, PageRequest, get

GOOD = frozenset({"good", "nochg", "deleted"})
"""Words of requests that went well; those of the others say whose fault it is."""


def routes(portal: Portal) -> list[Route]:
    """The route."""

    async def show(page: PageRequest) -> Response:
        now = portal.status.current()
        shown = [zone for zone in now.zones if _concerns(page, zone)]
        hidden = [zone for zone in now.zones if not _concerns(page, zone)]
        return page.render(
            "status/show.html",
            now=now,
            zones=shown,
            hidden=len(hidden),
            silent=sum(zone.primary.problem is not None for zone in hidden),
            verdict=verdict(now),
            requests=sum(now.per_minute.values()),
            fine=sum(n for word, n in now.per_minute.items() if word in GOOD),
            words=lambda zone: page.admin or _owns(page, zone),
        )

    return [get("/status", show, Access.EVERYBODY)]


def verdict(now: Snapshot) -> str:
    """In one word: `good`, `part` or `down`."""
    silent = [zone for zone in now.zones if zone.primary.problem is not None]
    if now.store is not None or (silent and len(silent) == len(now.zones)):
        return "down"
    behind = any(zone.problem is not None for zone in now.zones)
    secondaries = any(server.problem is not None for zone in now.zones for server in zone.secondaries)
    return "part" if silent or behind or secondaries else "good"


def _concerns(page: PageRequest, zone: ZoneStatus) -> bool:
    return zone.public or page.admin or _owns(page, zone)


def _owns(page: PageRequest, zone: ZoneStatus) -> bool:
    return page.signed_in and page.caller.user_id == zone.owner_id
