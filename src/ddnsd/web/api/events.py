# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/events`: who changed what, and when."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import covers_domain, covers_host, is_limited
from ddnsd.db import bulk_hosts, paging
from ddnsd.db.paging import Happened
from ddnsd.db.rows import endings
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.dependencies import Reader, route_class
from ddnsd.web.api.error_responses import problems, success
from ddnsd.web.api.schemas import Moment, Next, Page, Shown, Text


class EventQuery(Page):
    """Which entries."""

    model_config = ConfigDict(extra="forbid")

    object: Text | None = Field(None, description="The full name of a host or domain, or what else was changed.")
    actor: Text | None = Field(None, description="A user's name; `ddnsd` for the service and its commands.")
    action: Text | None = Field(None, description="For example host.register.")


class EventOut(Shown):
    """An entry of the audit trail."""

    id: str
    at: Moment
    actor: str
    action: str
    object: str
    source: str | None = Field(description="The address from which it was asked for.")
    detail: str | None


class EventPage(Shown):
    """A page of entries."""

    items: list[EventOut]
    next: Next


def router(context: Context) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/events", tags=["events"], route_class=route_class(context))

    @routes.get("", responses=problems() | {200: success(EventPage)})
    async def list_events(caller: Reader, query: Annotated[EventQuery, Query()]) -> Response:
        """What happened to your own things, newest first; with an administrator's token to all.

        With a limited token only what happened to hosts and domains within its patterns.
        """
        wanted = {name: value for name in ("object", "actor", "action") if (value := getattr(query, name)) is not None}
        reader = None if caller.admin else caller.user_id
        before = None if query.cursor is None else query.after
        found = await context.store.read(
            lambda c: paging.page_of_events(c, reader_id=reader, wanted=wanted, before=before, limit=query.limit + 1)
        )
        page = found[: query.limit]
        shown = await _within_limits(context, caller, page) if is_limited(caller) else page
        return serializers.page(map(json.dumps, map(_event, shown)), page[-1].id if len(found) > query.limit else None)

    return routes


async def _within_limits(context: Context, caller: Caller, events: Sequence[Happened]) -> list[Happened]:
    """The events of hosts and domains that the token's patterns leave; a host that is gone lies where it would lie."""
    of_hosts = {event.object for event in events if event.action.startswith("host.")}
    names = {ending for fqdn in of_hosts for ending in endings(fqdn)}
    domains = {domain.name for domain in await context.store.read(lambda c: bulk_hosts.domains_named(c, names))}

    def visible(event: Happened) -> bool:
        if event.action.startswith("host."):
            domain = next((ending for ending in endings(event.object) if ending in domains), None)
            return domain is not None and covers_host(caller, event.object, domain)
        return event.action.startswith("domain.") and covers_domain(caller, event.object)

    return [event for event in events if visible(event)]


def _event(event: Happened) -> dict[str, Any]:
    return event._asdict() | {"id": str(event.id), "at": serializers.moment(event.at)}
