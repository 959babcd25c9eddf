# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/quotas`: quotas of users, groups and domains that differ from the settings, for administrators."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.registry.inputs import FullName, Group, UserName, Whole
from ddnsd.registry.quota_overrides import MOST, Subject
from ddnsd.registry.quotas import Quota
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Administrator, ApiRoute, ClientIp, Ctx
from ddnsd.web.api.errors import changes, problems, success
from ddnsd.web.api.schemas import Body, Next, Paging, Shown


class QuotaPut(Body):
    """A quota of exactly one of a user, a group and a domain."""

    user: UserName | None = None
    group: Group | None = None
    domain: FullName | None = None
    quota: Quota = Field(strict=False)
    limit: Annotated[int, Field(ge=0, le=MOST), Whole] | None = Field(
        description="0: no limit; null: remove it, so that the default applies."
    )


class QuotaOut(Shown):
    """A quota of a user, a group or a domain; the other two are null."""

    user: str | None
    group: str | None
    domain: str | None
    quota: Quota
    limit: int | None = Field(description="0: no limit; null: it was removed.")


class QuotaPage(Shown):
    """A page of quotas."""

    items: list[QuotaOut]
    next: Next


router = APIRouter(prefix="/api/quotas", tags=["quotas"], route_class=ApiRoute)


@router.get("", responses=problems() | {200: success(QuotaPage)})
async def list_quotas(_caller: Administrator, context: Ctx, query: Paging) -> Response:
    """List the quotas that differ from the settings."""
    page = await context.quota_overrides.page(query.after, query.limit)
    return serializers.listing(page, lambda one: _quota(Subject(one.user, one.group, one.domain), one.name, one.limit))


@router.put("", responses=changes() | {200: success(QuotaOut)})
async def put_quota(caller: Administrator, context: Ctx, client_ip: ClientIp, body: QuotaPut) -> Response:
    """Set or remove a quota. It applies on all nodes within seconds, and never to administrators."""
    subject = Subject(body.user, body.group, body.domain)
    await context.quota_overrides.put(subject, {body.quota: body.limit}, actor=caller.user, client_ip=client_ip)
    return serializers.answer(_quota(subject, body.quota, body.limit))


def _quota(subject: Subject, name: str, limit: int | None) -> dict[str, Any]:
    return {**subject._asdict(), "quota": str(name), "limit": limit}
