# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of zones that another node owns (PostgreSQL): ask the owner to send them, and learn the outcome.

    this node    commits, then notifies all nodes: request id, zone, host or removed name
    the owner    sends the current row, then notifies this node: request id, version or error

A notification may be lost, and the owner may change. While callers wait, this node therefore reads the database four
times a second, and asks again.
"""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, NamedTuple, Protocol

import structlog
from sqlalchemy import Connection

from ddnsd.db import removals
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.notifications import LARGEST_OCTETS
from ddnsd.db.pending import are_published
from ddnsd.dns import errors
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.queue import end
from ddnsd.dns.removals import RemovalWaiter
from ddnsd.gathering import Gathering

REQUESTS = "ddnsd_requests"
"""The channel of all nodes, for zones whose owner is not known."""

LOOK_SECONDS = 0.25
ASK_AGAIN_SECONDS = 0.5

GATHER_SECONDS = (0.005, 0.015)
"""Shortest and longest time between two transmissions: each wakes all nodes' connections in PostgreSQL."""

log = structlog.get_logger()

KINDS: Mapping[str, Callable[[str], Exception]] = {
    "ChangeRefused": errors.ChangeRefused,
    "HostGone": errors.HostGone,
    "NameConflict": lambda text: errors.NameConflict(Obstacle.from_stored(text)),
}
"""Errors by their names in notifications, from a text; others are NotAcknowledged."""


class Sender(Protocol):
    """Sends a zone's changes."""

    acknowledged: int

    @property
    def owned(self) -> bool:
        """Whether this node owns the zone."""

    def push_host(self, host_id: int, done: asyncio.Future[None] | None = None, *, bulk: bool = False) -> None:
        """Publish the host's current row."""

    def push_removals(self, done: asyncio.Future[None] | None = None, names: Collection[str] = ()) -> None:
        """Send pending removals at these names."""


class Request(NamedTuple):
    """A host, or a removed name, whose outcome a caller waits for."""

    domain_id: int
    host_id: int | None
    name: str | None
    bulk: bool
    asked: float
    tell: Callable[[Exception | None], None]
    waits: Callable[[], bool]

    def as_item(self, number: int) -> list[Any]:
        """The request in a notification."""
        return [number, self.domain_id, self.host_id, self.name, self.bulk]


class Relay:
    """Both ends of the exchange between nodes; `send` transmits texts to channels.

    `confirm` notes a host's version that the owner has published.
    """

    def __init__(
        self,
        store: Store,
        senders: Mapping[int, Sender],
        send: Callable[[list[tuple[str, str]]], Awaitable[None]],
        node: str,
        owner_of: Callable[[int], str | None],
        *,
        version_of: Callable[[int], int | None],
        confirm: Callable[[int, int], None],
    ) -> None:
        self._store, self._senders, self._send = store, senders, send
        self._version_of, self._confirm = version_of, confirm
        self.channel, self._owner_of = _channel(node), owner_of
        self._numbers = itertools.count(1)
        self._open: dict[int, Request] = {}
        self._outbox: dict[tuple[str, bool], tuple[dict[str, str], list[list[Any]]]] = {}
        self._sending: asyncio.Task[None] | None = None
        self._gathering = Gathering(*GATHER_SECONDS)

    # ---- this node asks

    def push_host(self, domain_id: int, host_id: int, done: asyncio.Future[None] | None, *, bulk: bool) -> None:
        """Ask the owner to publish the host's current row; `done` gets the outcome."""
        if done is None:
            self._request(domain_id, [0, domain_id, host_id, None, bulk])
            return
        self._ask(domain_id, host_id, None, bulk, partial(end, [done]), lambda: not done.done())

    def push_removals(self, domain_id: int, waiter: RemovalWaiter | None, names: Iterable[str] = ()) -> None:
        """Ask the owner to remove these names; the `waiter` gets the outcome of each. Without one, just tell it."""
        if waiter is None:
            self._request(domain_id, [0, domain_id, None, None, True])
            return
        for name in names:
            self._ask(domain_id, None, name, False, partial(waiter.left, name), lambda: not waiter.done.done())

    def take_back(self, domain_id: int) -> None:
        """Pass open requests to the sender of a zone that this node owns now."""
        sender = self._senders.get(domain_id)
        for number in [n for n, request in self._open.items() if request.domain_id == domain_id]:
            request = self._open.pop(number)
            if sender is None or not request.waits():
                continue
            self._push(sender, request.host_id, request.name, request.tell, bulk=request.bulk)

    def _ask(
        self,
        domain_id: int,
        host_id: int | None,
        name: str | None,
        bulk: bool,
        tell: Callable[[Exception | None], None],
        waits: Callable[[], bool],
    ) -> None:
        number = next(self._numbers)
        request = self._open[number] = Request(domain_id, host_id, name, bulk, time.monotonic(), tell, waits)
        self._request(domain_id, request.as_item(number))

    def _request(self, domain_id: int, item: list[Any]) -> None:
        owner = self._owner_of(domain_id)
        self._post(REQUESTS if owner is None else _channel(owner), {"from": self.channel}, item)

    def received(self, text: str) -> None:
        """Read a notification to this node: requests, or answers."""
        message = json.loads(text)
        if "from" in message:
            self._take_requests(message["from"], message["items"])
        else:
            self._take_answers(message["items"])

    def _take_answers(self, items: Iterable[list[Any]]) -> None:
        for number, version, kind, reason in items:
            request = self._open.pop(number, None)
            if request is None:
                continue
            if version is not None and request.host_id is not None:
                self._confirm(request.host_id, version)
            self._finish(request, None if kind is None else KINDS.get(kind, errors.NotAcknowledged)(reason))

    def _finish(self, request: Request, error: Exception | None) -> None:
        if error is None and (sender := self._senders.get(request.domain_id)):
            sender.acknowledged += 1  # callers of bulk calls wait as long as this grows
        request.tell(error)

    async def run(self) -> None:
        """Look at open requests until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except StoreDown as error:
                log.warning("answers of other nodes not checked", reason=str(error))
            except Exception:
                log.exception("unexpected error")  # a bug must not stop it for ever

    async def look(self) -> None:
        """End requests whose changes DNS has, and repeat old ones. Raises StoreDown."""
        self._open = {number: request for number, request in self._open.items() if request.waits()}
        late = {n: r for n, r in self._open.items() if time.monotonic() - r.asked > LOOK_SECONDS}
        if not late:
            return
        found = await self._store.read(lambda c: _outcomes(c, late))
        for number, error in found:
            if request := self._open.pop(number, None):
                self._finish(request, error)
        for number, request in late.items():
            if number in self._open and time.monotonic() - request.asked > ASK_AGAIN_SECONDS:
                self._open[number] = request._replace(asked=time.monotonic())
                self._post(REQUESTS, {"from": self.channel}, request.as_item(number))  # the owner may have changed

    # ---- this node owns

    def _take_requests(self, channel: str, items: Iterable[list[Any]]) -> None:
        """Pass what concerns zones of this node to their senders."""
        if channel == self.channel:
            return
        for number, domain_id, host_id, name, bulk in items:
            sender = self._senders.get(domain_id)
            if sender is None or not sender.owned:
                continue
            tell = partial(self._answer, channel, number, host_id) if number else None
            self._push(sender, host_id, name, tell, bulk=bulk)

    def _push(
        self,
        sender: Sender,
        host_id: int | None,
        name: str | None,
        tell: Callable[[Exception | None], None] | None,
        *,
        bulk: bool,
    ) -> None:
        done: asyncio.Future[None] | None = None
        if tell is not None:
            done = asyncio.get_running_loop().create_future()
            done.add_done_callback(lambda ended: None if ended.cancelled() else tell(_as_exception(ended)))
        if host_id is not None:
            sender.push_host(host_id, done, bulk=bulk)
        elif name is not None:
            sender.push_removals(done, [name])
        else:
            sender.push_removals()

    def _answer(self, channel: str, number: int, host_id: int | None, error: Exception | None) -> None:
        version = self._version_of(host_id) if host_id is not None and error is None else None
        kind = None if error is None else type(error).__name__
        text = error.obstacle.stored if isinstance(error, errors.NameConflict) else str(error)
        self._post(channel, {}, [number, version, kind, text])

    # ---- notifications

    def _post(self, channel: str, head: dict[str, str], item: list[Any]) -> None:
        """Send with the other items of this turn of the loop, or of the time until the next transmission is due."""
        self._outbox.setdefault((channel, bool(head)), (head, []))[1].append(item)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        await asyncio.sleep(0)
        try:
            while self._outbox:
                outbox, self._outbox, began = self._outbox, {}, time.monotonic()
                await self._send([(channel, t) for (channel, _), one in outbox.items() for t in _texts(*one)])
                self._gathering.note(time.monotonic() - began)
                await asyncio.sleep(self._gathering.seconds)
        finally:
            self._sending = None


@cache
def _channel(node: str) -> str:
    """The channel of a node; names of channels have at most 63 characters."""
    return f"ddnsd_{hashlib.sha256(node.encode()).hexdigest()[:32]}"


def _as_exception(ended: "asyncio.Future[None]") -> Exception | None:
    error = ended.exception()
    return error if isinstance(error, Exception) or error is None else errors.NotAcknowledged(str(error))


def _texts(head: Mapping[str, str], items: Iterable[list[Any]]) -> Iterator[str]:
    """The items in as few notifications as they fit into."""
    opened = json.dumps({**head, "items": []}, separators=(",", ":"))[:-2]
    room = LARGEST_OCTETS - len(opened) - 2
    part: list[str] = []
    size = 0
    for text in (json.dumps(item, separators=(",", ":")) for item in items):
        if part and size + len(text) > room:
            yield f"{opened}{','.join(part)}]}}"
            part, size = [], 0
        part.append(text)
        size += len(text) + 1
    if part:
        yield f"{opened}{','.join(part)}]}}"


def _outcomes(connection: Connection, requests: Mapping[int, Request]) -> list[tuple[int, Exception | None]]:
    """The requests that are finished according to the database; refusals are only told by the owner."""
    host_ids = {request.host_id for request in requests.values() if request.host_id is not None}
    states = are_published(connection, host_ids) if host_ids else {}
    names: dict[int, set[str]] = {}
    for request in requests.values():
        if request.name is not None:
            names.setdefault(request.domain_id, set()).add(request.name)
    left = {
        (domain_id, removal.fqdn)
        for domain_id, some in names.items()
        for removal in removals.dirty_at(connection, domain_id, sorted(some))
    }
    found: list[tuple[int, Exception | None]] = []
    for number, request in requests.items():
        if request.host_id is None:
            if (request.domain_id, request.name) not in left:
                found.append((number, None))
        elif request.host_id not in states:
            found.append((number, errors.HostGone()))
        elif states[request.host_id]:
            found.append((number, None))
    return found
