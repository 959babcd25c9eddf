# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/hosts/{fqdn}/history` and `…/contact`: the changes of a host, and its last update request."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, acts_for_domain
from ddnsd.registry.rows import Contact, HistoryEntry
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Ctx, Reader
from ddnsd.web.api.errors import problems, success
from ddnsd.web.api.schemas import Moment, Next, Paging, Shown
from ddnsd.web.preconditions import get_host_or_404

Fields = Annotated[dict[str, Any] | None, Field(description="The fields that changed; null if there are none.")]


class EntryOut(Shown):
    """A change of a host."""

    id: str
    at: Moment
    kind: Literal[
        "register",
        "update",
        "edit",
        "secret",
        "block",
        "unblock",
        "flag",
        "limit",
        "held",
        "resumed",
        "flapping",
        "repaired",
        "issued",
        "expiring",
        "delete",
    ]
    before: Fields
    after: Fields
    note: str | None = Field(description="Why the service made the change.")
    actor: str = Field(description="A user, a host, the login of a key, or `ddnsd`.")
    via: Literal["host", "key", "device", "token", "user", "enrolment", "service"] = Field(
        description="The kind of credentials."
    )
    via_name: str | None = Field(description="The name of the key or token.")
    source: str | None = Field(description="The client's address.")
    agent: str | None = Field(description="The client's User-Agent.")


class EntryPage(Shown):
    """A page of changes."""

    items: list[EntryOut]
    next: Next


class DayOut(Shown):
    """A day (UTC), and its number of changes."""

    day: str = Field(json_schema_extra={"format": "date"})
    changes: int


class DaysOut(Shown):
    """Days, oldest first, including days without changes."""

    days: list[DayOut]


class DaysQuery(BaseModel):
    """The number of days."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(30, ge=1, le=400)


class ContactOut(Shown):
    """The last update request for a host, from any client. All fields are null before the first one."""

    at: Moment | None
    source: str | None
    agent: str | None
    word: str | None = Field(description="The return code: good, nochg, badauth, …")
    tls: bool | None


router = APIRouter(prefix="/api/hosts", tags=["hosts"], route_class=ApiRoute)


@router.get("/{fqdn}/history", responses=problems(404) | {200: success(EntryPage)})
async def list_history(caller: Reader, context: Ctx, fqdn: str, query: Paging) -> Response:
    """List the changes of the host while you owned it, newest first. The last 1000 changes are kept."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.LIST)).host
    page = await context.host_history.page(host.id, _reader_id(caller), query.before, query.limit)
    return serializers.listing(page, _entry)


@router.get("/{fqdn}/history/days", responses=problems(404) | {200: success(DaysOut)})
async def count_history(caller: Reader, context: Ctx, fqdn: str, query: Annotated[DaysQuery, Query()]) -> Response:
    """Count the changes of the host on each of the last days."""
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.LIST)).host
    found = await context.host_history.per_day(host.id, _reader_id(caller), query.days)
    return serializers.answer({"days": [{"day": day, "changes": count} for day, count in found]})


@router.get("/{fqdn}/contact", responses=problems(404) | {200: success(ContactOut)})
async def read_contact(caller: Reader, context: Ctx, fqdn: str) -> Response:
    """Read the last update request for the host, even if it was refused.

    `source` and `agent` of another user's host in your domain are null.
    """
    host = (await get_host_or_404(context.host_lists, caller, fqdn, Action.OVERSEE)).host
    contact = await context.host_history.last_request(host.id)
    if contact is not None and acts_for_domain(caller, host):
        contact = contact._replace(source=None, agent=None)
    return serializers.answer(_contact(contact))


def _reader_id(caller: Caller) -> int | None:
    return None if caller.admin else caller.user_id


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    return entry._asdict() | {"id": str(entry.id), "at": serializers.moment(entry.at)}


def _contact(contact: Contact | None) -> dict[str, Any]:
    if contact is None:
        return dict.fromkeys(Contact._fields)
    return contact._asdict() | {"at": serializers.moment(contact.at), "tls": bool(contact.tls)}
