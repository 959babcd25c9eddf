# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a host fresh, ready to be copied, with a placeholder for the secret."""

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth.permissions import Action
from ddnsd.web.portal import access
from ddnsd.web.portal.client_configs import PLACEHOLDER, Target, configurations
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import PageRequest, get


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        owned = await access.host(page, Action.EDIT)
        shown = configurations(Target(owned.host.fqdn, portal.base_url))
        return page.render(
            "host/configuration.html",
            owned=owned,
            host=owned.host,
            configurations=shown,
            placeholder=PLACEHOLDER,
            opened=page.query.get("client", "curl"),
        )

    return [get("/hosts/{fqdn}/configuration", show)]
