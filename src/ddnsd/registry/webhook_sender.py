# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender of webhooks: one process of all reads what was written, and delivers it.

    history, events ──read──► message ──DNS has it──► due ──delivered──► ended
                                                       └──refused: later again, for a day──► ended

Reading a part, adding its messages and moving the cursor is one transaction, so nothing is lost or added twice. A
message that was delivered in the moment of a crash is delivered again, with the same id.

Messages about one host are delivered in order: a message waits for earlier ones about the host, not for those about
others. Each webhook has a task of its own, so a slow target delays only its own messages.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import Connection

from ddnsd.auth.claims_age import ClaimsAge
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import outbox, queries
from ddnsd.db import webhooks as stored
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.outbox import Cursor
from ddnsd.db.sqlite import SqliteStore
from ddnsd.db.webhooks import Delivery, Message, Silent, Waiting, Webhook
from ddnsd.dns.ownership import has_ended, node_name
from ddnsd.dns.writer import run_safely
from ddnsd.registry import webhook_messages
from ddnsd.registry.webhook_messages import OF_EVENTS, OF_HISTORY, SILENT, News
from ddnsd.webhooks import client, signing
from ddnsd.webhooks.client import Resolver, Unreachable

SECONDS = 1.0
"""How often new rows are read."""

SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND

ROWS = 500
"""Rows that are read at once."""

PARTS = 20
"""Maximum number of parts that are read in a round."""

MOST_DUE = 1000
"""Messages of a webhook to deliver above which it reads no more; the rest stays in the histories.

Those that wait for DNS do not count, so a zone whose name server is silent delays no messages about others.
"""

WAITING = 4
"""Parts of the messages that wait for DNS that are looked at in a round."""

TOGETHER = 50
"""Webhooks that get messages in one transaction."""

SILENT_AT_ONCE = 1000
"""Hosts of a webhook that can become silent within an hour."""

FIRST_PAUSE, LONGEST_PAUSE = 5 * SECOND, 900 * SECOND
"""First and longest pause between two attempts; it doubles in between."""

TRIED_FOR = DAY
"""How long a message is tried, and how old an entry may be when it is read."""

DNS_WAIT = 7 * DAY
"""How long a message waits until DNS has the change."""

AT_ONCE = 8
"""Messages of a webhook, about different hosts, that are sent at once; one while its target fails."""

SENDING = 200
"""Messages of all webhooks that are sent at once."""

KEPT = 1000
"""Ended messages of a webhook that are kept at most."""

RENEW_SECONDS = 3.0

GONE = 410

log = structlog.get_logger()

_sent = Counter("ddnsd_webhook_messages", "Attempts to deliver a message of a webhook, by result", ["result"])
_open = Gauge("ddnsd_webhook_open_messages", "Messages that are not delivered yet, at the node that sends them")
for _result in ("delivered", "failed"):
    _sent.labels(_result)


class Outcome(NamedTuple):
    """The end of an attempt: the status of the answer, and the problem; None: it was delivered."""

    delivery: Delivery
    status: int | None
    problem: str | None


class WebhookSender:
    """Reads and delivers; `keys` decrypt the secrets. Without keys there are no webhooks."""

    def __init__(self, store: Store, keys: SealingKeys | None, resolver: Resolver, claims_age: ClaimsAge) -> None:
        self._store, self._keys, self._resolver, self._claims_age = store, keys, resolver, claims_age
        self._lead = _FileLead(store) if isinstance(store, SqliteStore) else _Lease(store)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sending = asyncio.Semaphore(SENDING)
        self._next_hour = self._next_minute = 0.0
        self._looked_at = 0  # the last message that waits for DNS, of the last round

    async def run_round(self) -> None:
        """Read what is new, and start to deliver what is due. Raises StoreDown."""
        if self._keys is None or getattr(self._store, "moved", None) is not None:
            return
        live = await self._store.read(stored.live)
        if not live or not await self._lead.take():
            return
        if await self._store.read(outbox.is_foreign):
            await self._store.transact(outbox.adopt)
        for source in outbox.SOURCES:
            await self._read(source, live)
        if time.monotonic() >= self._next_hour:
            await self.tell_silent(live)
            self._next_hour = time.monotonic() + 3600
        await self._look_at_dns()
        if time.monotonic() >= self._next_minute:
            await self._expire()
            self._next_minute = time.monotonic() + 60
        await self._start(live)

    async def stop(self) -> None:
        """End all deliveries; those that are under way may be repeated."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        await self._lead.end()
        self._resolver.close()

    # ---- reading

    async def _read(self, source: str, live: Sequence[Webhook]) -> None:
        found = await self._store.read(
            lambda c: (stored.cursors(c, source), stored.open_counts(c), outbox.oldest_xid(c))
        )
        cursors, counts, before = found
        _open.set(sum(count.total for count in counts.values()))
        groups: dict[Cursor, list[Webhook]] = {}
        for webhook in live:
            _, due = counts.get(webhook.id, (0, 0))
            if webhook.id in cursors and due < MOST_DUE:
                groups.setdefault(cursors[webhook.id], []).append(webhook)
        for cursor, group in groups.items():
            at = cursor
            for _ in range(PARTS):
                part = await self._store.read(lambda c, at=at: _part(c, source, at, before))  # type: ignore[misc]
                alone = len(groups) == 1 and at.to_xid is None
                if part.after == at or (not part.has_rows and alone):
                    break  # nothing is written while nothing happens
                await self._add(source, at, part, group)
                at = part.after

    async def _add(self, source: str, before: Cursor, part: "_Part", group: Sequence[Webhook]) -> None:
        """Add the messages of the webhooks in short transactions, and move the cursors."""
        now = queries.now()
        young = [one for one in part.news if one.at > now - TRIED_FOR]
        if len(young) < len(part.news):
            log.warning("changes are too old for webhooks", source=source, changes=len(part.news) - len(young))
        by_owner: dict[int | None, list[News]] = {}
        for one in young:
            by_owner.setdefault(one.owner_id, []).append(one)
        messages: dict[int, list[Message]] = {}
        for webhook in group:
            news = young if webhook.all_owners else by_owner.get(webhook.user_id, ())
            messages[webhook.id] = list(self._messages(webhook, news, now))
        others = [webhook_id for webhook_id, found in messages.items() if not found]
        some = [webhook_id for webhook_id, found in messages.items() if found]
        for ids in (some[start : start + TOGETHER] for start in range(0, len(some), TOGETHER)):
            await self._store.transact(lambda c, i=ids: _advance(c, source, before, part.after, i, messages))  # type: ignore[misc]
        if others:
            await self._store.transact(lambda c: _advance(c, source, before, part.after, others, messages))

    def _messages(self, webhook: Webhook, news: Iterable[News], now: int) -> Iterable[Message]:
        admin = self._claims_age.of_token(webhook.rights).admin
        for one in news:
            told = one.at >= webhook.created or one.type == SILENT
            if told and webhook_messages.wants(webhook, one, owner_is_admin=admin):
                yield webhook_messages.message(webhook, one, now)

    async def tell_silent(self, live: Iterable[Webhook]) -> None:
        """Add messages about hosts that have become silent. Raises StoreDown."""
        for webhook in live:
            if SILENT not in webhook.types.split():
                continue
            until = queries.now() - webhook.silent_days * DAY
            found = await self._store.read(lambda c, w=webhook, u=until: _silent(c, w, u))  # type: ignore[misc]
            if len(found) == SILENT_AT_ONCE:
                until = found[-1].at  # the others in the next hour
            messages = list(self._messages(webhook, map(webhook_messages.of_silence, found), queries.now()))
            await self._store.transact(lambda c, w=webhook, u=until, m=messages: _add_silent(c, w, u, m))  # type: ignore[misc]

    # ---- DNS

    async def _look_at_dns(self) -> None:
        """Let messages be delivered whose changes DNS has. If many wait, the next round looks at the next ones."""
        for _ in range(WAITING):
            found = await self._store.read(lambda c: stored.waiting(c, self._looked_at, ROWS))
            self._looked_at = found[-1].id if len(found) == ROWS else 0
            if not found:
                return
            ready, dropped = await self._store.read(lambda c, part=found: _in_dns(c, part))  # type: ignore[misc]
            if ready or dropped:
                await self._store.transact(lambda c, r=ready, d=dropped: _let_go(c, r, d))  # type: ignore[misc]
            if self._looked_at == 0:
                return

    async def _expire(self) -> None:
        """Give up messages that were tried for too long, or whose changes do not get into DNS."""
        now = queries.now()
        due, waiting = await self._store.read(lambda c: stored.expired(c, now - TRIED_FOR, now - DNS_WAIT, ROWS))
        for ids, reason in ((due, "not delivered within a day"), (waiting, "DNS did not get the change within a week")):
            if ids:
                await self._store.transact(lambda c, i=ids, r=reason: stored.give_up(c, i, now, r))  # type: ignore[misc]

    # ---- sending

    async def _start(self, live: Sequence[Webhook]) -> None:
        now = queries.now()
        ready = [webhook.id for webhook in live if webhook.next_attempt <= now and webhook.id not in self._tasks]
        for webhook_id in await self._store.read(lambda c: stored.have_due(c, ready, now)) if ready else ():
            task = asyncio.create_task(run_safely(lambda i=webhook_id: self._deliver(i), "webhook"))  # type: ignore[misc]
            self._tasks[webhook_id] = task
            task.add_done_callback(lambda _, i=webhook_id: self._tasks.pop(i, None))  # type: ignore[misc]

    async def _deliver(self, webhook_id: int) -> None:
        """Deliver messages of the webhook until none is due, or its target fails. Raises StoreDown."""
        connection: client.Connection | None = None
        url = ""
        try:
            while self._lead.leads:
                webhook, found = await self._store.read(lambda c: _batch(c, webhook_id))
                if webhook is None or not found:
                    return
                if webhook.all_owners and not self._claims_age.of_token(webhook.rights).admin:
                    await self._store.transact(lambda c, w=webhook: stop(c, w, "its owner is no administrator"))  # type: ignore[misc]
                    return
                if connection is None or url != webhook.url:
                    if connection is not None:
                        await connection.close()
                    url, connection = webhook.url, None
                    try:
                        connection = client.Connection(await self._resolver.target(url))
                    except Unreachable as error:
                        await self._record(webhook, [Outcome(found[0], None, str(error))])
                        return
                attempts = (self._attempt(connection, webhook, delivery) for delivery in found)
                await self._record(webhook, await asyncio.gather(*attempts))
        finally:
            if connection is not None:
                await connection.close()
            await self._forget_old(webhook_id)

    async def _attempt(self, connection: client.Connection, webhook: Webhook, delivery: Delivery) -> Outcome:
        async with self._sending:
            try:
                status, problem = await attempt(connection, self._keys, webhook, delivery.message_id, delivery.body)
            except Exception:  # else the other messages of the batch would be sent again and again
                log.exception("unexpected error", webhook=webhook.id)
                status, problem = None, "unexpected error, see the log of the service"
        return Outcome(delivery, status, problem)

    async def _record(self, webhook: Webhook, outcomes: Sequence[Outcome]) -> None:
        await self._store.transact(lambda c: record(c, webhook, outcomes))

    async def _forget_old(self, webhook_id: int) -> None:
        with contextlib.suppress(StoreDown):
            if old := await self._store.read(lambda c: stored.outdated(c, webhook_id, KEPT, ROWS)):
                await self._store.transact(lambda c: stored.forget(c, old))


class _Part(NamedTuple):
    """News that were read at once, and the cursor after them."""

    news: list[News]
    after: Cursor
    has_rows: bool


def _part(connection: Connection, source: str, cursor: Cursor, before: int | None) -> _Part:
    """The news after the cursor, of transactions before this xid."""
    rows, after = outbox.read(connection, source, cursor, before, ROWS)
    if source == "events":
        return _Part([webhook_messages.of_event(row) for row in rows if row.action in OF_EVENTS], after, bool(rows))
    entries = [row for row in rows if row.kind in OF_HISTORY]
    names = stored.names_at(connection, entries) if entries else {}
    news = [webhook_messages.of_entry(entry, names[entry.id]) for entry in entries if entry.id in names]
    return _Part(news, after, bool(rows))


def _advance(
    connection: Connection,
    source: str,
    before: Cursor,
    after: Cursor,
    webhook_ids: Sequence[int],
    messages: Mapping[int, Sequence[Message]],
) -> None:
    """Move the cursors, and add the messages of those that nobody else has moved."""
    for webhook_id in outbox.advance(connection, source, before, after, webhook_ids):
        stored.add_messages(connection, messages[webhook_id])


def _silent(connection: Connection, webhook: Webhook, until: int) -> list[Silent]:
    owner_id = None if webhook.all_owners else webhook.user_id
    return stored.silent(connection, owner_id, webhook.silent_until, until, SILENT_AT_ONCE)


def _add_silent(connection: Connection, webhook: Webhook, until: int, messages: Sequence[Message]) -> None:
    if stored.note_silent(connection, webhook, until):
        stored.add_messages(connection, messages)


def _let_go(connection: Connection, ready: Sequence[int], dropped: Sequence[int]) -> None:
    stored.set_due(connection, ready, queries.now())
    stored.forget(connection, dropped)


def _in_dns(connection: Connection, found: Sequence[Waiting]) -> tuple[list[int], list[int]]:
    """The ids of messages that can be delivered, and of those about hosts that never were in DNS."""
    progress = stored.dns_progress(connection, {one.fqdn for one in found if one.fqdn is not None})
    doubtful = {webhook_messages.host_of(one.subject) for one in found if one.fqdn in progress.unknown}
    deleted = stored.are_deleted(connection, doubtful) if doubtful else set()
    there = [one for one in found if one.fqdn not in progress.waiting]
    dropped = {
        one.id for one in there if one.fqdn in progress.unknown and webhook_messages.host_of(one.subject) not in deleted
    }
    return [one.id for one in there if one.id not in dropped], sorted(dropped)


def _batch(connection: Connection, webhook_id: int) -> tuple[Webhook | None, list[Delivery]]:
    """The webhook, and what to send to it now."""
    webhook, now = stored.find(connection, webhook_id, live=True), queries.now()
    if webhook is None or webhook.next_attempt > now:
        return None, []
    return webhook, stored.due(connection, webhook_id, now, 1 if webhook.failures else AT_ONCE)


# ---- an attempt


async def attempt(
    connection: client.Connection, keys: SealingKeys | None, webhook: Webhook, message_id: str, body: str
) -> tuple[int | None, str | None]:
    """Send a message once. Returns the status of the answer, and the problem; None: it was delivered."""
    secrets = secrets_of(keys, webhook)
    if not secrets:
        return None, "the secret cannot be decrypted; replace it"
    try:
        status = await connection.post(body, signing.headers(secrets, message_id, int(time.time()), body))
    except Unreachable as error:
        return None, str(error)
    return status, None if 200 <= status < 300 else _refusal(status)


def secrets_of(keys: SealingKeys | None, webhook: Webhook) -> list[str]:
    """The secrets that sign: the current one, and the former one for some time."""
    sealed = [webhook.sealed]
    if webhook.former_sealed is not None and (webhook.former_until or 0) > queries.now():
        sealed.append(webhook.former_sealed)
    found = (keys.unseal(PURPOSE, webhook.id, text) for text in sealed) if keys is not None else ()
    return [secret for secret in found if secret is not None]


PURPOSE = "webhook"
"""Of the encrypted secrets."""


def _refusal(status: int) -> str:
    return f"answered with a redirection ({status})" if 300 <= status < 400 else f"answered with status {status}"


def record(connection: Connection, webhook: Webhook, outcomes: Sequence[Outcome]) -> None:
    """Store the outcomes of attempts, and switch the webhook off if its target says that it is gone."""
    now = queries.now()
    for outcome in outcomes:
        _sent.labels("delivered" if outcome.problem is None else "failed").inc()
        stored.set_delivery(connection, outcome.delivery.id, _after_attempt(outcome, now))
    problem = next((outcome.problem for outcome in outcomes if outcome.problem is not None), None)
    if any(outcome.status == GONE for outcome in outcomes):
        stop(connection, webhook, f"the target answered with status {GONE}")
    elif any(outcome.problem is None for outcome in outcomes):
        stored.change(connection, webhook.id, {"failures": 0, "problem": problem, "last_success": now})
    else:
        failures = webhook.failures + 1
        values = {"failures": failures, "problem": problem, "next_attempt": now + pause(failures)}
        stored.change(connection, webhook.id, values)
        if failures == 1:
            log.warning("webhook fails", webhook=webhook.id, owner=webhook.user, reason=problem)


def _after_attempt(outcome: Outcome, now: int) -> Mapping[str, Any]:
    delivery, tries = outcome.delivery, outcome.delivery.tries + 1
    values = {"tries": tries, "status": outcome.status, "problem": outcome.problem}
    if outcome.problem is None:
        return values | {"ended": now, "delivered": True}
    if now - (delivery.due or now) >= TRIED_FOR:
        return values | {"ended": now}
    return values | {"next_attempt": now + pause(tries)}


def pause(failures: int) -> int:
    """The pause after so many failures, in microseconds."""
    return int(min(FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE))


def stop(connection: Connection, webhook: Webhook, reason: str) -> None:
    """Switch the webhook off, and give up its messages."""
    stored.change(connection, webhook.id, {"active": False, "stopped": reason, "problem": reason})
    stored.give_up_all(connection, webhook.id, queries.now(), reason)
    queries.add_event(connection, "ddnsd", "webhook.stop", webhook.name, None, reason, owner_id=webhook.user_id)
    log.warning("webhook switched off", webhook=webhook.id, owner=webhook.user, reason=reason)


# ---- who sends


class _FileLead:
    """On SQLite, the process with the lock file sends, as long as it lives."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.leads = False

    async def take(self) -> bool:
        """Become the sender, if there is no other. Raises StoreDown."""
        self.leads = self._store.hold_alone("webhooks")
        return self.leads

    async def end(self) -> None:
        """Nothing to do: the store is closed."""


class _Lease:
    """On PostgreSQL, the node with the lease sends. It stops by its own clock before the lease expires."""

    def __init__(self, store: Store) -> None:
        self._store, self._node = store, node_name()
        self._until = self._renewed = 0.0

    @property
    def leads(self) -> bool:
        """Whether this node may send."""
        return time.monotonic() < self._until

    async def take(self) -> bool:
        """Become or stay the sender. Raises StoreDown."""
        began = time.monotonic()
        if self.leads and began < self._renewed + RENEW_SECONDS:
            return True

        def work(connection: Connection) -> bool:
            other = stored.sending_node(connection)
            if other is not None and other != self._node and has_ended(other):
                stored.end_lease(connection, other)
            return stored.take_lease(connection, self._node)

        if await self._store.transact(work):
            self._renewed, self._until = began, began + stored.LEASE_SECONDS - 1
        return self.leads

    async def end(self) -> None:
        """Let another node send at once."""
        if self.leads:
            self._until = 0.0
            with contextlib.suppress(StoreDown):
                await self._store.transact(lambda c: stored.end_lease(c, self._node))
