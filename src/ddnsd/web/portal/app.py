# SPDX-License-Identifier: GPL-3.0-or-later
"""The ASGI application of the portal."""

import importlib.metadata

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ddnsd.registry.errors import StoreDown
from ddnsd.web.asgi import Application, Receive, Scope, Send
from ddnsd.web.portal import error_pages, templating
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import anonymous, load_request
from ddnsd.web.portal.views import (
    abuse,
    account,
    admin,
    denylist,
    dhcp_keys,
    domain_new,
    domain_requests,
    domains,
    events,
    host,
    host_certificate,
    host_new,
    host_records,
    keys,
    overview,
    passkeys,
    provider_logout,
    second_factor,
    sign_in,
    status,
    tokens,
    users,
)
from ddnsd.web.portal.views import help as help_pages
from ddnsd.web.security_headers import SecurityHeaders

VERSION = importlib.metadata.version("fedcloud-ddns")

PATHS = (
    "/",
    "/hosts",
    "/domains",
    "/tokens",
    "/keys",
    "/dhcp-keys",
    "/account",
    "/admin",
    "/status",
    "/help",
    "/login",
    "/report-abuse",
    "/logout",
    "/static",
)
"""Prefixes of the portal's paths."""

MODULES = (
    overview,
    host_new,
    host,
    host_certificate,
    host_records,
    domain_new,
    domain_requests,
    domains,
    tokens,
    keys,
    dhcp_keys,
    account,
    second_factor,
    passkeys,
    admin,
    users,
    denylist,
    abuse,
    events,
    status,
    help_pages,
    sign_in,
    provider_logout,
)


POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


HEADERS = {
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send no Origin with forms
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def build(portal: Portal) -> Application:
    """The application; it answers all paths that begin with `PATHS`."""
    static = templating.Static()
    routes = [route for module in MODULES for route in module.ROUTES]
    app = Starlette(routes=routes + static.routes(), exception_handlers={HTTPException: _refuse})
    app.router.redirect_slashes = False
    app.state.portal = portal
    app.state.environments = templating.environments(static, version=VERSION, base_url=portal.base_url)
    return SecurityHeaders(_Rooted(app), POLICY, HEADERS)


class _Rooted:
    """An application that gets the path `/` instead of an empty one."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "path": scope["path"] or "/"}, receive, send)


async def _refuse(request: Request, error: Exception) -> Response:
    """The page for a path that has no route."""
    try:
        page = await load_request(request)
    except StoreDown:
        page = anonymous(request)
    return error_pages.answer(page, error)
