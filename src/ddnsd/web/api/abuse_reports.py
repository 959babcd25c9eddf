# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/abuse-reports`: administrators read the reports of the public form, and decide."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import ConfigDict, Field

from ddnsd.registry.abuse_reports import Decision
from ddnsd.registry.inputs import Comment, Lines
from ddnsd.registry.rows import AbuseReport
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Administrator, ApiRoute, By, Ctx, Id
from ddnsd.web.api.errors import changes, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Page, Shown

State = Literal["open", "blocked", "quarantined", "dismissed"]
Kind = Literal["phishing", "malware", "spam", "attack", "other"]


class Dismissal(Body):
    """The end of a report that leaves the host as it is."""

    reply: Lines | None = Field(None, description="The answer to the reporter. It is kept; the service sends no mail.")


class Block(Dismissal):
    """The end of a report that blocks the host."""

    reason: Comment | None = Field(None, description="Why the host is blocked. Its owner can read it.")


class ReportOut(Shown):
    """A report of abuse, and its state."""

    id: str
    name: str = Field(description="The name that the reporter gave: the host's, or one below it.")
    fqdn: str = Field(description="The host that had the name at that time.")
    host: str | None = Field(description="The current name of this host; null if it was deleted.")
    owner: str | None = Field(description="Its current owner.")
    blocked: bool | None = Field(description="Whether it is blocked now.")
    kind: Kind
    text: str
    contact: str | None = Field(description="How to reach the reporter, as they gave it.")
    source: str | None = Field(description="The reporter's address.")
    state: State
    reason: str | None
    reply: str | None
    decided_by: str | None
    decided: Moment | None
    created: Moment


class ReportPage(Shown):
    """A page of reports."""

    items: list[ReportOut]
    next: Next


class ReportQuery(Page):
    """The parameters of the list."""

    model_config = ConfigDict(extra="forbid")

    state: State | None = None


router = APIRouter(prefix="/api/abuse-reports", tags=["abuse"], route_class=ApiRoute)


@router.get("", responses=problems() | {200: success(ReportPage)})
async def list_abuse_reports(_caller: Administrator, context: Ctx, query: Annotated[ReportQuery, Query()]) -> Response:
    """List the reports, oldest first."""
    return serializers.listing(await context.abuse_reports.page(query.after, query.limit, query.state), _report)


@router.get("/{id}", responses=problems(404) | {200: success(ReportOut)})
async def read_abuse_report(_caller: Administrator, context: Ctx, report_id: Id) -> Response:
    """Read one report."""
    return serializers.answer(_report(await context.abuse_reports.get(report_id)))


@router.post("/{id}/block", responses=changes(404, 412) | {200: success(ReportOut)})
async def block_reported_host(_caller: Administrator, context: Ctx, by: By, report_id: Id, body: Block) -> Response:
    """Block the host, and close the report."""
    decision = Decision(body.reason, body.reply)
    return serializers.answer(_report(await context.abuse_reports.block(report_id, decision, by)))


@router.post("/{id}/quarantine", responses=changes(404, 412) | {200: success(ReportOut)})
async def quarantine_reported_host(
    _caller: Administrator, context: Ctx, by: By, report_id: Id, body: Block
) -> Response:
    """Block the host, give its names the operator's addresses, and close the report."""
    decision = Decision(body.reason, body.reply)
    return serializers.answer(_report(await context.abuse_reports.quarantine(report_id, decision, by)))


@router.post("/{id}/dismiss", responses=changes(404, 412) | {200: success(ReportOut)})
async def dismiss_abuse_report(
    _caller: Administrator, context: Ctx, by: By, report_id: Id, body: Dismissal
) -> Response:
    """Close the report, and leave the host as it is."""
    decision = Decision(reply=body.reply)
    return serializers.answer(_report(await context.abuse_reports.dismiss(report_id, decision, by)))


def _report(found: AbuseReport) -> dict[str, Any]:
    times = {name: serializers.moment(getattr(found, name)) for name in ("decided", "created")}
    shown = {name: value for name, value in found._asdict().items() if name != "host_id"}
    blocked = None if found.blocked is None else bool(found.blocked)
    return shown | times | {"id": str(found.id), "blocked": blocked}
