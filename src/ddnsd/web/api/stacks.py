# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/stacks`: the stacks of declarations, and the lease of the one who applies a declaration."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, WithJsonSchema

from ddnsd.registry.errors import LeaseLost
from ddnsd.registry.inputs import Comment, FullName, Stack, by_full_name
from ddnsd.registry.rows import Page, StackRow
from ddnsd.web.api import serializers
from ddnsd.web.api.changes import is_of_token, secrets_of, token_of
from ddnsd.web.api.dependencies import ApiRoute, Changer, ClientIp, Ctx, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, lease_json, problems, success
from ddnsd.web.api.schemas import Body, LeaseId, Moment, Next, Paging, Shown, unset

GIVEN = 1000
"""The most hosts that a stack gives away at a time."""

Gives = Annotated[
    dict[FullName, Stack],
    Field(max_length=GIVEN),
    WithJsonSchema(
        by_full_name(Stack, GIVEN, "All hosts that other stacks may take over: full names with these stacks.")
    ),
]


class StackPatch(Body):
    """The fields to change. An absent field keeps its value."""

    name: Stack = unset(description="A new name. All hosts and domains of the stack get it.")
    protect: bool = unset(description="Whether to refuse deletions of its hosts. The stack need not exist yet.")
    gives: Gives = unset()


class LeaseIn(Body):
    """A new lease."""

    note: Comment | None = Field(None, description="What the holder is, such as a job; shown with the token's name.")
    commit: Comment | None = Field(None, description="The version of the declaration that is applied.")


class LeaseOut(Shown):
    """Who applies a declaration of the stack."""

    holder: str = Field(description="The name of the token or user, and the note.")
    since: Moment
    expires: Moment = Field(description="When the lease ends, unless it is renewed.")


class NewLeaseOut(LeaseOut):
    """A new lease, with its id."""

    id: str = Field(description="For the header Stack-Lease. It is shown only once.")


class ApplyOut(Shown):
    """The last call with a lease that changed hosts."""

    at: Moment
    by: str
    commit: str | None


class StackOut(Shown):
    """A stack."""

    name: str
    owner: str
    hosts: int
    domains: int
    protect: bool
    gives: dict[str, str] = Field(description="Names of hosts that other stacks may take over, and these stacks.")
    last_apply: ApplyOut | None
    lease: LeaseOut | None = Field(description="null: nobody applies a declaration now.")


class StackPage(Shown):
    """A page of stacks."""

    items: list[StackOut]
    next: Next


class LostSecretsOut(Shown):
    """Secrets of a call."""

    secrets: dict[str, str] = Field(description="By full name. Some may have been replaced since.")
    next: int | None = Field(description="The `cursor` of the next call; null: there is none.")
    other_tokens: int = Field(description="Calls with other tokens. Only these can get their secrets.")


Cursor = Annotated[int, Query(ge=0, le=10**6)]

router = APIRouter(prefix="/api/stacks", tags=["stacks"], route_class=ApiRoute)


@router.get("", responses=problems() | {200: success(StackPage)})
async def list_stacks(caller: Reader, context: Ctx, query: Paging) -> Response:
    """List your stacks; with an administrator's token, those of all users."""
    found = await context.stacks.all(caller)
    end = query.after + query.limit
    return serializers.listing(Page(found[query.after : end], end if end < len(found) else None), _stack)


@router.get("/{name}", responses=problems(404) | {200: success(StackOut)})
async def read_stack(caller: Reader, context: Ctx, name: str) -> Response:
    """Read one of your own stacks."""
    return serializers.answer(_stack(await context.stacks.get(caller, name)))


@router.patch("/{name}", responses=changes(404, 409) | {200: success(StackOut)})
async def change_stack(
    caller: Changer, context: Ctx, client_ip: ClientIp, name: str, body: StackPatch, lease: LeaseId = None
) -> Response:
    """Rename a stack with all its hosts and domains, or protect it. Send the id of your lease, if you have one."""
    changed = await context.stacks.change(
        caller, name, protect=body.protect, gives=body.gives, new=body.name, lease=lease, client_ip=client_ip
    )
    return serializers.answer(_stack(changed))


@router.post("/{name}/lease", status_code=201, responses=changes(404, 409) | {201: success(NewLeaseOut)})
async def acquire_lease(caller: Changer, context: Ctx, name: str, body: LeaseIn) -> Response:
    """Announce that you apply a declaration of this stack. It fails while somebody else does (409).

    The lease ends after 60 seconds, unless you renew it. Send its id with POST /api/changes: the call fails if the
    lease has ended.
    """
    made = await context.stacks.acquire(caller, name, body.note, body.commit)
    return serializers.answer({"id": made.id} | lease_json(made.lease), 201)


@router.put("/{name}/lease", responses=problems(409, 429) | {200: success(LeaseOut)})
async def renew_lease(caller: Changer, context: Ctx, name: str, lease: LeaseId = None) -> Response:
    """Renew your lease for 60 seconds. It fails if the lease has ended (409)."""
    if lease is None:
        raise LeaseLost
    return serializers.answer(lease_json(await context.stacks.renew(caller, name, lease)))


@router.delete("/{name}/lease", status_code=204, responses=problems(409) | NO_CONTENT)
async def release_lease(
    caller: Changer,
    context: Ctx,
    client_ip: ClientIp,
    request: Request,
    name: str,
    lease: LeaseId = None,
    force: Annotated[bool, Query(description="Take the lease from its holder.")] = False,
    stored: Annotated[bool, Query(description="All new secrets of the stack that you can get are stored.")] = False,
) -> Response:
    """Give your lease back. With `force`, take it away from its holder, whose calls then fail."""
    if lease is None and not force:
        raise LeaseLost
    token = token_of(request)
    told = (lambda call: is_of_token(call, token)) if stored and not force else None
    await context.stacks.release(caller, name, None if force else lease, client_ip=client_ip, stored=told)
    return Response(status_code=204)


@router.post("/{name}/lease/secrets", responses=problems(404, 409, 429) | {200: success(LostSecretsOut)})
async def read_lost_secrets(
    caller: Changer, context: Ctx, request: Request, name: str, lease: LeaseId = None, cursor: Cursor = 0
) -> Response:
    """Get new secrets again that a run may not have stored, because it ended before it gave its lease back.

    These are the secrets of calls of the last day that carried a lease of this stack and an Idempotency-Key, with your
    token. Give your lease back with `stored` when you have stored them.
    """
    if lease is None:
        raise LeaseLost
    calls, token = await context.stacks.calls(caller, name, lease), token_of(request)
    own = [call for call in calls if is_of_token(call, token)]
    found = await asyncio.to_thread(secrets_of, own[cursor], token) if cursor < len(own) else {}
    end = cursor + 1 if cursor + 1 < len(own) else None
    return serializers.answer({"secrets": found, "next": end, "other_tokens": len(calls) - len(own)})


def _stack(stack: StackRow) -> dict[str, Any]:
    last = stack.last_apply
    return {
        "name": stack.name,
        "owner": stack.owner,
        "hosts": stack.hosts,
        "domains": stack.domains,
        "protect": stack.protect,
        "gives": dict(stack.gives),
        "last_apply": {"at": serializers.moment(last.at), "by": last.by, "commit": last.commit} if last else None,
        "lease": lease_json(stack.lease) if stack.lease else None,
    }
