# SPDX-License-Identifier: GPL-3.0-or-later
"""`POST /api/verify-secrets`: which of many stored secrets still work."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field, WithJsonSchema

from ddnsd.auth import secrets
from ddnsd.auth.permissions import Action, can
from ddnsd.registry.inputs import FullName, Text, by_full_name
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Ctx, Reader
from ddnsd.web.api.errors import problems, success
from ddnsd.web.api.schemas import Body, Shown

MOST = 400
"""The most secrets in a call."""


class SecretsIn(Body):
    """Secrets to check."""

    secrets: Annotated[
        dict[FullName, Text],
        Field(max_length=MOST),
        WithJsonSchema(by_full_name(Text, MOST, "Secrets by the full names of their hosts.")),
    ]


class SecretsOut(Shown):
    """The result of the check."""

    valid: dict[str, bool] = Field(
        description="Whether each secret is that of its host. Hosts that you may not see, or that do not exist, are "
        "missing."
    )


router = APIRouter(prefix="/api", tags=["hosts"], route_class=ApiRoute)


@router.post("/verify-secrets", responses=problems(400, 413, 415) | {200: success(SecretsOut)})
async def verify_secrets(caller: Reader, context: Ctx, body: SecretsIn) -> Response:
    """Check up to 400 secrets of hosts. Nothing is changed."""
    hosts = await context.host_lists.all_named(list(body.secrets))
    valid = {
        host.fqdn: secrets.matches(body.secrets[host.fqdn], host.secret_hash)
        for host in hosts
        if can(caller, Action.LIST, host)
    }
    return serializers.answer({"valid": valid})
