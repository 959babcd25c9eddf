# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/domain-requests`: users ask for domains, administrators decide."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from ddnsd.auth.permissions import Action, can, covers_domain
from ddnsd.dns.errors import DnsError
from ddnsd.registry.errors import Code, NoRequest, NotPermitted
from ddnsd.registry.inputs import Comment, FullName, Group, LongText, Primary, Ttl
from ddnsd.registry.rows import DomainRequest
from ddnsd.web.api import domains, serializers
from ddnsd.web.api.dependencies import Administrator, ApiRoute, Changer, ClientIp, Ctx, Id, Reader
from ddnsd.web.api.domains import DomainOut, KeyIn
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Page, Shown, unset

State = Literal["open", "approved", "declined", "withdrawn"]


class RequestCreate(Body):
    """A new request for a domain."""

    name: FullName
    reason: LongText = Field(description="What you need the domain for.")
    public: bool = Field(False, description="Whether every user may register hosts in it.")


class Approval(Body):
    """The new domain. Without `primary` and `key`, the service creates the zone on its own BIND."""

    answer: LongText | None = None
    public: bool = unset(description="Default: as requested.")
    comment: Comment | None = None
    ttl: Ttl | None = None
    group: Group | None = None
    primary: Primary | None = None
    key: KeyIn | None = None


class Refusal(Body):
    """The reason for the refusal."""

    answer: LongText


class RequestOut(Shown):
    """A request for a domain, and its state."""

    id: str
    name: str
    user: str
    public: bool
    reason: str
    state: State
    answer: str | None
    decided_by: str | None
    decided: Moment | None
    created: Moment


class RequestPage(Shown):
    """A page of requests."""

    items: list[RequestOut]
    next: Next


class RequestQuery(Page):
    """The parameters of the list."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None


router = APIRouter(prefix="/api/domain-requests", tags=["domains"], route_class=ApiRoute)

CREATED = success(RequestOut, "Location") | leads_to("id", "read_domain_request", "withdraw_domain_request")


@router.get("", responses=problems() | {200: success(RequestPage)})
async def list_domain_requests(caller: Reader, context: Ctx, query: Annotated[RequestQuery, Query()]) -> Response:
    """List your own requests, oldest first; with an administrator's token, those of all users."""
    user_id = None if caller.admin else caller.user_id
    page = await context.domain_requests.page(query.after, query.limit, user_id=user_id, state=query.state)
    return serializers.page((json.dumps(_request(r)) for r in page.items if can(caller, Action.LIST, r)), page.next)


@router.post("", status_code=201, responses=changes(409) | {201: CREATED})
async def create_domain_request(caller: Changer, context: Ctx, client_ip: ClientIp, body: RequestCreate) -> Response:
    """Request a domain. With a limited token, the domain must match its domain patterns."""
    if not covers_domain(caller, body.name):
        raise NotPermitted(Code.CREDENTIAL_IS_LIMITED)
    made = await context.domain_requests.ask(
        body.name, caller.user_id, body.reason, public=body.public, actor=caller.user, client_ip=client_ip
    )
    return serializers.answer(_request(made), 201, Location=f"/api/domain-requests/{made.id}")


@router.get("/{id}", responses=problems(404) | {200: success(RequestOut)})
async def read_domain_request(caller: Reader, context: Ctx, request_id: Id) -> Response:
    """Read one request."""
    found = await context.domain_requests.find(request_id)
    if found is None or not can(caller, Action.LIST, found):
        raise NoRequest
    return serializers.answer(_request(found))


@router.delete("/{id}", status_code=204, responses=problems(404, 412) | NO_CONTENT)
async def withdraw_domain_request(caller: Changer, context: Ctx, client_ip: ClientIp, request_id: Id) -> Response:
    """Withdraw one of your own requests. It stays in the list as `withdrawn`."""

    def expect(found: DomainRequest) -> None:
        if not can(caller, Action.DELETE, found):
            raise NoRequest

    await context.domain_requests.withdraw(request_id, actor=caller.user, client_ip=client_ip, expect=expect)
    return Response(status_code=204)


@router.post("/{id}/approve", status_code=201, responses=changes(404, 409, 412) | {201: success(DomainOut, "ETag")})
async def approve_domain_request(
    caller: Administrator, context: Ctx, client_ip: ClientIp, request_id: Id, body: Approval
) -> Response:
    """Create the domain for the user who requested it. If this fails, the request stays open."""
    domains.check_pair(body.primary, body.key)
    try:
        domain = await context.domain_requests.approve(
            request_id,
            actor=caller.user,
            client_ip=client_ip,
            primary=body.primary,
            key=domains.tsig_key(body.key),
            answer=body.answer,
            columns=body.model_dump(include={"public", "comment", "ttl", "group"} & body.model_fields_set),
        )
    except DnsError as error:
        raise domains.unusable(error, body.primary) from None
    return domains.shown(domain, 0, caller, status=201)


@router.post("/{id}/decline", responses=changes(404, 412) | {200: success(RequestOut)})
async def decline_domain_request(
    caller: Administrator, context: Ctx, client_ip: ClientIp, request_id: Id, body: Refusal
) -> Response:
    """Decline a request, with a reason."""
    closed = await context.domain_requests.decline(request_id, body.answer, actor=caller.user, client_ip=client_ip)
    return serializers.answer(_request(closed))


def _request(found: DomainRequest) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "name": found.name,
        "user": found.user,
        "public": bool(found.public),
        "reason": found.reason,
        "state": found.state,
        "answer": found.answer,
        "decided_by": found.decided_by,
        "decided": serializers.moment(found.decided),
        "created": serializers.moment(found.created),
    }
