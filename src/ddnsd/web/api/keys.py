# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/keys`: Basic credentials for a group of the caller's hosts."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth import secrets
from ddnsd.registry.credentials import LOGIN_LENGTH, OwnKey
from ddnsd.registry.inputs import CredentialName, KeyHosts, KeyInput, Stack
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Changer, ClientIp, Ctx, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Secret, Shown, TsigKeyOut, unset


class KeyCreate(KeyInput, Body):
    """A new key."""

    replaces: str | None = Field(
        None,
        max_length=LOGIN_LENGTH,
        description="The login of one of your keys. It is deleted if the new one can be created.",
    )


class KeyPatch(Body):
    """The fields to change. An absent field keeps its value."""

    name: CredentialName = unset()
    hosts: KeyHosts = unset(description="All hosts of the key. You must own them.")
    stack: Stack | None = None


class KeyOut(Shown):
    """A key; `login` is the user name of Basic authentication."""

    login: str
    name: str
    hosts: list[str]
    stack: str | None
    created: Moment


class NewKeyOut(KeyOut):
    """A new key, with its secret."""

    secret: Secret
    tsig: TsigKeyOut | None = Field(None, description="Absent without a port for DNS UPDATE.")


class KeyPage(Shown):
    """A page of keys."""

    items: list[KeyOut]
    next: Next


router = APIRouter(prefix="/api/keys", tags=["keys"], route_class=ApiRoute)

CREATED = success(NewKeyOut, "Location") | leads_to("login", "read_key", "change_key", "delete_key")


@router.get("", responses=problems() | {200: success(KeyPage)})
async def list_keys(caller: Reader, context: Ctx, query: Paging) -> Response:
    """List your own keys."""
    return serializers.listing(await context.keys.page(caller, query.after, query.limit), _key)


@router.post("", status_code=201, responses=changes(404) | {201: CREATED})
async def create_key(caller: Changer, context: Ctx, client_ip: ClientIp, body: KeyCreate) -> Response:
    """Create a key that can update the addresses of these hosts. You must own the hosts."""
    login, secret = secrets.new_login(), secrets.new_secret()
    await context.keep_tsig(secret)
    own = await context.keys.create(
        caller, body.name, body.hosts, login, secret, client_ip=client_ip, replaces=body.replaces, stack=body.stack
    )
    return serializers.answer(
        _key(own) | {"secret": secret} | context.tsig_key(login, secret), 201, Location=f"/api/keys/{login}"
    )


@router.get("/{login}", responses=problems(404) | {200: success(KeyOut)})
async def read_key(caller: Reader, context: Ctx, login: str) -> Response:
    """Read one of your keys, without the secret."""
    return serializers.answer(_key(await context.keys.get(caller, login)))


@router.patch("/{login}", responses=changes(404) | {200: success(KeyOut)})
async def change_key(caller: Changer, context: Ctx, client_ip: ClientIp, login: str, body: KeyPatch) -> Response:
    """Change the given fields. The secret stays."""
    given = {field: getattr(body, field) for field in body.model_fields_set}
    return serializers.answer(_key(await context.keys.change(caller, login, given, client_ip=client_ip)))


@router.delete("/{login}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_key(caller: Changer, context: Ctx, client_ip: ClientIp, login: str) -> Response:
    """Delete a key. It stops working at once; its hosts stay."""
    await context.keys.delete(caller, login, client_ip=client_ip)
    return Response(status_code=204)


def _key(own: OwnKey) -> dict[str, Any]:
    return {
        "login": own.key.login,
        "name": own.key.name,
        "hosts": [host.fqdn for host in own.hosts],
        "stack": own.key.stack,
        "created": serializers.moment(own.key.created),
    }
