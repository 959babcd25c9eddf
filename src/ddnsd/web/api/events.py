# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/events`: who changed what, and when."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from ddnsd.registry.inputs import Text
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Ctx, Reader
from ddnsd.web.api.errors import problems, success
from ddnsd.web.api.schemas import Moment, Next, Page, Shown

FILTERS = ("object", "actor", "action")


class EventQuery(Page):
    """The parameters of the list."""

    model_config = ConfigDict(extra="forbid")

    object: Text | None = Field(None, description="The full name of a host or a domain, or the name of another object.")
    actor: Text | None = Field(None, description="A user's name; `ddnsd` for the service and its commands.")
    action: Text | None = Field(None, description="For example host.register.")


class EventOut(Shown):
    """An entry of the audit log."""

    id: str
    at: Moment
    actor: str
    action: str
    object: str
    source: str | None = Field(description="The client's address.")
    detail: str | None


class EventPage(Shown):
    """A page of entries."""

    items: list[EventOut]
    next: Next


router = APIRouter(prefix="/api/events", tags=["events"], route_class=ApiRoute)


@router.get("", responses=problems() | {200: success(EventPage)})
async def list_events(caller: Reader, context: Ctx, query: Annotated[EventQuery, Query()]) -> Response:
    """List the events of your own objects, newest first; with an administrator's token, of all objects.

    With a limited token, only the events of hosts and domains that match its patterns.
    """
    filters = {name: value for name in FILTERS if (value := getattr(query, name)) is not None}
    return serializers.listing(
        await context.audit_log.page(caller, filters, query.before, query.limit), serializers.event
    )
