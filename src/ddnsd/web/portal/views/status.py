# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the service. Addresses and reasons are shown only to owners and administrators."""

from starlette.responses import Response

from ddnsd.registry.status import Snapshot, ZoneStatus
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get

GOOD = frozenset({"good", "nochg", "deleted"})
"""Return codes of successful requests."""


async def show(page: PageRequest) -> Response:
    """The state of all zones that the user may see."""
    now = page.portal.status.current()
    shown = [zone for zone in now.zones if _is_visible(page, zone)]
    hidden = [zone for zone in now.zones if not _is_visible(page, zone)]
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
        refused_total=sum(zone.queue.refused for zone in now.zones),
    )


def verdict(now: Snapshot) -> str:
    """The state in one word: `good`, `part` or `down`."""
    silent = [zone for zone in now.zones if zone.primary.problem is not None]
    if now.store is not None or (silent and len(silent) == len(now.zones)):
        return "down"
    behind = any(zone.problem is not None for zone in now.zones)
    secondaries = any(server.problem is not None for zone in now.zones for server in zone.secondaries)
    return "part" if silent or behind or secondaries else "good"


def _is_visible(page: PageRequest, zone: ZoneStatus) -> bool:
    return zone.public or page.admin or _owns(page, zone)


def _owns(page: PageRequest, zone: ZoneStatus) -> bool:
    return page.signed_in and page.caller.user_id == zone.owner_id


ROUTES = [get("/status", show, Access.EVERYBODY)]
