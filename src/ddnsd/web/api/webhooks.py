# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/webhooks`: where the caller gets messages about changes, and what was delivered there."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import Field

from ddnsd.registry.inputs import (
    AllOwners,
    CredentialName,
    RowId,
    SilentDays,
    WebhookDomains,
    WebhookHosts,
    WebhookInput,
    WebhookTypes,
    WebhookUrl,
)
from ddnsd.registry.rows import Delivery, Webhook
from ddnsd.registry.webhook_messages import MessageType
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import ApiRoute, Changer, ClientIp, Ctx, Id, Reader
from ddnsd.web.api.errors import NO_CONTENT, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Secret, Shown, unset


class WebhookCreate(WebhookInput, Body):
    """A new webhook."""


class WebhookPatch(Body):
    """The fields to change. An absent field keeps its value."""

    name: CredentialName = unset()
    url: WebhookUrl = unset()
    types: WebhookTypes = unset()
    domains: WebhookDomains = unset()
    hosts: WebhookHosts = unset()
    all_owners: AllOwners = unset()
    silent_days: SilentDays = unset()
    active: bool = unset(description="Whether it is switched on. While it is off, nothing is kept for it.")


class WebhookOut(Shown):
    """A webhook."""

    id: str
    name: str
    url: str
    types: list[MessageType]
    domains: list[str]
    hosts: list[str]
    all_owners: bool
    silent_days: int
    active: bool
    stopped: str | None = Field(description="Why the service has switched it off.")
    failures: int = Field(description="Failed attempts since the last success.")
    problem: str | None = Field(description="Of the last attempt.")
    next_attempt: Moment | None = Field(description="While its target fails.")
    last_success: Moment | None
    former_secret_until: Moment | None = Field(
        description="Until then, messages are also signed with the former secret."
    )
    created: Moment


class NewWebhookOut(WebhookOut):
    """A webhook, with its new secret."""

    secret: Secret = Field(description="whsec_…, for the verification of messages. It is shown only once.")


class WebhookPage(Shown):
    """A page of webhooks."""

    items: list[WebhookOut]
    next: Next


class DeliveryOut(Shown):
    """A message."""

    id: str
    message_id: str = Field(description="The header webhook-id. It stays the same when a message is delivered again.")
    type: str
    state: str = Field(description="waiting (for DNS), due, delivered or failed.")
    created: Moment
    tries: int
    status: int | None = Field(description="The status of the last answer.")
    problem: str | None
    next_attempt: Moment | None
    ended: Moment | None
    body: dict[str, Any]


class DeliveryPage(Shown):
    """A page of messages."""

    items: list[DeliveryOut]
    next: Next


router = APIRouter(prefix="/api/webhooks", tags=["webhooks"], route_class=ApiRoute)

MessageId = Annotated[RowId, Path(alias="message")]

CREATED = success(NewWebhookOut, "Location") | leads_to("id", "read_webhook", "change_webhook", "delete_webhook")


@router.get("", responses=problems() | {200: success(WebhookPage)})
async def list_webhooks(caller: Reader, context: Ctx, query: Paging) -> Response:
    """List your own webhooks. A limited token cannot use webhooks."""
    return serializers.listing(await context.webhooks.page(caller, query.after, query.limit), _webhook)


@router.post("", status_code=201, responses=changes() | {201: CREATED})
async def create_webhook(caller: Changer, context: Ctx, client_ip: ClientIp, body: WebhookCreate) -> Response:
    """Create a webhook. It tells what happens from now on, once DNS has it."""
    made = await context.webhooks.create(caller, body.model_dump(), client_ip=client_ip)
    shown = _webhook(made.webhook) | {"secret": made.secret}
    return serializers.answer(shown, 201, Location=f"/api/webhooks/{made.webhook.id}")


@router.get("/{id}", responses=problems(404) | {200: success(WebhookOut)})
async def read_webhook(caller: Reader, context: Ctx, webhook_id: Id) -> Response:
    """Read one of your webhooks, without the secret."""
    return serializers.answer(_webhook(await context.webhooks.get(caller, webhook_id)))


@router.patch("/{id}", responses=changes(404) | {200: success(WebhookOut)})
async def change_webhook(
    caller: Changer, context: Ctx, client_ip: ClientIp, webhook_id: Id, body: WebhookPatch
) -> Response:
    """Change the given fields. The secret stays."""
    given = {field: getattr(body, field) for field in body.model_fields_set}
    return serializers.answer(_webhook(await context.webhooks.change(caller, webhook_id, given, client_ip=client_ip)))


@router.delete("/{id}", status_code=204, responses=problems(404) | NO_CONTENT)
async def delete_webhook(caller: Changer, context: Ctx, client_ip: ClientIp, webhook_id: Id) -> Response:
    """Delete a webhook with its messages."""
    await context.webhooks.delete(caller, webhook_id, client_ip=client_ip)
    return Response(status_code=204)


@router.post("/{id}/secret", responses=problems(404, 429) | {200: success(NewWebhookOut)})
async def rotate_webhook_secret(caller: Changer, context: Ctx, client_ip: ClientIp, webhook_id: Id) -> Response:
    """Replace the secret. For a day, each message has two signatures: by the new secret, and by the former one."""
    made = await context.webhooks.new_secret(caller, webhook_id, client_ip=client_ip)
    return serializers.answer(_webhook(made.webhook) | {"secret": made.secret})


@router.post("/{id}/test", responses=problems(404, 429) | {200: success(DeliveryOut)})
async def test_webhook(caller: Changer, context: Ctx, webhook_id: Id) -> Response:
    """Send a message of the type `webhook.test` now. The answer says whether it was delivered."""
    return serializers.answer(_delivery(await context.webhooks.test(caller, webhook_id)))


@router.get("/{id}/deliveries", responses=problems(404) | {200: success(DeliveryPage)})
async def list_deliveries(caller: Reader, context: Ctx, webhook_id: Id, query: Paging) -> Response:
    """List the last messages, newest first."""
    found = await context.webhooks.deliveries(caller, webhook_id, query.before, query.limit)
    return serializers.listing(found, _delivery)


@router.post("/{id}/deliveries/{message}/redelivery", responses=problems(404, 429) | {200: success(DeliveryOut)})
async def redeliver(caller: Changer, context: Ctx, webhook_id: Id, message_id: MessageId) -> Response:
    """Deliver a message again, with the same `message_id`. The answer does not wait for it."""
    return serializers.answer(_delivery(await context.webhooks.redeliver(caller, webhook_id, message_id)))


def _webhook(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": str(webhook.id),
        "name": webhook.name,
        "url": webhook.url,
        "types": webhook.types.split(),
        "domains": webhook.domains.split(),
        "hosts": webhook.hosts.split(),
        "all_owners": bool(webhook.all_owners),
        "silent_days": webhook.silent_days,
        "active": bool(webhook.active),
        "stopped": webhook.stopped,
        "failures": webhook.failures,
        "problem": webhook.problem,
        "next_attempt": serializers.moment(webhook.next_attempt) if webhook.failures and webhook.active else None,
        "last_success": serializers.moment(webhook.last_success),
        "former_secret_until": serializers.moment(webhook.former_until),
        "created": serializers.moment(webhook.created),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": str(delivery.id),
        "message_id": delivery.message_id,
        "type": delivery.type,
        "state": delivery.state,
        "created": serializers.moment(delivery.created),
        "tries": delivery.tries,
        "status": delivery.status,
        "problem": delivery.problem,
        "next_attempt": serializers.moment(delivery.next_attempt or None) if delivery.ended is None else None,
        "ended": serializers.moment(delivery.ended),
        "body": json.loads(delivery.body),
    }
