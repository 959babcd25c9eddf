# SPDX-License-Identifier: GPL-3.0-or-later
"""The ASGI application of `/api`."""

import importlib.metadata
from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ddnsd.web.api import (
    changes,
    denylist,
    docs_page,
    domain_requests,
    domains,
    enrolments,
    events,
    history,
    hosts,
    keys,
    openapi,
    records,
    related,
    serializers,
    status,
    tokens,
    users,
)
from ddnsd.web.api.context import Context
from ddnsd.web.api.error_responses import success
from ddnsd.web.api.errors import Problem
from ddnsd.web.api.schemas import Shown

VERSION = importlib.metadata.version("fedcloud-ddns")
FEATURES = ["changes", "domains", "enrol", "rename", "rotate", "verify-secret"]


class Root(Shown):
    """What answers here."""

    service: str
    version: str
    features: list[str]


def build(context: Context) -> FastAPI:
    """The application; its paths begin with `/api`."""
    modules = (
        hosts,
        history,
        related,
        records,
        enrolments,
        changes,
        domains,
        domain_requests,
        tokens,
        keys,
        users,
        events,
        denylist,
    )
    routers = [
        _root(),
        status.router(context),
        *(module.router(context) for module in modules),
        enrolments.machines(context),
    ]
    app = FastAPI(
        title="ddnsd",
        version=VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    for router in routers:
        app.include_router(router)
    app.include_router(docs_page.router(lambda: openapi.of(app)))
    app.add_exception_handler(HTTPException, _refuse(routers))
    return app


def _root() -> APIRouter:
    routes = APIRouter(tags=["service"])

    @routes.get("/api", responses={200: success(Root)})
    async def read_service() -> Response:
        """Name, version, and what this service can do. Needs no token."""
        return serializers.answer({"service": "ddnsd", "version": VERSION, "features": FEATURES})

    return routes


def _refuse(routers: Sequence[APIRouter]):  # type: ignore[no-untyped-def]
    """What is answered where no route fits: one shape, and `Allow` with all methods of the path."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]

    async def refuse(request: Request, error: HTTPException) -> Response:
        if error.status_code != 405:
            return Problem(error.status_code, "There is nothing at this path.").response()
        path = next((route.path for route in routes if route.path_regex.match(request.url.path)), "")
        allowed = ", ".join(
            sorted({method for route in routes if route.path == path for method in route.methods or ()})
        )
        detail = f"{request.method} does nothing here; what does: {allowed}."
        return Problem(405, detail, headers={"Allow": allowed or "GET"}).response()

    return refuse
