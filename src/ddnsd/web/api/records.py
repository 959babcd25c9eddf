# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/hosts/{fqdn}/records`: RRsets of a host, other than its addresses."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth.permissions import Action
from ddnsd.dns import conflicts
from ddnsd.dns.records import values_of
from ddnsd.registry import record_sets
from ddnsd.registry.inputs import RRsetChange, RRsetInput
from ddnsd.registry.record_sets import APEX, Place
from ddnsd.registry.rows import Host, RRset
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, By, Changer, Ctx, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, problems, success
from ddnsd.web.api.schemas import Shown
from ddnsd.web.preconditions import expect_host, get_host_or_404


class RecordsOut(Shown):
    """An RRset."""

    name: str = Field(
        description="@ for the host's own name, or labels below it of which the last one begins with an underscore."
    )
    type: str
    fqdn: str
    values: list[str] = Field(description="In presentation format, canonical and sorted.")
    ttl: int | None
    conflict: str | None = Field(description="Why the RRset is not in DNS, although the host is.")


class RecordsList(Shown):
    """The RRsets of a host."""

    items: list[RecordsOut]


router = APIRouter(prefix="/api/hosts/{fqdn}/records", tags=["hosts"], route_class=ApiRoute)


@router.get("", responses=problems(404) | {200: success(RecordsList)})
async def list_records(caller: Reader, context: Ctx, fqdn: str) -> Response:
    """List the host's RRsets, without its addresses, sorted by name and type."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.LIST)).host
    return serializers.answer({"items": [_shown(host, one) for one in await context.rrsets.of(host)]})


@router.put("/{name}/{rtype}", responses=changes(404, 409) | {200: success(RecordsOut)})
async def put_records(
    caller: Changer, context: Ctx, by: By, fqdn: str, name: str, rtype: str, body: RRsetInput
) -> Response:
    """Create an RRset with these values, or replace all its values."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.EDIT)).host
    expect = expect_host(caller, Action.EDIT)
    return serializers.answer(
        _shown(
            host,
            await context.rrsets.put(host, name, rtype, body.values, body.ttl, by, expect, unlimited=caller.admin),
        )
    )


@router.patch("/{name}/{rtype}", responses=changes(404, 409) | {200: success(RecordsOut)})
async def patch_records(
    caller: Changer, context: Ctx, by: By, fqdn: str, name: str, rtype: str, body: RRsetChange
) -> Response:
    """Add values to an RRset and remove others. Without a value there is no RRset, and `values` is empty."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.EDIT)).host
    sets_ttl = "ttl" in body.model_fields_set
    change = record_sets.parse_value_change(host.fqdn, name, rtype, body.add, body.remove, body.ttl, sets_ttl=sets_ttl)
    expect = expect_host(caller, Action.EDIT)
    made = await context.rrsets.change_values(host, change, by, expect, unlimited=caller.admin)
    return serializers.answer(_empty(change.place, change.name(host.fqdn)) if made is None else _shown(host, made))


@router.delete("/{name}/{rtype}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_records(caller: Changer, context: Ctx, by: By, fqdn: str, name: str, rtype: str) -> Response:
    """Remove an RRset."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.EDIT)).host
    await context.rrsets.remove(host, name, rtype, by, expect_host(caller, Action.EDIT))
    return Response(status_code=204)


def _shown(host: Host, one: RRset) -> dict[str, Any]:
    conflict = conflicts.sentence(one.conflict)
    return _empty(one.place, one.name(host.fqdn)) | {
        "values": values_of(one.data),
        "ttl": one.ttl,
        "conflict": conflict,
    }


def _empty(place: Place, fqdn: str) -> dict[str, Any]:
    prefix, rtype = place
    return {"name": prefix or APEX, "type": rtype, "fqdn": fqdn, "values": [], "ttl": None, "conflict": None}
