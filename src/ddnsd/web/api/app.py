# SPDX-License-Identifier: GPL-3.0-or-later
"""The ASGI application of `/api`."""

from collections.abc import Sequence
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ddnsd.web.api import (
    abuse_reports,
    certificates,
    changes,
    denylist,
    dhcp_keys,
    docs_page,
    domain_requests,
    domains,
    enrolments,
    events,
    history,
    hosts,
    keys,
    quotas,
    records,
    related,
    secret_checks,
    stacks,
    status,
    tokens,
    users,
    webhooks,
)
from ddnsd.web.api.dependencies import Context
from ddnsd.web.api.errors import Problem

ROUTERS = (
    status.router,
    hosts.router,
    history.router,
    related.router,
    records.router,
    certificates.router,
    enrolments.router,
    secret_checks.router,
    changes.router,
    domains.router,
    domain_requests.router,
    tokens.router,
    keys.router,
    dhcp_keys.router,
    stacks.router,
    webhooks.router,
    users.router,
    quotas.router,
    events.router,
    denylist.router,
    abuse_reports.router,
    enrolments.machines,
)
"""The routers, in the order of the OpenAPI description."""


def build(context: Context) -> FastAPI:
    """The application; its paths begin with `/api`."""
    app = FastAPI(
        title="ddnsd",
        version=status.VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(docs_page.router)
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    app.add_exception_handler(HTTPException, partial(_refuse, routes))
    return app


async def _refuse(routes: Sequence[APIRoute], request: Request, error: HTTPException) -> Response:
    """The problem if no route matches; for 405, `Allow` has all methods of the path."""
    if error.status_code != 405:
        return Problem(error.status_code, "There is nothing at this path. `/api/docs` lists all paths.").response()
    path = next((route.path for route in routes if route.path_regex.match(request.url.path)), "")
    allowed = ", ".join(sorted({method for route in routes if route.path == path for method in route.methods or ()}))
    detail = f"{request.method} is not possible at this path. Use one of: {allowed}."
    return Problem(405, detail, headers={"Allow": allowed or "GET"}).response()
