# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/dhcp-keys`: TSIG keys with which DHCP servers change names that are nobody's host."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth import secrets
from ddnsd.registry.dhcp_configs import PROGRAMS
from ddnsd.registry.dhcp_keys import OwnDhcpKey
from ddnsd.registry.inputs import DhcpKeyInput
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Changer, ClientIp, Ctx, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Secret, Shown


class DhcpKeyCreate(DhcpKeyInput, Body):
    """A new DHCP key."""


class DhcpKeyOut(Shown):
    """A DHCP key; `name` is the name of the TSIG key."""

    name: str
    domains: list[str]
    created_by: str
    created: Moment


class NewDhcpKeyOut(DhcpKeyOut):
    """A new DHCP key, with its TSIG secret."""

    algorithm: str
    secret: Secret = Field(description="The TSIG secret, in base64.")
    configurations: dict[str, str] = Field(description="Configurations of DHCP servers, by their name.")


class DhcpKeyPage(Shown):
    """A page of DHCP keys."""

    items: list[DhcpKeyOut]
    next: Next


router = APIRouter(prefix="/api/dhcp-keys", tags=["dhcp-keys"], route_class=ApiRoute)

CREATED = success(NewDhcpKeyOut, "Location") | leads_to("name", "read_dhcp_key", "delete_dhcp_key")


@router.get("", responses=problems() | {200: success(DhcpKeyPage)})
async def list_dhcp_keys(caller: Reader, context: Ctx, query: Paging) -> Response:
    """List the DHCP keys of your domains."""
    return serializers.listing(await context.dhcp_keys.page(caller, query.after, query.limit), _key)


@router.post("", status_code=201, responses=changes() | {201: CREATED})
async def create_dhcp_key(caller: Changer, context: Ctx, client_ip: ClientIp, body: DhcpKeyCreate) -> Response:
    """Create a key with which a DHCP server changes names of these domains that no host has. You must own them."""
    secret = secrets.new_secret()
    own = await context.dhcp_keys.create(caller, body.name, body.domains, secret, client_ip=client_ip)
    target = context.dhcp_keys.target(own, secret)
    shown = {
        "algorithm": "hmac-sha256",
        "secret": target.secret,
        "configurations": {name: made(target) for name, made in PROGRAMS.items()},
    }
    return serializers.answer(_key(own) | shown, 201, Location=f"/api/dhcp-keys/{own.key.name}")


@router.get("/{name}", responses=problems(404) | {200: success(DhcpKeyOut)})
async def read_dhcp_key(caller: Reader, context: Ctx, name: str) -> Response:
    """Read a DHCP key of your domains, without the secret."""
    return serializers.answer(_key(await context.dhcp_keys.get(caller, name)))


@router.delete("/{name}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_dhcp_key(caller: Changer, context: Ctx, client_ip: ClientIp, name: str) -> Response:
    """Delete a DHCP key. It stops working at once; what it wrote stays in the zones."""
    await context.dhcp_keys.delete(caller, name, client_ip=client_ip)
    return Response(status_code=204)


def _key(own: OwnDhcpKey) -> dict[str, Any]:
    return {
        "name": own.key.name,
        "domains": [domain.name for domain in own.domains],
        "created_by": own.key.created_by,
        "created": serializers.moment(own.key.created),
    }
