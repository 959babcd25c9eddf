# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/users`: local accounts, as an administrator."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Response
from pydantic import Field

from ddnsd.db import paging, queries
from ddnsd.db.rows import User
from ddnsd.registry import accounts
from ddnsd.web import preconditions
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import Administrator, ClientIp, Reader, route_class
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.errors import not_found
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Shown, unset

IfMatch = Annotated[str | None, Header(description="ETags; the change is made only where one of them still fits.")]


Records = Literal["keep", "remove"]


class UserCreate(Body):
    """A new user."""

    name: str = Field(max_length=150, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$")
    admin: bool = False


class UserPatch(Body):
    """What is to change; an absent field stays as it is."""

    admin: bool = unset(description="Whether their tokens with the scope `admin` count.")
    active: bool = unset(
        description="Without it everything of theirs is refused: sessions, tokens, secrets of hosts and keys."
    )
    records: Records = unset(
        description="What becomes of the records of their hosts while they are not active; `keep` unless given."
    )


class UserOut(Shown):
    """A user."""

    name: str
    admin: bool
    active: bool
    records: Records = Field(description="remove: they are not active, and the records of their hosts are out of DNS.")
    created: Moment


class UserPage(Shown):
    """A page of users."""

    items: list[UserOut]
    next: Next


def router(context: Context) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/users", tags=["users"], route_class=route_class(context))

    @routes.get("", responses=problems() | {200: success(UserPage)})
    async def list_users(_caller: Administrator, query: Paging) -> Response:
        """Every user."""
        found = await context.store.read(lambda c: paging.page_of_users(c, query.after, query.limit + 1))
        shown = found[: query.limit]
        return serializers.page(
            (json.dumps(_user(u)) for u in shown), shown[-1].id if len(found) > query.limit else None
        )

    @routes.get("/me", responses=problems() | {200: success(UserOut, "ETag")})
    async def read_me(caller: Reader) -> Response:
        """Yourself."""
        return _shown(await _named(context, caller.user))

    created = success(UserOut, "Location", "ETag") | leads_to("name", "read_user", "change_user", "delete_user")

    @routes.post("", status_code=201, responses=changes(409) | {201: created})
    async def create_user(caller: Administrator, client_ip: ClientIp, body: UserCreate) -> Response:
        """Add a user."""
        user = await context.store.transact(
            lambda c: accounts.new_user(c, body.name, admin=body.admin, actor=caller.user, client_ip=client_ip)
        )
        return _shown(user, 201, Location=f"/api/users/{user.name}")

    @routes.get("/{name}", responses=problems(404) | {200: success(UserOut, "ETag")})
    async def read_user(_caller: Administrator, name: str) -> Response:
        """One user."""
        return _shown(await _named(context, name))

    @routes.patch("/{name}", responses=changes(404, 409, 412) | {200: success(UserOut, "ETag")})
    async def change_user(
        caller: Administrator, client_ip: ClientIp, name: str, body: UserPatch, if_match: IfMatch = None
    ) -> Response:
        """Change the fields that are given. Nobody takes their own rights away."""
        await _named(context, name)
        given = {field: getattr(body, field) for field in body.model_fields_set - {"records"}}
        if body.records is not None:
            given["withdrawn"] = body.records == "remove"
        changed = await context.store.transact(
            lambda c: accounts.set_user(
                c,
                name,
                given,
                actor=caller.user,
                client_ip=client_ip,
                expect=lambda user: preconditions.check_match(if_match, preconditions.user_tag(user)),
            )
        )
        return _shown(changed)

    @routes.delete("/{name}", status_code=204, responses=problems(404, 409, 412) | NO_CONTENT)
    async def delete_user(caller: Administrator, client_ip: ClientIp, name: str, if_match: IfMatch = None) -> Response:
        """Remove a user who owns no host and no domain, with their tokens."""
        await _named(context, name)
        await context.store.transact(
            lambda c: accounts.delete_user(
                c,
                name,
                actor=caller.user,
                client_ip=client_ip,
                expect=lambda user: preconditions.check_match(if_match, preconditions.user_tag(user)),
            )
        )
        return Response(status_code=204)

    return routes


async def _named(context: Context, name: str) -> User:
    user = await context.store.read(lambda c: queries.user(c, name)) if _well_formed(name) else None
    if user is None:
        raise not_found()
    return user


def _well_formed(name: str) -> bool:
    return name.isprintable() and len(name) <= 150


def _shown(user: User, status: int = 200, **headers: str) -> Response:
    return serializers.answer(_user(user), status, ETag=preconditions.user_tag(user), **headers)


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "admin": bool(user.admin),
        "active": bool(user.active),
        "records": "remove" if user.withdrawn else "keep",
        "created": serializers.moment(user.created),
    }
