# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/tokens`: the caller's own tokens."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import is_limited
from ddnsd.db import paging, queries
from ddnsd.db.rows import Token, User
from ddnsd.registry import accounts
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.token_scope import TokenScope, network
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import Changer, ClientIp, Reader, route_class
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.errors import Problem, not_found
from ddnsd.web.api.schemas import Body, Moment, Name, Next, Paging, Secret, Shown

Scope = Literal["read", "write", "admin"]
Pattern = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9.*?-]+$")]
Patterns = Annotated[list[Pattern], Field(max_length=100, description="Only names that match, such as *.example.org.")]
Network = Annotated[str, Field(max_length=49)]
Networks = Annotated[list[Network], Field(max_length=100, description="Only callers from there: 192.0.2.0/24.")]


class TokenCreate(Body):
    """A new token. What is not given is as with the token that asks."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = Field(["read", "write"])
    domains: Patterns = Field([])
    hosts: Patterns = Field([])
    networks: Networks = Field([])
    expires: Moment | None = Field(None, description="RFC 3339; null: never.")


class TokenOut(Shown):
    """A token; empty lists do not limit it."""

    id: str
    name: str
    scopes: list[Scope]
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


def router(context: Context) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/tokens", tags=["tokens"], route_class=route_class(context))

    @routes.get("", responses=problems() | {200: success(TokenPage)})
    async def list_tokens(caller: Reader, query: Paging) -> Response:
        """Your own tokens; with a limited token those that can do no more than it."""
        limits = await _limits(context, caller)
        found = await context.store.read(
            lambda c: paging.page_of_tokens(c, caller.user_id, query.after, query.limit + 1)
        )
        page = found[: query.limit]
        items = [json.dumps(_token(t)) for t in page if _sees(caller, limits, t)]
        return serializers.page(items, page[-1].id if len(found) > query.limit else None)

    created = success(NewTokenOut, "Location") | leads_to("id", "read_token", "delete_token")

    @routes.post("", status_code=201, responses=changes(409) | {201: created})
    async def create_token(caller: Changer, client_ip: ClientIp, body: TokenCreate) -> Response:
        """Make a token that can do no more than the one that asks."""
        own = await _limits(context, caller)
        limits = own.narrowed(_wanted(body))
        secret = secrets.new_token()
        user = User(caller.user_id, caller.user, caller.admin, True, 0)
        made = await context.store.transact(
            lambda c: accounts.add_token(
                c,
                user,
                body.name,
                secrets.digest(secret),
                scopes=limits.scopes,
                domains=limits.domains,
                hosts=limits.hosts,
                networks=limits.networks,
                expires=limits.expires,
                actor=caller.user,
                client_ip=client_ip,
            )
        )
        return serializers.answer(_token(made) | {"token": secret}, 201, Location=f"/api/tokens/{made.id}")

    @routes.get("/{id}", responses=problems(404) | {200: success(TokenOut)})
    async def read_token(caller: Reader, id: str) -> Response:  # noqa: A002
        """One of your tokens, without the secret."""
        token = await _own(context, caller, id)
        if not _sees(caller, await _limits(context, caller), token):
            raise not_found()
        return serializers.answer(_token(token))

    @routes.delete("/{id}", status_code=204, responses=problems(404) | NO_CONTENT)
    async def delete_token(caller: Changer, client_ip: ClientIp, id: str) -> Response:  # noqa: A002
        """Make a token void at once; one that can do more than yours is left alone (403)."""
        token = await _own(context, caller, id)
        if token.id != caller.token_id and not (await _limits(context, caller)).covers(TokenScope.of(token)):
            raise Problem(403, "That token can do more than yours.")
        await context.store.transact(lambda c: accounts.delete_token(c, token, caller.user, client_ip))
        return Response(status_code=204)

    return routes


async def _limits(context: Context, caller: Caller) -> TokenScope:
    """Those of the token that asks."""
    if caller.token_id is not None:
        token_id = caller.token_id
        token = await context.store.read(lambda c: paging.token(c, token_id))
        if token is None:
            raise not_found()
        limits = TokenScope.of(token)
        return TokenScope(tuple(sorted(caller.scopes)), limits.domains, limits.hosts, limits.networks, limits.expires)
    return TokenScope(tuple(sorted(caller.scopes)), caller.domains, caller.host_patterns)


async def _own(context: Context, caller: Caller, given: str) -> Token:
    number = int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else 0
    token = await context.store.read(lambda c: paging.token(c, number))
    if token is None or token.user_id != caller.user_id:
        raise not_found()
    return token


def _sees(caller: Caller, limits: TokenScope, token: Token) -> bool:
    """Whether the caller may know of a token of theirs: a limited one shows itself and those that it could make."""
    return not is_limited(caller) or token.id == caller.token_id or limits.covers(TokenScope.of(token))


def _wanted(body: TokenCreate) -> TokenScope:
    networks = tuple(network(text) for text in body.networks)
    return TokenScope(
        tuple(dict.fromkeys(body.scopes)), tuple(body.domains), tuple(body.hosts), networks, _expires(body.expires)
    )


def _expires(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        microseconds = round(moment.astimezone(UTC).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        moment, microseconds = datetime.min, 0
    if moment.tzinfo is None:
        raise Invalid(expires=Reason(Code.EXPIRY_INVALID, value=text))
    if microseconds <= queries.now():
        raise Invalid(expires=Reason(Code.EXPIRY_PAST, value=text))
    return microseconds


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
