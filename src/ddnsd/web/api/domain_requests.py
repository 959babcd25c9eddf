# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/domain-requests`: users ask for domains, administrators decide."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from ddnsd.auth.permissions import Action, can, covers_domain
from ddnsd.db import domain_requests
from ddnsd.db.domain_requests import DomainRequest
from ddnsd.dns.errors import DnsError
from ddnsd.registry import names
from ddnsd.registry.errors import NoRequest
from ddnsd.web.api import domains, serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import Administrator, Changer, ClientIp, Reader, route_class
from ddnsd.web.api.domains import DomainOut, Group, KeyIn, Primary
from ddnsd.web.api.error_responses import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.errors import Problem
from ddnsd.web.api.schemas import PRINTABLE, Body, Comment, FullName, Moment, Next, Page, Shown, Ttl, unset

Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=PRINTABLE)]
State = Literal["open", "approved", "declined", "withdrawn"]


class RequestCreate(Body):
    """A domain that is wanted."""

    name: FullName
    reason: Text = Field(description="What it is for.")
    public: bool = Field(False, description="Whether everybody is to register hosts in it.")


class Approval(Body):
    """How the domain is made. Without `primary` and `key` its zone is made on the BIND that the service controls."""

    answer: Text | None = None
    public: bool = unset(description="As it was asked for unless given.")
    comment: Comment | None = None
    ttl: Ttl | None = None
    group: Group | None = None
    primary: Primary | None = None
    key: KeyIn | None = None


class Refusal(Body):
    """Why there is to be no such domain."""

    answer: Text


class RequestOut(Shown):
    """A request for a domain, and what became of it."""

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
    """Which requests."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None


def router(context: Context) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/domain-requests", tags=["domains"], route_class=route_class(context))

    @routes.get("", responses=problems() | {200: success(RequestPage)})
    async def list_domain_requests(caller: Reader, query: Annotated[RequestQuery, Query()]) -> Response:
        """Your own requests, by age; with an administrator's token everybody's."""
        user_id = None if caller.admin else caller.user_id
        found = await context.store.read(
            lambda c: domain_requests.page(c, query.after, query.limit + 1, user_id=user_id, state=query.state)
        )
        page = found[: query.limit]
        items = [json.dumps(_request(r)) for r in page if can(caller, Action.LIST, r)]
        return serializers.page(items, page[-1].id if len(found) > query.limit else None)

    created = success(RequestOut, "Location") | leads_to("id", "read_domain_request", "withdraw_domain_request")

    @routes.post("", status_code=201, responses=changes(409) | {201: created})
    async def create_domain_request(caller: Changer, client_ip: ClientIp, body: RequestCreate) -> Response:
        """Ask for a domain; with a limited token only for one within its patterns of domains."""
        if not covers_domain(caller, names.fold(body.name)):
            raise Problem(403, "Your token is limited to other domains, or to hosts.")
        made = await context.requests.ask(
            names.fold(body.name),
            caller.user_id,
            body.reason,
            public=body.public,
            actor=caller.user,
            client_ip=client_ip,
        )
        return serializers.answer(_request(made), 201, Location=f"/api/domain-requests/{made.id}")

    @routes.get("/{id}", responses=problems(404) | {200: success(RequestOut)})
    async def read_domain_request(caller: Reader, id: str) -> Response:  # noqa: A002
        """One request."""
        found = await context.store.read(lambda c: domain_requests.find(c, _number(id)))
        if found is None or not can(caller, Action.LIST, found):
            raise NoRequest
        return serializers.answer(_request(found))

    @routes.delete("/{id}", status_code=204, responses=problems(404, 412) | NO_CONTENT)
    async def withdraw_domain_request(caller: Changer, client_ip: ClientIp, id: str) -> Response:  # noqa: A002
        """Take a request of yours back; it stays in the list as withdrawn."""

        def expect(found: DomainRequest) -> None:
            if not can(caller, Action.DELETE, found):
                raise NoRequest

        await context.requests.withdraw(_number(id), actor=caller.user, client_ip=client_ip, expect=expect)
        return Response(status_code=204)

    @routes.post("/{id}/approve", status_code=201, responses=changes(404, 409, 412) | {201: success(DomainOut, "ETag")})
    async def approve_domain_request(
        caller: Administrator,
        client_ip: ClientIp,
        id: str,  # noqa: A002
        body: Approval,
    ) -> Response:
        """Make the domain for the user who asked; the request stays open where that cannot be done."""
        domains.check_pair(body.primary, body.key)
        columns = body.model_dump(include={"public", "comment", "ttl", "group"} & body.model_fields_set)
        try:
            domain = await context.requests.approve(
                _number(id),
                actor=caller.user,
                client_ip=client_ip,
                primary=body.primary,
                key=domains.tsig_key(body.key),
                answer=body.answer,
                columns=columns,
            )
        except DnsError as error:
            raise domains.unusable(error, body.primary) from None
        return domains.shown(domain, 0, status=201)

    @routes.post("/{id}/decline", responses=changes(404, 412) | {200: success(RequestOut)})
    async def decline_domain_request(
        caller: Administrator,
        client_ip: ClientIp,
        id: str,  # noqa: A002
        body: Refusal,
    ) -> Response:
        """Refuse, and say why."""
        closed = await context.requests.decline(_number(id), body.answer, actor=caller.user, client_ip=client_ip)
        return serializers.answer(_request(closed))

    return routes


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else 0


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
