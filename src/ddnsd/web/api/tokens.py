# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/tokens`: the caller's own tokens."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth import secrets
from ddnsd.registry.inputs import CredentialName, Expiry, Networks, Patterns, TokenRight, TokenRights
from ddnsd.registry.rows import Token
from ddnsd.registry.token_scope import TokenScope
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Changer, ClientIp, Ctx, Id, Reader
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Secret, Shown


class TokenCreate(Body):
    """A new token. What is not given is as with the token that asks."""

    name: CredentialName
    scopes: TokenRights = Field(["read", "write"])
    domains: Patterns = Field([])
    hosts: Patterns = Field([])
    networks: Networks = Field([])
    expires: Expiry | None = Field(None, description="RFC 3339; null: never.")


class TokenOut(Shown):
    """A token; empty lists do not limit it."""

    id: str
    name: str
    scopes: list[TokenRight]
    domains: list[str]
    hosts: list[str]
    networks: list[str]
    expires: Moment | None
    created: Moment
    last_used: Moment | None = Field(description="To the minute.")


class NewTokenOut(TokenOut):
    """A token that has just been made."""

    token: Secret


class TokenPage(Shown):
    """A page of tokens."""

    items: list[TokenOut]
    next: Next


router = APIRouter(prefix="/api/tokens", tags=["tokens"], route_class=ApiRoute)

CREATED = success(NewTokenOut, "Location") | leads_to("id", "read_token", "delete_token")


@router.get("", responses=problems() | {200: success(TokenPage)})
async def list_tokens(caller: Reader, context: Ctx, query: Paging) -> Response:
    """Your own tokens; with a limited token those that can do no more than it."""
    return serializers.listing(await context.tokens.page(caller, query.after, query.limit), _token)


@router.post("", status_code=201, responses=changes(409) | {201: CREATED})
async def create_token(caller: Changer, context: Ctx, client_ip: ClientIp, body: TokenCreate) -> Response:
    """Make a token that can do no more than the one that asks."""
    scopes = tuple(dict.fromkeys(body.scopes))
    wanted = TokenScope(scopes, tuple(body.domains), tuple(body.hosts), tuple(body.networks), body.expires)
    secret = secrets.new_token()
    token = await context.tokens.create(caller, body.name, wanted, secret, client_ip=client_ip)
    return serializers.answer(_token(token) | {"token": secret}, 201, Location=f"/api/tokens/{token.id}")


@router.get("/{id}", responses=problems(404) | {200: success(TokenOut)})
async def read_token(caller: Reader, context: Ctx, token_id: Id) -> Response:
    """One of your tokens, without the secret."""
    return serializers.answer(_token(await context.tokens.get(caller, token_id)))


@router.delete("/{id}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_token(caller: Changer, context: Ctx, client_ip: ClientIp, token_id: Id) -> Response:
    """Delete a token. It stops working at once. A token that can do more than yours is left alone (403)."""
    await context.tokens.delete(caller, token_id, client_ip=client_ip)
    return Response(status_code=204)


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": str(token.id),
        "name": token.name,
        "scopes": token.scopes.split(),
        "domains": token.domains.split(),
        "hosts": token.hosts.split(),
        "networks": token.networks.split(),
        "expires": serializers.moment(token.expires),
        "created": serializers.moment(token.created),
        "last_used": serializers.moment(token.last_used),
    }
