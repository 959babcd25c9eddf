# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks of users: where they get messages about their hosts, domain requests and certificates.

A secret is shown once, when it is made, and stored encrypted: every message is signed with it.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import is_limited
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import host_edits, queries
from ddnsd.db import webhooks as stored
from ddnsd.db.base import Store
from ddnsd.db.webhooks import Delivery, Message, Webhook
from ddnsd.registry import webhook_messages, webhook_sender
from ddnsd.registry.addresses import Address, Network, reached
from ddnsd.registry.errors import Code, Invalid, NotPermitted, NoWebhook, Reason
from ddnsd.registry.rows import Page, page_of
from ddnsd.registry.webhook_sender import DAY, PURPOSE
from ddnsd.webhooks import client, signing
from ddnsd.webhooks.client import AddressRule, NotAllowed, Resolver, Unreachable

MOST = 20
"""Maximum number of webhooks of a user."""

ROTATION = DAY
"""How long messages are also signed with the former secret."""

UNICAST = (ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("64:ff9b::/96"))
"""The IPv6 addresses that are in use, and those of NAT64; others reach what only this machine knows."""

_LISTS = ("types", "domains", "hosts")


class NewSecret(NamedTuple):
    """A webhook, and its new secret, which is not shown again."""

    webhook: Webhook
    secret: str


def address_rule(networks: Sequence[Network]) -> AddressRule:
    """Targets must be public and encrypted, unless their addresses are in one of the networks."""

    def refusal(text: str, plain: bool) -> str | None:
        address = ipaddress.ip_address(text)
        address = getattr(address, "ipv4_mapped", None) or address
        if any(address in network for network in networks):
            return None
        if any(not _is_public(one) for one in reached([str(address)])):
            return f"{text} is not a public address"
        return "the URL must begin with https://" if plain else None

    return refusal


def _is_public(address: Address) -> bool:
    """Whether the address is a unicast address of the Internet."""
    unicast = address.version == 4 or any(address in network for network in UNICAST)
    return unicast and address.is_global and not address.is_multicast


class Webhooks:
    """The webhooks of the caller. `keys` encrypt secrets; without them there are no webhooks."""

    def __init__(self, store: Store, keys: SealingKeys | None, resolver: Resolver) -> None:
        self._store, self._keys, self._resolver = store, keys, resolver

    async def page(self, caller: Caller, after: int, limit: int) -> Page[Webhook]:
        """The caller's webhooks with an id above `after`. Raises NotPermitted, StoreDown."""
        _check_whole(caller)
        return page_of(await self._store.read(lambda c: stored.page(c, caller.user_id, after, limit + 1)), limit)

    async def get(self, caller: Caller, webhook_id: int) -> Webhook:
        """One of the caller's webhooks. Raises NoWebhook, NotPermitted, StoreDown."""
        _check_whole(caller)
        return await self._store.read(lambda c: _find(c, caller, webhook_id))

    async def create(self, caller: Caller, given: Mapping[str, Any], *, client_ip: str | None) -> NewSecret:
        """Create a webhook from the fields of `WebhookInput`. It tells what is written from now on.

        Raises Invalid, NotPermitted, StoreDown.
        """
        _check_whole(caller)
        keys = self._sealing_keys
        await self._check(caller, given)
        secret = signing.new_secret()

        def work(connection: Connection) -> Webhook:
            host_edits.locked_user(connection, caller.user)  # no other one is added during the count
            if stored.count(connection, caller.user_id) >= MOST:
                raise Invalid(url=Reason(Code.WEBHOOKS_TOO_MANY, limit=MOST))
            now = queries.now()
            values = _columns(given) | {"user_id": caller.user_id, "created": now, "sealed": ""}
            values["silent_until"] = now - given["silent_days"] * DAY
            webhook_id = stored.add(connection, values)
            stored.change(connection, webhook_id, {"sealed": keys.seal(PURPOSE, webhook_id, secret)})
            return _told(connection, caller, webhook_id, "webhook.add", client_ip)

        return NewSecret(await self._store.transact(work), secret)

    async def change(
        self, caller: Caller, webhook_id: int, given: Mapping[str, Any], *, client_ip: str | None
    ) -> Webhook:
        """Change the given fields. One that is switched on again tells what is written from now on.

        Raises NoWebhook, Invalid, NotPermitted, StoreDown.
        """
        _check_whole(caller)
        await self._check(caller, given)

        def work(connection: Connection) -> Webhook:
            before = _own(connection, caller, webhook_id)
            values = _columns(given)
            if given.get("active") and not before.active:
                values |= {"stopped": None}
                stored.begin(connection, webhook_id)
            if "active" in given or "url" in given:
                values |= {"failures": 0, "next_attempt": 0, "problem": None}
            if {"active", "types", "silent_days"} & given.keys():
                days = given.get("silent_days", before.silent_days)
                values["silent_until"] = queries.now() - days * DAY
            if values:
                stored.change(connection, webhook_id, values)
            if given.get("active") is False:
                stored.give_up_all(connection, webhook_id, queries.now(), "the webhook was switched off")
            detail = ", ".join(sorted(given))
            return _told(connection, caller, webhook_id, "webhook.set", client_ip, detail)

        return await self._store.transact(work)

    async def new_secret(self, caller: Caller, webhook_id: int, *, client_ip: str | None) -> NewSecret:
        """Replace the secret. For a day, messages have a signature by the former one, too.

        Raises NoWebhook, NotPermitted, StoreDown.
        """
        _check_whole(caller)
        secret, keys = signing.new_secret(), self._sealing_keys

        def work(connection: Connection) -> Webhook:
            before = _own(connection, caller, webhook_id)
            former = {"former_sealed": before.sealed, "former_until": queries.now() + ROTATION}
            stored.change(connection, webhook_id, former | {"sealed": keys.seal(PURPOSE, webhook_id, secret)})
            return _told(connection, caller, webhook_id, "webhook.secret", client_ip)

        return NewSecret(await self._store.transact(work), secret)

    async def delete(self, caller: Caller, webhook_id: int, *, client_ip: str | None) -> None:
        """Delete a webhook with its messages. Raises NoWebhook, NotPermitted, StoreDown."""
        _check_whole(caller)

        def work(connection: Connection) -> None:
            _told(connection, caller, webhook_id, "webhook.delete", client_ip)
            stored.remove(connection, webhook_id)

        await self._store.transact(work)

    # ---- messages

    async def test(self, caller: Caller, webhook_id: int) -> Delivery:
        """Send a test message now. Returns it with the outcome. Raises NoWebhook, NotPermitted, StoreDown."""
        _check_whole(caller)
        webhook = await self._store.read(lambda c: _own(c, caller, webhook_id))
        now = queries.now()
        message = webhook_messages.message(webhook, webhook_messages.of_test(webhook, caller.user, now), now)
        status, problem = await self._attempt(webhook, message)

        def keep(connection: Connection) -> Delivery:
            _own(connection, caller, webhook_id)
            return stored.add_ended(connection, message, queries.now(), status, problem)

        return await self._store.transact(keep)

    async def _attempt(self, webhook: Webhook, message: Message) -> tuple[int | None, str | None]:
        try:
            connection = client.Connection(await self._resolver.target(webhook.url))
        except Unreachable as error:
            return None, str(error)
        try:
            return await webhook_sender.attempt(connection, self._keys, webhook, message.message_id, message.body)
        finally:
            await connection.close()

    async def deliveries(self, caller: Caller, webhook_id: int, before: int | None, limit: int) -> Page[Delivery]:
        """Messages with an id below `before`, newest first. Raises NoWebhook, NotPermitted, StoreDown."""
        _check_whole(caller)

        def work(connection: Connection) -> list[Delivery]:
            _own(connection, caller, webhook_id)
            return stored.page_of_deliveries(connection, webhook_id, before, limit + 1)

        return page_of(await self._store.read(work), limit)

    async def redeliver(self, caller: Caller, webhook_id: int, delivery_id: int) -> Delivery:
        """Deliver an ended message again, with its id. One that has not ended stays as it is.

        Raises NoWebhook, NotPermitted, StoreDown.
        """
        _check_whole(caller)

        def work(connection: Connection) -> Delivery:
            webhook = _own(connection, caller, webhook_id)
            found = stored.delivery(connection, webhook_id, delivery_id)
            if found is None:
                raise NoWebhook(Code.WEBHOOK_MESSAGE_NOT_FOUND)
            if not webhook.active:
                raise Invalid(active=Reason(Code.WEBHOOK_IS_OFF))
            if found.ended is None:
                return found
            fresh: dict[str, Any] = {"ended": None, "delivered": False, "due": queries.now(), "next_attempt": 0}
            fresh |= {"tries": 0, "status": None, "problem": None}
            stored.set_delivery(connection, delivery_id, fresh)
            return found._replace(**fresh)

        return await self._store.transact(work)

    # ---- checks

    @property
    def _sealing_keys(self) -> SealingKeys:
        if self._keys is None:
            raise Invalid(url=Reason(Code.WEBHOOKS_OFF))
        return self._keys

    async def _check(self, caller: Caller, given: Mapping[str, Any]) -> None:
        """Check what the model cannot. A target whose name cannot be resolved now is accepted. Raises Invalid."""
        if given.get("all_owners") and not caller.admin:
            raise Invalid(all_owners=Reason(Code.WEBHOOK_OF_ALL))
        if "url" in given:
            try:
                await self._resolver.target(given["url"])
            except NotAllowed as error:
                raise Invalid(url=Reason(Code.WEBHOOK_TARGET, reason=str(error))) from None
            except Unreachable:
                pass


def _check_whole(caller: Caller) -> None:
    """A limited token could see more by a webhook. Raises NotPermitted."""
    if is_limited(caller):
        raise NotPermitted(Code.WEBHOOKS_OF_LIMITED)


def _find(connection: Connection, caller: Caller, webhook_id: int) -> Webhook:
    """One of the caller's webhooks. Raises NoWebhook."""
    webhook = stored.find(connection, webhook_id)
    if webhook is None or webhook.user_id != caller.user_id:
        raise NoWebhook
    return webhook


def _own(connection: Connection, caller: Caller, webhook_id: int) -> Webhook:
    """One that the caller may change, and whose messages they may read. Raises NoWebhook, NotPermitted.

    Messages about hosts of others are for administrators, so not for their tokens without this right.
    """
    webhook = _find(connection, caller, webhook_id)
    if webhook.all_owners and not caller.admin:
        raise NotPermitted(Code.WEBHOOK_OF_ALL)
    return webhook


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: " ".join(dict.fromkeys(value)) if name in _LISTS else value for name, value in given.items()}


def _told(
    connection: Connection,
    caller: Caller,
    webhook_id: int,
    action: str,
    client_ip: str | None,
    detail: str | None = None,
) -> Webhook:
    """The webhook, after its event was added. Raises NoWebhook."""
    webhook = _find(connection, caller, webhook_id)
    text = detail if detail is not None else f"to {urlsplit(webhook.url).hostname}"
    queries.add_event(connection, caller.user, action, webhook.name, client_ip, text, owner_id=webhook.user_id)
    return webhook
