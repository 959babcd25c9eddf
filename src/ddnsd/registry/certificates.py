# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of hosts: orders at an authority with ACME, proven by DNS-01 in our own zones.

A host needs no address for it. Private keys never come here: callers send a request (CSR). One order of a host is under
way at a time, on all nodes: its row in the database says so. The row ends with the chain or the problem, or it expires
after a crash; then the values at `_acme-challenge` expire as well.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy import Connection

from ddnsd.acme.errors import AuthorityBusy, AuthorityError, AuthorityRefused
from ddnsd.acme.threads import Threads
from ddnsd.db import certificates as stored
from ddnsd.db import history, queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.certificates import Issued, Totals
from ddnsd.db.certificates import Order as Row
from ddnsd.db.history import Author
from ddnsd.db.rows import Host, name_below
from ddnsd.dns.errors import DnsError, HostGone
from ddnsd.dns.secondaries import Secondaries
from ddnsd.dns.writer import Writer
from ddnsd.registry import signing_requests
from ddnsd.registry.caa import CaaRecords
from ddnsd.registry.challenges import LABEL, Challenges
from ddnsd.registry.errors import (
    AuthorityDown,
    CertificateBusy,
    Code,
    NoCertificate,
    NotIssued,
    OverQuota,
    RegistryError,
)
from ddnsd.registry.hosts import locked, still
from ddnsd.registry.signing_requests import SigningRequest
from ddnsd.registry.updates import check_takes_records
from ddnsd.registry.validation import Expect

if TYPE_CHECKING:
    from ddnsd.acme.client import AcmeClient

SECONDS = 30.0
"""How often the certificates are counted."""

SECOND = 1_000_000
HOUR, DAY, WEEK = 3600 * SECOND, 86_400 * SECOND, 7 * 86_400 * SECOND

ORDER_SECONDS = 48.0
"""How long an order takes at most; the caller waits for a minute."""

DNS_SECONDS = 20.0
"""How long the name servers have for the values. Then the authority is told anyway."""

LEASE_SECONDS = 12
RENEW_SECONDS = 4.0
"""While an order is under way, its deadline is moved this often. One whose deadline is over was lost in a crash."""

JOIN_SECONDS = 0.5
POLL_SECONDS = 0.25

FAILED_ORDERS = 5
"""Failed orders for a name within an hour, after which no more are tried: authorities count them, too."""

AT_ONCE = 8
"""Calls to the authority at once."""

RETENTION = 8 * DAY
"""How long orders are kept that are no host's newest certificate: they count for the budgets of a week."""

log = structlog.get_logger()

_orders = Counter("ddnsd_host_certificate_orders", "Orders of certificates for hosts, by result", ["result"])
_durations = Histogram(
    "ddnsd_host_certificate_order_duration_seconds",
    "Time of orders that brought a certificate",
    buckets=(1, 2, 5, 10, 20, 30, 50),
)
for _result in ("issued", "failed"):
    _orders.labels(_result)


@dataclass
class Budgets:
    """Most certificates within a week, for a name and in a domain; 0: no limit."""

    host: int
    domain: int


class Certificate(NamedTuple):
    """A host's certificate: the chain in PEM, and the time in which it is valid, in microseconds since the epoch."""

    chain: str
    names: tuple[str, ...]
    not_before: int
    not_after: int
    requested_by: str
    ordered: int


class LastOrder(NamedTuple):
    """The last order of a host: when it began (microseconds), and why it failed; None: it did not."""

    started: int
    problem: str | None


class Certificates:
    """Orders and keeps certificates. The caller checks permissions; `expect` checks them again before an order."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        secondaries: Secondaries,
        challenges: Challenges,
        client: "AcmeClient | None",
        budgets: Budgets,
    ) -> None:
        """`client` is None if the service orders no certificates."""
        self._store, self._writer, self._secondaries = store, writer, secondaries
        self._challenges, self._client, self.budgets = challenges, client, budgets
        self._caa = CaaRecords(store, writer)
        self._threads = Threads(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._given_up: set[asyncio.Task[None]] = set()
        self.totals: Totals | None = None
        """Numbers of all certificates, at the last look."""

    @property
    def enabled(self) -> bool:
        """Whether the service orders certificates."""
        return self._client is not None

    async def look(self) -> None:
        """Count the certificates. Raises StoreDown."""
        self.totals = await self._store.read(lambda c: stored.totals(c, queries.now()))

    async def current(self, host: Host) -> Certificate:
        """The host's newest certificate. Raises NoCertificate, StoreDown."""
        found = await self._store.read(lambda c: stored.current(c, host))
        if found is None or found.chain is None or found.not_before is None or found.not_after is None:
            raise NoCertificate
        names = tuple(found.names.split())
        return Certificate(found.chain, names, found.not_before, found.not_after, found.requested_by, found.started)

    async def last_order(self, host: Host) -> LastOrder | None:
        """The host's last order, if there was one within some days. Raises StoreDown."""
        found = await self._store.read(lambda c: stored.latest(c, host))
        return LastOrder(found.started, found.problem) if found is not None else None

    async def issue(self, host: Host, csr: str, author: Author, expect: Expect) -> str:
        """Order a certificate for a request (CSR in PEM). Returns the chain in PEM, within ORDER_SECONDS and a little.

        The same request within a day gets the same chain. If an order for it is under way, its result is returned.
        Raises Invalid, Blocked, NoHost, NoDomain, OverQuota, CertificateBusy, NotIssued, NotPublished, StoreDown.
        """
        check_takes_records(host)
        request = signing_requests.parse(csr, host)
        if self._client is None:
            raise AuthorityDown(Code.CERTIFICATES_OFF)
        began = await self._store.transact(lambda c: self._begin(c, host, request, author, expect))
        if isinstance(began, str):
            return began
        if isinstance(began, Row):
            return await self._joined(began)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(_RunningOrder(self._client, began, host, request, author, done)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(done)

    def give_up(self) -> None:
        """End the orders that are under way: their callers get an answer, and their values are removed from DNS."""
        for task in self._running - self._given_up:  # a second time would interrupt the removal
            task.cancel()
        self._given_up |= self._running

    async def stop(self) -> None:
        """Give up all orders, and wait until they are at their end."""
        self.give_up()
        if self._running:
            await asyncio.wait(self._running)

    # ---- begin

    def _begin(
        self, connection: Connection, host: Host, request: SigningRequest, author: Author, expect: Expect
    ) -> "int | str | Row":
        """Add an order. Returns its id; or the chain that the same request got; or the order that is under way."""
        current = locked(connection, host, still(host, expect))
        check_takes_records(current)
        moment = stored.now(connection)
        running = stored.under_way(connection, current, moment)
        if running is not None:
            if running.csr_hash != request.hash:
                raise CertificateBusy(current.fqdn)
            return running
        before = stored.issued_for(connection, current, request.hash, moment - DAY)
        if before is not None and before.chain is not None:
            return before.chain
        self._check_budgets(connection, current, moment)
        return stored.begin(
            connection,
            current,
            names=" ".join(request.names),
            csr_hash=request.hash,
            requested_by=author.actor,
            started=moment,
            deadline=_deadline(connection),
        )

    def _check_budgets(self, connection: Connection, host: Host, moment: int) -> None:
        """Raises OverQuota."""
        week = moment - WEEK
        if limit := self.budgets.host:
            used = stored.issued_of_name(connection, host.fqdn, week)
            _check(used, limit, WEEK, moment, Code.CERTIFICATES_OVER_QUOTA, host=host.fqdn)
        if limit := self.budgets.domain:
            used = stored.issued_in_domain(connection, host.domain_id, week, limit)
            _check(used, limit, WEEK, moment, Code.CERTIFICATES_OF_DOMAIN_OVER_QUOTA, domain=host.domain)
        failed = stored.failed_of_name(connection, host.fqdn, moment - HOUR)
        last = stored.latest(connection, host)
        problem = last.problem if last is not None else None
        code = Code.CERTIFICATE_TRIES_OVER_QUOTA
        _check(failed, FAILED_ORDERS, HOUR, moment, code, host=host.fqdn, problem=problem or "-")

    async def _joined(self, order: Row) -> str:
        """The result of an order that another call has begun."""
        found: Row | None = order
        last = time.monotonic() + ORDER_SECONDS
        lost = False
        while found is not None and found.ended is None and not lost and time.monotonic() < last:
            await asyncio.sleep(JOIN_SECONDS)
            found, moment = await self._store.read(lambda c: (stored.find(c, order.id), stored.now(c)))
            lost = found is not None and found.deadline <= moment
        if found is None or found.ended is None:
            raise AuthorityDown(Code.CERTIFICATE_LOST)
        if found.chain is None:
            raise AuthorityDown(Code.SCHEMA, text=found.problem or "")
        return found.chain

    # ---- an order

    async def _run(self, order: "_RunningOrder") -> None:
        """Make the order, tell the caller, and remove the values."""
        began = time.monotonic()
        renewing = asyncio.create_task(self._renew_forever(order.order_id))
        issued: Issued | None = None
        error: Exception | None = None
        try:
            async with asyncio.timeout(ORDER_SECONDS):
                issued = await self._ordered(order, began + ORDER_SECONDS)
        except TimeoutError:
            error = AuthorityDown(Code.CERTIFICATE_TOO_LATE, seconds=round(ORDER_SECONDS))
        except (RegistryError, StoreDown) as caught:
            error = caught
        except AuthorityError as caught:
            error = _registry_error(caught)
        except asyncio.CancelledError:
            error = AuthorityDown(Code.CERTIFICATE_STOPPED)
        except Exception:
            log.exception("order of a certificate failed", host=order.host.fqdn)
            error = AuthorityDown(Code.CERTIFICATE_FAULT)
        renewing.cancel()
        try:
            await self._store.transact(lambda c: _finish(c, order, issued, error))
        except StoreDown as caught:
            error = error or caught
        self._tell(order, issued, error, time.monotonic() - began)
        await self._withdraw(order)

    async def _renew_forever(self, order_id: int) -> None:
        """Move the deadline of the order, so that others see that this process is alive."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(StoreDown):
                await self._store.transact(lambda c: stored.renew(c, order_id, _deadline(c)))

    def _tell(self, order: "_RunningOrder", issued: Issued | None, error: Exception | None, seconds: float) -> None:
        note = {"note": order.note} if order.note else {}
        if issued is not None and error is None:
            _orders.labels("issued").inc()
            _durations.observe(seconds)
            log.info("certificate issued", host=order.host.fqdn, seconds=round(seconds, 1), **note)
            order.done.set_result(issued.chain)
            return
        assert error is not None
        _orders.labels("failed").inc()
        log.warning("no certificate", host=order.host.fqdn, reason=str(error), **note)
        order.done.set_exception(error)
        order.done.exception()  # the caller may have gone

    async def _ordered(self, order: "_RunningOrder", deadline: float) -> Issued:
        """The chain. Raises RegistryError, AuthorityError, StoreDown."""
        host, request, client = order.host, order.request, order.client
        terms = await self._threads.run(lambda: client.terms(deadline))
        await self._caa.check(host, request.names, *terms)
        placed = await self._threads.run(lambda: client.order(request.pem, deadline))
        order.values = placed.values
        if order.values:
            for value in order.values:
                await self._challenges.present(host, value, order.author)
            order.note = await self._wait_for_name_servers(host, order.values)
        issued = signing_requests.issued(await self._threads.run(placed.complete), request)
        if issued is None:
            raise AuthorityDown(Code.CERTIFICATE_OF_OTHER_KEY)
        return issued

    async def _withdraw(self, order: "_RunningOrder") -> None:
        for value in order.values:
            try:
                await self._challenges.cleanup(order.host, value, order.author)
            except (RegistryError, StoreDown) as error:
                log.warning("challenge not removed, it expires", host=order.host.fqdn, reason=str(error))

    async def _wait_for_name_servers(self, host: Host, values: tuple[str, ...]) -> str:
        """Wait until primary and secondaries have the values. Returns a note about those that do not."""
        begin = time.monotonic()
        try:
            async with asyncio.timeout(DNS_SECONDS):
                serial = await self._serial_with(host, values)
        except (TimeoutError, DnsError, HostGone):
            return f"the primary does not answer with the challenge after {DNS_SECONDS:.0f} s"
        left = max(DNS_SECONDS - (time.monotonic() - begin), 0)
        late = await self._secondaries.lagging(host.domain, serial, left)
        return f"behind after {DNS_SECONDS:.0f} s: {', '.join(map(str, late))}" if late else ""

    async def _serial_with(self, host: Host, values: tuple[str, ...]) -> int:
        """The serial of the zone once the primary answers with the values, which takes longer if it signs the zone."""
        name = name_below(LABEL, host.fqdn)
        wanted = {f'"{value}"' for value in values}
        while True:
            answer = await self._writer.ask(host.domain_id, name, "TXT")
            if wanted <= {rdata.to_text() for rrset in answer.answer for rdata in rrset}:
                return await self._writer.serial(host.domain_id)
            await asyncio.sleep(POLL_SECONDS)


@dataclass
class _RunningOrder:
    """An order in this process. `note` is about name servers that were behind."""

    client: "AcmeClient"
    order_id: int
    host: Host
    request: SigningRequest
    author: Author
    done: "asyncio.Future[str]"
    values: tuple[str, ...] = ()
    note: str = ""


def _finish(connection: Connection, order: _RunningOrder, issued: Issued | None, error: Exception | None) -> None:
    """End the order in the database, with its event and the entry of the host's history."""
    host, author = order.host, order.author
    problem = None if error is None else _with_note(str(error), order.note)
    stored.finish(connection, order.order_id, queries.now(), issued, problem)
    names = ", ".join(order.request.names)
    detail = _with_note(names, order.note) if problem is None else f"{names}: {problem}"
    action = "certificate.issued" if issued is not None else "certificate.failed"
    queries.add_event(connection, author.actor, action, host.fqdn, author.source, detail, owner_id=host.owner_id)
    if issued is not None:
        entry = history.entry(host.id, host.owner_id, "issued", author, note=_with_note(names, order.note))
        history.add(connection, [entry])


def _deadline(connection: Connection) -> int:
    return stored.now(connection) + LEASE_SECONDS * SECOND


def _with_note(text: str, note: str) -> str:
    return f"{text} ({note})" if note else text


def _registry_error(error: AuthorityError) -> RegistryError:
    if isinstance(error, AuthorityBusy):
        return OverQuota(Code.AUTHORITY_OVER_QUOTA, 3600, cause=str(error))
    kind = NotIssued if isinstance(error, AuthorityRefused) else AuthorityDown
    return kind(cause=str(error))


def _check(times: list[int], limit: int, window: int, moment: int, code: Code, **parameters: str) -> None:
    """Raises OverQuota if there were as many orders in the window. `times` are those, oldest first."""
    if len(times) >= limit:
        seconds = -(-(times[-limit] + window - moment) // SECOND)
        raise OverQuota(code, seconds, limit=limit, minutes=-(-seconds // 60), **parameters)
