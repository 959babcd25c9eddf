# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/users`: local accounts, for administrators."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth.claims_age import is_soon
from ddnsd.registry.errors import Code, Reason
from ddnsd.registry.inputs import Comment, NewUserName
from ddnsd.registry.quotas import Quota
from ddnsd.registry.rows import User
from ddnsd.web import preconditions
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Administrator, ApiRoute, ClientIp, Context, Ctx, IfMatch, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.events import EventPage
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Shown, unset

Records = Literal["keep", "remove"]


class UserCreate(Body):
    """A new user."""

    name: NewUserName
    admin: bool = False


class UserPatch(Body):
    """The fields to change. An absent field keeps its value."""

    admin: bool = unset(description="Whether the user's tokens with the scope `admin` work.")
    active: bool = unset(
        description="If false, all credentials of the user are refused: sessions, tokens, secrets of hosts and keys."
    )
    records: Records = unset(
        description="What to do with the records of the user's hosts while the user is not active. Default: `keep`."
    )
    reason: Comment | None = Field(None, description="Why the user is not active. They read it when they sign in.")


class UserOut(Shown):
    """A user."""

    name: str
    admin: bool
    active: bool
    records: Records = Field(
        description="remove: the user is not active, and the records of the user's hosts are not in DNS."
    )
    reason: str | None = Field(description="Why the user is not active.")
    created: Moment


class UsageOut(Shown):
    """A quota, and what is used of it."""

    limit: int | None = Field(description="null: no limit.")
    used: int | None = Field(
        description="Of rates: in this hour or minute, by the busiest host, as this node has counted. null: no limit."
    )


class AccountOut(UserOut):
    """A user, with quotas."""

    quotas: dict[Quota, UsageOut]


class FactorOut(Shown):
    """A second factor of a user with a password."""

    app: Moment = Field(description="When the authenticator app was added.")
    recovery_codes: int = Field(description="The number of codes that were not used.")


class DetailsOut(AccountOut):
    """A user, as administrators see them."""

    second_factor: FactorOut | None = Field(description="null: the password alone signs the user in.")


class MeOut(AccountOut):
    """Your own account."""

    rights_end: Moment | None = Field(
        description="When your tokens lose groups or administrator rights that your identity provider stated, unless "
        "it states them again before; null: never."
    )
    warnings: list[str] = Field(description="A week before that, what to do.")


class UserPage(Shown):
    """A page of users."""

    items: list[UserOut]
    next: Next


router = APIRouter(prefix="/api/users", tags=["users"], route_class=ApiRoute)

CREATED = success(DetailsOut, "Location", "ETag") | leads_to(
    "name", "read_user", "change_user", "delete_user", "remove_second_factor"
)


@router.get("", responses=problems() | {200: success(UserPage)})
async def list_users(_caller: Administrator, context: Ctx, query: Paging) -> Response:
    """List all users."""
    return serializers.listing(await context.users.page(query.after, query.limit), _user)


@router.get("/me", responses=problems() | {200: success(MeOut, "ETag")})
async def read_me(caller: Reader, context: Ctx) -> Response:
    """Read your own account."""
    user, end = await context.users.get(caller.user), await context.users.rights_end(caller.user_id)
    at = serializers.moment(end)
    more = {"rights_end": at, "warnings": [str(Reason(Code.RIGHTS_END, at=at))] if at and is_soon(end) else []}
    return serializers.answer(await _account(context, user) | more, ETag=preconditions.user_tag(user))


@router.get("/me/events", responses=problems() | {200: success(EventPage)})
async def list_my_events(caller: Reader, context: Ctx, query: Paging) -> Response:
    """List your security log, newest first: sign-ins, failed ones, and changes of your credentials.

    With a limited token, the list is empty.
    """
    found = await context.audit_log.security(caller, query.before, query.limit)
    return serializers.listing(found, serializers.event)


@router.post("", status_code=201, responses=changes(409) | {201: CREATED})
async def create_user(caller: Administrator, context: Ctx, client_ip: ClientIp, body: UserCreate) -> Response:
    """Add a user."""
    user = await context.users.add(body.name, admin=body.admin, actor=caller.user, client_ip=client_ip)
    return await _shown(context, user, 201, Location=f"/api/users/{user.name}")


@router.get("/{name}", responses=problems(404) | {200: success(DetailsOut, "ETag")})
async def read_user(_caller: Administrator, context: Ctx, name: str) -> Response:
    """Read one user."""
    return await _shown(context, await context.users.get(name))


@router.patch("/{name}", responses=changes(404, 409, 412) | {200: success(DetailsOut, "ETag")})
async def change_user(
    caller: Administrator,
    context: Ctx,
    client_ip: ClientIp,
    name: str,
    body: UserPatch,
    if_match: IfMatch = None,
) -> Response:
    """Change the given fields. You cannot change your own rights."""
    await context.users.get(name)
    given = {field: getattr(body, field) for field in body.model_fields_set - {"records", "reason"}}
    if body.records is not None:
        given["withdrawn"] = body.records == "remove"
    if "reason" in body.model_fields_set:
        given["suspension_reason"] = body.reason or None
    changed = await context.users.change(
        name,
        given,
        actor=caller.user,
        client_ip=client_ip,
        expect=lambda user, _groups: preconditions.check_match(if_match, preconditions.user_tag(user)),
    )
    return await _shown(context, changed)


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 412) | NO_CONTENT)
async def delete_user(
    caller: Administrator, context: Ctx, client_ip: ClientIp, name: str, if_match: IfMatch = None
) -> Response:
    """Remove a user who owns no hosts and no domains, with the user's tokens."""
    await context.users.get(name)
    await context.users.remove(
        name,
        actor=caller.user,
        client_ip=client_ip,
        expect=lambda user: preconditions.check_match(if_match, preconditions.user_tag(user)),
    )
    return Response(status_code=204)


@router.delete("/{name}/second-factor", status_code=204, responses=problems(404) | NO_CONTENT)
async def remove_second_factor(caller: Administrator, context: Ctx, client_ip: ClientIp, name: str) -> Response:
    """Remove a second factor that the user has lost, with its recovery codes. The user's sessions end."""
    user = await context.users.get(name)
    await context.second_factors.remove_all(user.name, actor=caller.user, client_ip=client_ip)
    return Response(status_code=204)


async def _shown(context: Context, user: User, status: int = 200, **headers: str) -> Response:
    found = await context.second_factors.of_user(user.id)
    factor = {"app": serializers.moment(found.app), "recovery_codes": found.codes} if found else None
    content = await _account(context, user) | {"second_factor": factor}
    return serializers.answer(content, status, ETag=preconditions.user_tag(user), **headers)


async def _account(context: Context, user: User) -> dict[str, Any]:
    usage = await context.rates.usage(user.id)
    return _user(user) | {"quotas": {quota: one._asdict() for quota, one in usage.items()}}


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "admin": bool(user.admin),
        "active": bool(user.active),
        "records": "remove" if user.withdrawn else "keep",
        "reason": user.suspension_reason,
        "created": serializers.moment(user.created),
    }
