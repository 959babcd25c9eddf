# SPDX-License-Identifier: GPL-3.0-or-later
"""The ready-made configurations of one host, with a placeholder for the secret that only its owner knows."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.faces.portal.configurations import PLACEHOLDER, Target, configurations
from ddnsd.faces.portal.context import Portal
from ddnsd.faces.portal.visit import Visit, get
from ddnsd.identity.access import Action, can
from ddnsd.registry import names
from ddnsd.registry.errors import NoHost
from ddnsd.store import listing


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(visit: Visit) -> Response:
        fqdn = names.fold(visit.param("fqdn"))
        found = await portal.store.read(lambda c: listing.host(c, fqdn)) if names.is_full(fqdn) else None
        if found is None or not can(visit.caller, Action.LIST, found.host):
            raise NoHost
        made = configurations(Target(fqdn, portal.base_url))
        opened = visit.query.get("for", "")
        return visit.render(
            "configure/host.html", fqdn=fqdn, configurations=made, opened=opened, placeholder=PLACEHOLDER
        )

    return [get("/hosts/{fqdn}/configuration", show)]
