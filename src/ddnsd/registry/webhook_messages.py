# SPDX-License-Identifier: GPL-3.0-or-later
"""What webhooks tell, as JSON: histories of hosts and events become messages, if a webhook wants them.

{"type": "host.updated", "timestamp": …, "data": {"fqdn": …, "before": …, "after": …, "actor": …, "via": …}}
"""

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple, get_args

from ddnsd.db.rows import endings
from ddnsd.db.webhooks import Message, Silent, Webhook
from ddnsd.registry.moments import moment
from ddnsd.webhooks.signing import new_message_id

TEST = "webhook.test"
SILENT = "host.silent"

OF_HISTORY = {
    "register": "host.created",
    "update": "host.updated",
    "edit": "host.updated",
    "unblock": "host.updated",
    "delete": "host.deleted",
    "block": "host.blocked",
    "flag": "host.flagged",
}
"""Types by the kind of an entry; other entries are not told."""

OF_EVENTS = {
    "domain.ask": "domain_request.created",
    "domain.approve": "domain_request.approved",
    "domain.decline": "domain_request.declined",
    "domain.withdraw": "domain_request.withdrawn",
    "certificate.issued": "certificate.issued",
    "certificate.failed": "certificate.failed",
    "certificate.expiring": "certificate.expiring",
}
"""Types by the action of an event; other events are not told."""

MessageType = Literal[
    "host.created",
    "host.updated",
    "host.deleted",
    "host.blocked",
    "host.flagged",
    "host.silent",
    "domain_request.created",
    "domain_request.approved",
    "domain_request.declined",
    "domain_request.withdrawn",
    "certificate.issued",
    "certificate.failed",
    "certificate.expiring",
]
TYPES = get_args(MessageType)


class News(NamedTuple):
    """Something that happened, to a host or a domain of this `name`.

    Messages of a `subject` are delivered in order. `fqdn`: this host's change must be in DNS first.
    """

    type: str
    subject: str
    name: str
    owner_id: int | None
    at: int
    data: Mapping[str, Any]
    fqdn: str | None = None


def of_entry(entry: Any, fqdn: str) -> News:
    """The news in an entry of a host's history; its kind is in `OF_HISTORY`."""
    before, after = (None if text is None else json.loads(text) for text in (entry.before, entry.after))
    data = {"fqdn": fqdn, "before": before, "after": after, "actor": entry.actor, "via": entry.via}
    return News(OF_HISTORY[entry.kind], _of_host(entry.host_id), fqdn, entry.owner_id, entry.at, data, fqdn)


def of_event(event: Any) -> News:
    """The news in an event; its action is in `OF_EVENTS`."""
    kind = OF_EVENTS[event.action]
    key = "fqdn" if kind.startswith("certificate.") else "domain"
    data = {key: event.object, "actor": event.actor, "detail": event.detail}
    return News(kind, f"{key}:{event.object}", event.object, event.owner_id, event.at, data)


def of_silence(host: Silent) -> News:
    """The news that a host is silent."""
    data = {"fqdn": host.fqdn, "last_request": moment(host.at)}
    return News(SILENT, _of_host(host.host_id), host.fqdn, host.owner_id, host.at, data)


def of_test(webhook: Webhook, actor: str, at: int) -> News:
    """The news of a test."""
    return News(TEST, TEST, "", webhook.user_id, at, {"webhook": webhook.name, "actor": actor})


def _of_host(host_id: int) -> str:
    return f"host:{host_id}"


def host_of(subject: str) -> int:
    """The id of the host that a subject is."""
    return int(subject.removeprefix("host:"))


def wants(webhook: Webhook, news: News, *, owner_is_admin: bool) -> bool:
    """Whether the webhook gets the news: what its owner may read, of the types and names that it is for."""
    if news.type not in webhook.types.split():
        return False
    if news.owner_id != webhook.user_id and not (webhook.all_owners and owner_is_admin):
        return False
    domains, hosts = webhook.domains.split(), webhook.hosts.split()
    if domains and not set(domains) & set(endings(news.name)):
        return False
    return not hosts or ("domain" not in news.data and any(fnmatchcase(news.name, pattern) for pattern in hosts))


def message(webhook: Webhook, news: News, at: int) -> Message:
    """The message about the news, for this webhook. `at` is now."""
    body = json.dumps({"type": news.type, "timestamp": moment(news.at), "data": news.data}, ensure_ascii=False)
    due = None if news.fqdn is not None else at
    return Message(webhook.id, new_message_id(), news.type, news.subject, news.fqdn, body, at, due)
