# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/users`: local accounts, for administrators."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ddnsd.auth.caller import Caller
from ddnsd.auth.claims_age import is_soon
from ddnsd.auth.permissions import is_limited
from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.inputs import USER_NAME_LENGTH, Comment, NewUserName
from ddnsd.registry.quotas import Quota
from ddnsd.registry.rows import Author, User
from ddnsd.web import preconditions
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import (
    LIMITED,
    Administrator,
    ApiRoute,
    By,
    Changer,
    ClientIp,
    Context,
    Ctx,
    IfMatch,
    Reader,
)
from ddnsd.web.api.errors import NO_CONTENT, NOT_KEPT, Problem, changes, leads_to, problems, success
from ddnsd.web.api.events import EventPage
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Shown, unset
from ddnsd.web.downloads import download
from ddnsd.web.preconditions import same_user

Records = Literal["keep", "remove"]
Hosts = Literal["keep", "remove"]


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
    """The second factors of a user with a password."""

    app: Moment | None = Field(description="When the authenticator app was added; null: there is none.")
    passkeys: int
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


class ExportOut(BaseModel):
    """Everything that is stored about a user. The documentation describes its members."""

    model_config = ConfigDict(extra="allow")

    format: int
    exported: Moment
    user: dict[str, Any]
    hosts: list[dict[str, Any]]
    events: list[dict[str, Any]]


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


@router.get("/me/export", responses=problems() | {200: success(ExportOut)})
async def export_me(caller: Reader, context: Ctx) -> Response:
    """Read everything that is stored about you, without secrets. A limited token cannot do this."""
    _check_whole(caller)
    return await _export(context, await context.users.get(caller.user))


@router.delete("/me", status_code=204, responses=problems(409, 412, 429) | NO_CONTENT)
async def delete_me(
    caller: Changer,
    context: Ctx,
    client_ip: ClientIp,
    confirm: Annotated[str, Query(max_length=USER_NAME_LENGTH, description="Your user name.")] = "",
) -> Response:
    """Delete your account with all your hosts, keys and tokens. A limited token cannot do this.

    Delete your domains first, or ask an administrator to give them to another user. The last active administrator
    cannot delete their account.
    """
    _check_whole(caller)
    if confirm != caller.user:
        raise Invalid(confirm=Reason(Code.USER_NAME_NOT_CONFIRMED))
    await context.users.remove(Removal(caller.user, caller.user, client_ip, same_user(caller), hosts=True, own=True))
    return Response(status_code=204)


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
    caller: Administrator,
    context: Ctx,
    client_ip: ClientIp,
    name: str,
    hosts: Annotated[Hosts, Query(description="Whether to remove the user's hosts, too.")] = "keep",
    if_match: IfMatch = None,
) -> Response:
    """Delete a user with everything that belongs to them.

    A user who owns domains is not deleted, and one who owns hosts only with `hosts=remove`.
    """
    await context.users.get(name)
    await context.users.remove(
        Removal(
            name,
            caller.user,
            client_ip,
            lambda user: preconditions.check_match(if_match, preconditions.user_tag(user)),
            hosts=hosts == "remove",
        )
    )
    return Response(status_code=204)


@router.get("/{name}/export", responses=problems(404) | {200: success(ExportOut)})
async def export_user(_caller: Administrator, context: Ctx, by: By, name: str) -> Response:
    """Read everything that is stored about a user, without secrets. The user finds this in their events."""
    return await _export(context, await context.users.get(name), by)


@router.delete("/{name}/second-factor", status_code=204, responses=problems(404) | NO_CONTENT)
async def remove_second_factor(caller: Administrator, context: Ctx, client_ip: ClientIp, name: str) -> Response:
    """Remove a second factor that the user has lost, with its recovery codes. The user's sessions end."""
    user = await context.users.get(name)
    await context.second_factors.remove_all(user.name, actor=caller.user, client_ip=client_ip)
    return Response(status_code=204)


def _check_whole(caller: Caller) -> None:
    """Check that the token has no patterns. Raises Problem."""
    if is_limited(caller):
        raise Problem(403, LIMITED)


async def _export(context: Context, user: User, reader: Author | None = None) -> Response:
    return await download(context.account_export.parts(user, reader), "account.json", "application/json", NOT_KEPT)


async def _shown(context: Context, user: User, status: int = 200, **headers: str) -> Response:
    found = await context.second_factors.of_user(user.id)
    factor = {
        "app": serializers.moment(found.app),
        "passkeys": len(found.passkeys),
        "recovery_codes": found.codes,
    }
    content = await _account(context, user) | {"second_factor": factor if found else None}
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
