# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/hosts/{fqdn}/related`: names below a host whose AAAA follows the host's IPv6 prefix."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth.permissions import Action
from ddnsd.dns.records import records
from ddnsd.registry.inputs import InterfaceId
from ddnsd.registry.rows import Host, Related
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, By, Changer, Ctx, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, problems, success
from ddnsd.web.api.schemas import Body, Shown
from ddnsd.web.preconditions import expect_host, get_host_or_404


class RelatedPut(Body):
    """The interface id of a related name."""

    interface_id: InterfaceId = Field(description="The low bits, such as ::7, which stay when the prefix changes.")


class RelatedOut(Shown):
    """A related name."""

    label: str
    fqdn: str
    interface_id: str
    ipv6: str | None = Field(description="The address; null while the host has no IPv6 address.")


class RelatedList(Shown):
    """The related names of a host."""

    items: list[RelatedOut]


router = APIRouter(prefix="/api/hosts/{fqdn}/related", tags=["hosts"], route_class=ApiRoute)


@router.get("", responses=problems(404) | {200: success(RelatedList)})
async def list_related(caller: Reader, context: Ctx, fqdn: str) -> Response:
    """List the host's related names, sorted."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.LIST)).host
    return serializers.answer({"items": [_related(host, name) for name in await context.related.of(host)]})


@router.put("/{label}", responses=changes(404, 409) | {200: success(RelatedOut)})
async def put_related(caller: Changer, context: Ctx, by: By, fqdn: str, label: str, body: RelatedPut) -> Response:
    """Create or change a related name: a label below the host that follows the host's IPv6 prefix."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.EDIT)).host
    expect = expect_host(caller, Action.EDIT)
    made = await context.related.put(host, label, body.interface_id, by, expect, unlimited=caller.admin)
    current = await get_host_or_404(context.host_lists, caller, fqdn, Action.LIST)
    return serializers.answer(_related(current.host, made))


@router.delete("/{label}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_related(caller: Changer, context: Ctx, by: By, fqdn: str, label: str) -> Response:
    """Remove a related name and its record."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.EDIT)).host
    await context.related.remove(host, label, by, expect_host(caller, Action.EDIT))
    return Response(status_code=204)


def _related(host: Host, name: Related) -> dict[str, Any]:
    shown = next((n.ipv6 for n in records(host, [name]) if n.fqdn == name.fqdn), None)
    label = name.fqdn.partition(".")[0]
    return {"label": label, "fqdn": name.fqdn, "interface_id": name.interface_id, "ipv6": shown}
