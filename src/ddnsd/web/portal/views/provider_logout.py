# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that end because the provider says so. The provider calls this path, and no browser does."""

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ddnsd.auth.oidc import ProviderDown, jwt
from ddnsd.registry.errors import StoreDown
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NoForm, TooLarge
from ddnsd.web.portal.routing import read_form

log = structlog.get_logger()


async def end_sessions(request: Request) -> Response:
    """Verify the logout token, and end the sessions that it names (OpenID Connect Back-Channel Logout 1.0)."""
    portal: Portal = request.app.state.portal
    name = request.path_params["provider"]
    client_ip = request.client.host if request.client else None
    try:
        if (flow := portal.flows.get(name)) is None:
            raise jwt.Invalid("there is no such provider")
        logout = await flow.read_logout((await read_form(request)).get("logout_token", ""))
        if not await portal.sessions.end_by_provider(name, logout, client_ip):
            raise jwt.Invalid("it was used before")
    except (jwt.Invalid, TooLarge, NoForm) as error:
        reason = str(error) or (error.__doc__ or "")
        log.info("logout by provider refused", provider=name, reason=reason)
        return JSONResponse({"error": "invalid_request", "error_description": reason}, 400)
    except ClientDisconnect:
        return Response(status_code=408)
    except (ProviderDown, StoreDown) as error:
        log.warning("logout by provider failed", provider=name, reason=str(error))
        return JSONResponse({"error": "temporarily_unavailable"}, 503)
    return Response()


ROUTES = [Route("/login/{provider}/backchannel-logout", end_sessions, methods=["POST"])]
