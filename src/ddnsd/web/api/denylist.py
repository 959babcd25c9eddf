# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/deny`: entries that administrators add to the deny lists of the settings."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from ddnsd.registry.inputs import PRINTABLE, Comment
from ddnsd.registry.rows import Denial
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Administrator, ApiRoute, ClientIp, Ctx, Id
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Page, Shown

Word = Literal["network", "agent", "name"]


class DenialCreate(Body):
    """A new entry of a deny list."""

    kind: Word = Field(
        description="network: no host may have an address in it, and a host that tries is blocked; agent: the "
        "beginning of a user agent, which gets badagent; name: a label or a full name that no new host may have, with "
        "* for any characters."
    )
    value: str = Field(min_length=1, max_length=253, pattern=PRINTABLE)
    comment: Comment | None = None


class DenialOut(Shown):
    """An entry of a deny list."""

    id: str
    kind: Word
    value: str
    comment: str | None
    created_by: str
    created: Moment


class DenialPage(Shown):
    """A page of entries."""

    items: list[DenialOut]
    next: Next


class DenialQuery(Page):
    """The parameters of the list."""

    model_config = ConfigDict(extra="forbid")

    kind: Word | None = None


router = APIRouter(prefix="/api/deny", tags=["deny"], route_class=ApiRoute)

CREATED = success(DenialOut, "Location") | leads_to("id", "read_denial", "delete_denial")


@router.get("", responses=problems() | {200: success(DenialPage)})
async def list_denials(_caller: Administrator, context: Ctx, query: Annotated[DenialQuery, Query()]) -> Response:
    """List the entries, oldest first. Entries of the settings are not included."""
    return serializers.listing(await context.denylist.page(query.after, query.limit, query.kind), _denial)


@router.post("", status_code=201, responses=changes(409) | {201: CREATED})
async def create_denial(caller: Administrator, context: Ctx, client_ip: ClientIp, body: DenialCreate) -> Response:
    """Add an entry. It applies on all nodes within seconds."""
    made = await context.denylist.add(body.kind, body.value, body.comment, actor=caller.user, client_ip=client_ip)
    return serializers.answer(_denial(made), 201, Location=f"/api/deny/{made.id}")


@router.get("/{id}", responses=problems(404) | {200: success(DenialOut)})
async def read_denial(_caller: Administrator, context: Ctx, denial_id: Id) -> Response:
    """Read one entry."""
    return serializers.answer(_denial(await context.denylist.get(denial_id)))


@router.delete("/{id}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_denial(caller: Administrator, context: Ctx, client_ip: ClientIp, denial_id: Id) -> Response:
    """Remove an entry. Hosts that it blocked stay blocked."""
    await context.denylist.remove(denial_id, actor=caller.user, client_ip=client_ip)
    return Response(status_code=204)


def _denial(denial: Denial) -> dict[str, Any]:
    return denial._asdict() | {"id": str(denial.id), "created": serializers.moment(denial.created)}
