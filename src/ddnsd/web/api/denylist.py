# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/deny`: what administrators deny beside the settings."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from ddnsd.db import denylist
from ddnsd.db.denylist import Denial
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import Administrator, ClientIp, route_class
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.errors import not_found
from ddnsd.web.api.schemas import PRINTABLE, Body, Comment, Moment, Next, Page, Shown

Word = Literal["network", "agent", "name"]


class DenialCreate(Body):
    """What is to be denied."""

    kind: Word = Field(
        description="network: no host may point there, trying blocks it; agent: how a user agent begins, which is "
        "answered badagent; name: what no new host may be called, with * for any characters, a label or a full name."
    )
    value: str = Field(min_length=1, max_length=253, pattern=PRINTABLE)
    comment: Comment | None = None


class DenialOut(Shown):
    """What is denied."""

    id: str
    kind: Word
    value: str
    comment: str | None
    created_by: str
    created: Moment


class DenialPage(Shown):
    """A page of what is denied."""

    items: list[DenialOut]
    next: Next


class DenialQuery(Page):
    """Which of it."""

    model_config = ConfigDict(extra="forbid")

    kind: Word | None = None


def router(context: Context) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/deny", tags=["deny"], route_class=route_class(context))

    @routes.get("", responses=problems() | {200: success(DenialPage)})
    async def list_denials(_caller: Administrator, query: Annotated[DenialQuery, Query()]) -> Response:
        """What is denied, by age; what the settings deny is not in the list."""
        found = await context.store.read(lambda c: denylist.page(c, query.after, query.limit + 1, query.kind))
        shown = found[: query.limit]
        return serializers.page(
            (json.dumps(_denial(d)) for d in shown), shown[-1].id if len(found) > query.limit else None
        )

    created = success(DenialOut, "Location") | leads_to("id", "read_denial", "delete_denial")

    @routes.post("", status_code=201, responses=changes(409) | {201: created})
    async def create_denial(caller: Administrator, client_ip: ClientIp, body: DenialCreate) -> Response:
        """Deny; in force on all nodes within seconds."""
        made = await context.denials.add(body.kind, body.value, body.comment, actor=caller.user, client_ip=client_ip)
        return serializers.answer(_denial(made), 201, Location=f"/api/deny/{made.id}")

    @routes.get("/{id}", responses=problems(404) | {200: success(DenialOut)})
    async def read_denial(_caller: Administrator, id: str) -> Response:  # noqa: A002
        """One of them."""
        found = await context.store.read(lambda c: denylist.find(c, _number(id)))
        if found is None:
            raise not_found()
        return serializers.answer(_denial(found))

    @routes.delete("/{id}", status_code=204, responses=problems(404) | NO_CONTENT)
    async def delete_denial(caller: Administrator, client_ip: ClientIp, id: str) -> Response:  # noqa: A002
        """Deny it no more; a host that was blocked stays so."""
        await context.denials.remove(_number(id), actor=caller.user, client_ip=client_ip)
        return Response(status_code=204)

    return routes


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else 0


def _denial(denial: Denial) -> dict[str, Any]:
    return denial._asdict() | {"id": str(denial.id), "created": serializers.moment(denial.created)}
