# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/tokens`: the caller's own tokens."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth import secrets
from ddnsd.registry.inputs import ID_DIGITS, Expiry, TokenInput, TokenRight, TokenRights, row_id
from ddnsd.registry.rows import Token
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Changer, ClientIp, Ctx, Id, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Secret, Shown, TsigKeyOut


class TokenCreate(TokenInput, Body):
    """A new token. A limit that you do not give is copied from your own token."""

    scopes: TokenRights = Field(["read", "write"])
    expires: Expiry | None = Field(None, description="RFC 3339; null: never.")
    replaces: str | None = Field(
        None,
        max_length=ID_DIGITS,
        description="The id of one of your tokens. It is deleted if the new one can be created.",
    )


class TokenOut(Shown):
    """A token. An empty list is no limit."""

    id: str
    name: str
    scopes: list[TokenRight]
    domains: list[str]
    hosts: list[str]
    stacks: list[str]
    networks: list[str]
    expires: Moment | None
    created: Moment
    last_used: Moment | None = Field(description="Accurate to the minute.")


class NewTokenOut(TokenOut):
    """A new token, with its secret."""

    token: Secret
    tsig: TsigKeyOut | None = Field(None, description="Absent without a port for DNS UPDATE.")


class TokenPage(Shown):
    """A page of tokens."""

    items: list[TokenOut]
    next: Next


router = APIRouter(prefix="/api/tokens", tags=["tokens"], route_class=ApiRoute)

CREATED = success(NewTokenOut, "Location") | leads_to("id", "read_token", "delete_token")


@router.get("", responses=problems() | {200: success(TokenPage)})
async def list_tokens(caller: Reader, context: Ctx, query: Paging) -> Response:
    """List your own tokens; with a limited token, only those that can do no more than it."""
    return serializers.listing(await context.tokens.page(caller, query.after, query.limit), _token)


@router.post("", status_code=201, responses=changes(404, 409) | {201: CREATED})
async def create_token(caller: Changer, context: Ctx, client_ip: ClientIp, body: TokenCreate) -> Response:
    """Create a token. It can do no more than your own token."""
    secret = secrets.new_token()
    await context.keep_tsig(secret)
    scope = body.scope(body.expires)
    replaces = None if body.replaces is None else row_id(body.replaces)
    token = await context.tokens.create(caller, body.name, scope, secret, client_ip=client_ip, replaces=replaces)
    shown = _token(token) | {"token": secret} | context.tsig_key(f"t-{token.id}", secret)
    return serializers.answer(shown, 201, Location=f"/api/tokens/{token.id}")


@router.get("/{id}", responses=problems(404) | {200: success(TokenOut)})
async def read_token(caller: Reader, context: Ctx, token_id: Id) -> Response:
    """Read one of your tokens, without the secret."""
    return serializers.answer(_token(await context.tokens.get(caller, token_id)))


@router.delete("/{id}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_token(caller: Changer, context: Ctx, client_ip: ClientIp, token_id: Id) -> Response:
    """Delete a token. It stops working at once. You cannot delete a token with more rights than yours (403)."""
    await context.tokens.delete(caller, token_id, client_ip=client_ip)
    return Response(status_code=204)


def _token(token: Token) -> dict[str, Any]:
    return {
        "id": str(token.id),
        "name": token.name,
        "scopes": token.scopes.split(),
        "domains": token.domains.split(),
        "hosts": token.hosts.split(),
        "stacks": token.stacks.split(),
        "networks": token.networks.split(),
        "expires": serializers.moment(token.expires),
        "created": serializers.moment(token.created),
        "last_used": serializers.moment(token.last_used),
    }
