# SPDX-License-Identifier: GPL-3.0-or-later
"""How the service is, for everybody; addresses and reasons are for those whom they concern."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.registry.status import Snapshot, ZoneStatus
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import Access, Visit, get

GOOD = frozenset({"good", "nochg", "deleted"})
"""Words of requests that went well; those of the others say whose fault it is."""


def routes(portal: Portal) -> list[Route]:
    """The route."""

    async def show(visit: Visit) -> Response:
        now = portal.status.current()
        shown = [zone for zone in now.zones if _concerns(visit, zone)]
        hidden = [zone for zone in now.zones if not _concerns(visit, zone)]
        return visit.render(
            "status/show.html",
            now=now,
            zones=shown,
            hidden=len(hidden),
            silent=sum(zone.primary.problem is not None for zone in hidden),
            verdict=verdict(now),
            requests=sum(now.per_minute.values()),
            fine=sum(n for word, n in now.per_minute.items() if word in GOOD),
            words=lambda zone: visit.admin or _owns(visit, zone),
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


def _concerns(visit: Visit, zone: ZoneStatus) -> bool:
    return zone.public or visit.admin or _owns(visit, zone)


def _owns(visit: Visit, zone: ZoneStatus) -> bool:
    return visit.signed_in and visit.caller.user_id == zone.owner_id
