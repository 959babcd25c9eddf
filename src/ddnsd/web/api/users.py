# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/users`: local accounts, as an administrator."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.registry.inputs import NewUserName
from ddnsd.registry.rows import User
from ddnsd.web import preconditions
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Administrator, ApiRoute, ClientIp, Ctx, IfMatch, Reader
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Shown, unset

Records = Literal["keep", "remove"]


class UserCreate(Body):
    """A new user."""

    name: NewUserName
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


router = APIRouter(prefix="/api/users", tags=["users"], route_class=ApiRoute)

CREATED = success(UserOut, "Location", "ETag") | leads_to("name", "read_user", "change_user", "delete_user")


@router.get("", responses=problems() | {200: success(UserPage)})
async def list_users(_caller: Administrator, context: Ctx, query: Paging) -> Response:
    """Every user."""
    return serializers.listing(await context.users.page(query.after, query.limit), _user)


@router.get("/me", responses=problems() | {200: success(UserOut, "ETag")})
async def read_me(caller: Reader, context: Ctx) -> Response:
    """Yourself."""
    return _shown(await context.users.get(caller.user))


@router.post("", status_code=201, responses=changes(409) | {201: CREATED})
async def create_user(caller: Administrator, context: Ctx, client_ip: ClientIp, body: UserCreate) -> Response:
    """Add a user."""
    user = await context.users.add(body.name, admin=body.admin, actor=caller.user, client_ip=client_ip)
    return _shown(user, 201, Location=f"/api/users/{user.name}")


@router.get("/{name}", responses=problems(404) | {200: success(UserOut, "ETag")})
async def read_user(_caller: Administrator, context: Ctx, name: str) -> Response:
    """One user."""
    return _shown(await context.users.get(name))


@router.patch("/{name}", responses=changes(404, 409, 412) | {200: success(UserOut, "ETag")})
async def change_user(
    caller: Administrator,
    context: Ctx,
    client_ip: ClientIp,
    name: str,
    body: UserPatch,
    if_match: IfMatch = None,
) -> Response:
    """Change the fields that are given. Nobody takes their own rights away."""
    await context.users.get(name)
    given = {field: getattr(body, field) for field in body.model_fields_set - {"records"}}
    if body.records is not None:
        given["withdrawn"] = body.records == "remove"
    changed = await context.users.change(
        name,
        given,
        actor=caller.user,
        client_ip=client_ip,
        expect=lambda user, _groups: preconditions.check_match(if_match, preconditions.user_tag(user)),
    )
    return _shown(changed)


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 412) | NO_CONTENT)
async def delete_user(
    caller: Administrator, context: Ctx, client_ip: ClientIp, name: str, if_match: IfMatch = None
) -> Response:
    """Remove a user who owns no host and no domain, with their tokens."""
    await context.users.get(name)
    await context.users.remove(
        name,
        actor=caller.user,
        client_ip=client_ip,
        expect=lambda user: preconditions.check_match(if_match, preconditions.user_tag(user)),
    )
    return Response(status_code=204)


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
