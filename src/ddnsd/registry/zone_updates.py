# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply DNS UPDATE messages: addresses and other records of the caller's hosts.

    rules and quotas ─► one transaction: lock the hosts, check prerequisites, write ─► send to DNS

Messages of one moment share a transaction, unless they name the same host. The same message again gets the same answer,
and changes nothing: decided messages are remembered by their MAC.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from dns.rcode import Rcode
from sqlalchemy import Connection

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action, can
from ddnsd.db import accepted_updates, bulk_hosts, records
from ddnsd.db.accepted_updates import Accepted
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.history import Author
from ddnsd.db.host_updates import HostUpdate, write_host_updates
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Domain, Host, RRset, endings
from ddnsd.db.sqlite import SqliteStore
from ddnsd.dns.errors import HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.writer import Fault, Writer
from ddnsd.registry import records as host_records
from ddnsd.registry.addresses import columns, named_columns
from ddnsd.registry.domains import Domains, may_register
from ddnsd.registry.errors import Code, Invalid, NoHost, NotPublished, RegistryError, Stale, Unconfirmed
from ddnsd.registry.hosts import Edit, Edits, Hosts, NewHost, still
from ddnsd.registry.rates import Rates
from ddnsd.registry.records import RRsets
from ddnsd.registry.reverse import Origin
from ddnsd.registry.update_requests import MOST_NAMES
from ddnsd.registry.updates import Updates, host_update
from ddnsd.registry.validation import BLANK, Expect
from ddnsd.registry.zone_contents import (
    Condition,
    Content,
    HostPlan,
    Refused,
    ZoneUpdate,
    changes_alias,
    check_changeable,
    check_prerequisites,
    host_of,
    plans,
)

BATCH = 128
"""Maximum number of messages in a transaction."""

TRANSACTIONS = 3
"""Maximum number of transactions at a time on PostgreSQL: most of their time is the way there and back."""

TRIES = 4
"""How often an alias is changed again if somebody else changes it at the same time."""

log = structlog.get_logger()


@dataclass
class Signed:
    """A message to apply: its meaning, its MAC, and until when the MAC is remembered (microseconds).

    `client_ip` is None over UDP, where it may be forged.
    """

    update: ZoneUpdate
    caller: Caller
    author: Author
    mac: bytes
    expires: int
    client_ip: str | None = None
    origin: Origin = field(default_factory=Origin)
    """What may prove addresses of the hosts."""
    written: bool = False
    """Whether this call has written what the message changes."""

    def decided(self, rcode: Rcode) -> Accepted:
        """What is remembered of it."""
        return Accepted(self.mac, rcode, self.expires)


@dataclass
class _Waiting:
    """A message in the queue, with the hosts that it names, as they were read before."""

    message: Signed
    hosts: Sequence[Host]
    done: "asyncio.Future[_Decided]"


@dataclass
class _Decided:
    """What the transaction has decided."""

    rcode: Rcode
    plans: Sequence[HostPlan] = ()
    reason: str = ""
    again: bool = False
    removed: dict[int, list[str]] = field(default_factory=dict)


class ZoneUpdates:
    """Applies messages of authenticated callers."""

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        writer: Writer,
        updates: Updates,
        rrsets: RRsets,
        hosts: Hosts,
        edits: Edits,
        domains: Domains,
        rates: Rates,
    ) -> None:
        self._store, self._lookups, self._writer = store, lookups, writer
        self._updates, self._rrsets, self._hosts, self._edits = updates, rrsets, hosts, edits
        self._domains, self._rates = domains, rates
        self._queue: list[_Waiting] = []
        self._writing: dict[asyncio.Task[None], frozenset[int]] = {}  # with the ids of hosts
        self._most = 1 if isinstance(store, SqliteStore) else TRANSACTIONS
        self._due = False

    async def apply(self, message: Signed) -> tuple[Rcode, Sequence[Host]]:
        """The answer to the message, and the hosts that it names. NOERROR: durable and acknowledged by the name server.

        Raises StoreDown.
        """
        hosts: Sequence[Host] = ()
        try:
            zone = await self._zone(message)
            hosts, missing = await self._named(message, zone)
            if missing and any(change.name in missing for change in message.update.changes):
                return await self._register(message, zone, hosts, missing), hosts
            if any(changes_alias(host, message.update) for host in hosts):
                return await self._change_alias(message, hosts), hosts
            return await self._change(message, hosts), hosts
        except Refused as error:
            rcode, reason = error.rcode, str(error)
        except (NotAcknowledged, NotPublished) as error:
            rcode, reason = Rcode.SERVFAIL, str(error)
        except (RegistryError, NameConflict, HostGone) as error:
            rcode, reason = Rcode.REFUSED, str(error)
        log.info(
            "DNS update refused", zone=message.update.zone, rcode=rcode.name, key=message.caller.name, reason=reason
        )
        if not message.written and (known := await self._known(message)) is not None:
            return known, hosts  # it was decided before: what has changed since does not matter
        if rcode is Rcode.SERVFAIL:
            for host in hosts:
                self._writer.count_later(Fault(host.id, "server_faults"))
        else:
            await self._store.transact(lambda c: accepted_updates.put(c, message.decided(rcode)))
        return rcode, hosts

    async def _known(self, message: Signed) -> Rcode | None:
        """The answer to the same message before."""
        found = await self._store.read(lambda c: accepted_updates.rcodes(c, [message.mac]))
        return None if message.mac not in found else Rcode(found[message.mac])

    # ---- what it names

    async def _zone(self, message: Signed) -> Domain | None:
        """The domain; None for callers that need none. Raises Refused, StoreDown."""
        zone, caller = message.update.zone, message.caller
        if any(name != zone and not name.endswith("." + zone) for name in message.update.names):
            raise Refused(Rcode.NOTZONE)
        if caller.kind is not Kind.USER:
            mine = [host for host in caller.hosts if host.domain == zone]
            if mine and not mine[0].dns_updates:
                raise Refused(Rcode.REFUSED, f"{zone} takes no updates by DNS")
            if mine:
                return None
            domain = await self._domains.named(zone)
            raise Refused(Rcode.NOTAUTH if domain is None else Rcode.REFUSED)
        domain = await self._domains.named(zone)
        if domain is None or not can(caller, Action.LIST, domain):
            raise Refused(Rcode.NOTAUTH)
        if not domain.dns_updates:
            raise Refused(Rcode.REFUSED, f"{zone} takes no updates by DNS")
        return domain

    async def _named(self, message: Signed, zone: Domain | None) -> tuple[list[Host], set[str]]:
        """The hosts of the names in the message, and names of hosts that do not exist. Raises Refused, StoreDown."""
        names, caller = message.update.names, message.caller
        if len(names) > MOST_NAMES:
            raise Refused(Rcode.REFUSED, "too many names")
        if caller.kind is Kind.USER:
            assert zone is not None
            within = {ending for name in names for ending in endings(name) if ending.endswith("." + zone.name)}
            rows = await self._lookups.host.many(sorted(within))
            found = {host.fqdn: host for of_name in rows.values() for host in of_name}
        else:
            found = {host.fqdn: host for host in caller.hosts}
        hosts: dict[str, Host] = {}
        missing: set[str] = set()
        for name in names:
            fqdn = host_of(name, found)
            if fqdn is None and zone is not None and may_register(caller, zone, _of_host(name), None):
                missing.add(name)
                continue
            if fqdn is None or not _may(caller, found[fqdn]):
                raise Refused(Rcode.REFUSED, f"{name} belongs to no host of the key")
            host = found[fqdn]
            if host.domain != message.update.zone:
                raise Refused(Rcode.REFUSED, f"{name} is in another zone")
            hosts[fqdn] = host
        for host in hosts.values():
            check_changeable(host, message.update, aliases=caller.kind is Kind.USER)
        return list(hosts.values()), missing

    # ---- hosts that exist

    async def _change(self, message: Signed, hosts: Sequence[Host]) -> Rcode:
        contents = [Content(host, await self._rrsets.of(host) if host.has_rrsets else ()) for host in hosts]
        check_prerequisites(message.update, contents)
        counted = await self._check(message, plans(message.update, contents))
        message.origin = await self._updates.origin(hosts, message.caller, message.client_ip)
        decided = await self._decide(message, hosts)
        if decided.again:
            for host, changes, record_changes in counted:
                self._rates.give_back(host, changes=changes, record_changes=record_changes)
        message.written = not decided.again
        if decided.rcode is not Rcode.NOERROR:
            raise Refused(decided.rcode, decided.reason)
        await self._send(message, hosts, decided)
        return decided.rcode

    async def _check(self, message: Signed, intended: Iterable[HostPlan]) -> list[tuple[Host, int, int]]:
        """Check addresses, quotas and the zone before anything is written. Raises RegistryError, StoreDown.

        Returns hosts, with the counted changes of their addresses and records.
        """
        counted = []
        for plan in intended:
            host = plan.host
            changed = columns(host, plan.update, named_columns(host, plan.update))
            if plan.named:
                await self._updates.check(host, plan.update, changed, message.author)
            if changed:
                await self._updates.count_change(host, removes=not plan.update.addresses)
            for new in plan.put:
                await self._rates.take_record_change(host, refuse=True)
                await self._rrsets.try_new(host, new)
            if plan.removed:
                await self._rates.take_record_change(host, refuse=False)
            counted.append((host, int(bool(changed)), len(plan.put) + int(bool(plan.removed))))
        return counted

    async def _decide(self, message: Signed, hosts: Sequence[Host]) -> _Decided:
        waiting = _Waiting(message, hosts, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._start)  # messages of this turn of the loop share a transaction
        return await waiting.done

    async def _send(self, message: Signed, hosts: Sequence[Host], decided: _Decided) -> None:
        """Wait until DNS has the changes. Raises NotAcknowledged, NameConflict, HostGone, Taken, StoreDown."""
        changed = False
        for plan in decided.plans:
            changed |= bool(plan.put or plan.removed) or bool(
                columns(plan.host, plan.update, named_columns(plan.host, plan.update))
            )
            if names := decided.removed.get(plan.host.id):
                await self._writer.push_removals(plan.host.domain_id, names)
        due = hosts
        if not changed:  # else it costs no query to know that they must be sent
            current = await self._lookups.host.many([host.fqdn for host in hosts])
            due = [host for rows in current.values() for host in rows if not self._writer.is_published(host)]
        if due:
            await self._writer.push_host(due[0].domain_id, [host.id for host in due])
        for plan in decided.plans:
            if plan.put:
                places = {new.place for new in plan.put}
                made = await self._rrsets.of(plan.host)
                await self._rrsets.settle(plan.host, [one for one in made if one.place in places])
            if plan.named and not changed:
                named = named_columns(plan.host, plan.update)
                await self._updates.note_proof(plan.host, named, message.origin)
                await self._updates.count_unchanged(plan.host, plan.update)

    # ---- the transaction

    def _start(self) -> None:
        self._due = False
        while len(self._writing) < self._most and (batch := self._take()):
            task = asyncio.create_task(self._write(batch))
            self._writing[task] = frozenset(host.id for one in batch for host in one.hosts)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._writing[task]
        self._start()

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            decided = await self._store.transact(lambda c: _write(c, batch))
        except Exception as error:
            if not isinstance(error, StoreDown):
                log.exception("unexpected error", messages=len(batch))
            for one in batch:
                if not one.done.done():
                    one.done.set_exception(StoreDown(str(error)))
            return
        for one, outcome in zip(batch, decided, strict=True):
            if not one.done.done():
                one.done.set_result(outcome)

    def _take(self) -> list[_Waiting]:
        """The next messages, none of which names a host of another one, or of one that is being written."""
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        named = {host_id for ids in self._writing.values() for host_id in ids}
        macs: set[bytes] = set()
        for one in self._queue:
            ids = {host.id for host in one.hosts}
            if len(batch) < BATCH and ids.isdisjoint(named) and one.message.mac not in macs:
                batch.append(one)
                macs.add(one.message.mac)
            else:
                left.append(one)
            named |= ids  # the order of the messages of a host stays
        self._queue = left
        return batch

    # ---- aliases

    async def _change_alias(self, message: Signed, hosts: Sequence[Host]) -> Rcode:
        """Make a host an alias, or an alias a host with records. Raises Refused, RegistryError, StoreDown, DnsError."""
        caller = message.caller
        if caller.kind is not Kind.USER:
            raise Refused(Rcode.REFUSED, "only a token changes aliases")
        if len(hosts) > 1:
            raise Refused(Rcode.REFUSED, "a message that changes an alias names no other host")
        known = await self._known(message)
        if known is None:
            await self._edit(message, hosts[0])
        elif known is Rcode.NOERROR and not self._writer.is_published(hosts[0]):
            await self._writer.push_host(hosts[0].domain_id, [hosts[0].id])
        return known or Rcode.NOERROR

    async def _edit(self, message: Signed, host: Host) -> None:
        """Change the host as the message says. Raises Refused, RegistryError, StoreDown, DnsError."""
        caller = message.caller
        for _ in range(TRIES):
            content = Content(host, await self._rrsets.of(host) if host.has_rrsets else ())
            check_prerequisites(message.update, [content])
            (plan,) = plans(message.update, [content])
            edit = Edit(
                plan.values, caller.user, message.author.source, _unchanged(caller, host), author=message.author
            )
            try:
                if plan.values:
                    await self._edits.apply(host, edit)
                elif not self._writer.is_published(host):
                    await self._writer.push_host(host.domain_id, [host.id])
                return await self._remember(message)
            except Unconfirmed:
                await self._remember(message)
                raise
            except Stale:
                found = await self._lookups.host.many([host.fqdn])
                (host,) = found.get(host.fqdn) or (host,)
        raise Refused(Rcode.SERVFAIL, f"{host.fqdn} is changed by others all the time")

    async def _remember(self, message: Signed) -> None:
        message.written = True
        await self._store.transact(lambda c: accepted_updates.put(c, message.decided(Rcode.NOERROR)))

    # ---- new hosts

    async def _register(
        self, message: Signed, zone: Domain | None, hosts: Sequence[Host], missing: Collection[str]
    ) -> Rcode:
        """Register the new host of the message. Raises Refused, RegistryError, StoreDown."""
        assert zone is not None
        fqdns = {_of_host(name) for name in missing}
        if hosts or len(fqdns) > 1:
            raise Refused(Rcode.REFUSED, "a message that makes a new host names no other one")
        (fqdn,) = fqdns
        blank = Content(BLANK._replace(fqdn=fqdn, domain=zone.name, domain_id=zone.id))
        check_prerequisites(message.update, [blank])
        (plan,) = plans(message.update, [blank])
        if (known := await self._known(message)) is not None:
            return known
        caller = message.caller
        new = NewHost(
            fqdn,
            caller.user_id,
            caller.user,
            b"",
            plan.update,
            alias=plan.alias,
            records={f"{one.prefix or '@'} {one.rtype}": one for one in plan.put},
            client_ip=message.author.source,
            author=message.author,
        )
        try:
            if plan.update.addresses or plan.put or plan.alias:
                await self._hosts.register(zone, new)
        except Invalid as error:
            taken = any(reason.code is Code.NAME_UNAVAILABLE for reason in error.reasons)
            free = any(one.condition is Condition.NAME_FREE for one in message.update.prerequisites)
            raise Refused(Rcode.YXDOMAIN if taken and free else Rcode.REFUSED, str(error)) from None
        await self._remember(message)
        return Rcode.NOERROR


def _unchanged(caller: Caller, host: Host) -> Expect:
    """A check inside the transaction: the host is as it was, and the caller may still change it."""

    def expect(current: Host) -> None:
        if not can(caller, Action.EDIT, current):
            raise NoHost
        if current.version != host.version:
            raise Stale

    return expect


def _may(caller: Caller, host: Host) -> bool:
    return caller.kind is not Kind.USER or can(caller, Action.EDIT, host)


def _of_host(name: str) -> str:
    """The name without its underscore labels and those below them: a host that may have records at it."""
    labels = name.split(".")
    last = max((n for n, label in enumerate(labels) if label.startswith("_")), default=-1)
    return ".".join(labels[last + 1 :])


def _write(connection: Connection, batch: Sequence[_Waiting]) -> list[_Decided]:
    """Decide the messages, none of which names a host of another one, and write what they change."""
    fqdns = {host.fqdn for one in batch for host in one.hosts}
    bulk_hosts.lock_hosts(connection, fqdns)
    known = accepted_updates.rcodes(connection, [one.message.mac for one in batch])
    current = {host.id: host for host in bulk_hosts.hosts_named(connection, fqdns)}
    sets = records.of_hosts(connection, current.values())
    decided: list[_Decided] = []
    address_updates: list[HostUpdate] = []
    for one in batch:
        if (rcode := known.get(one.message.mac)) is not None:
            decided.append(_Decided(Rcode(rcode), reason="the same message again", again=True))
            continue
        try:
            outcome = _plan(one, current, sets)
            if any(plan.put or plan.removed for plan in outcome.plans):
                with connection.begin_nested():
                    _write_records(connection, one.message, outcome)
            address_updates += _address_updates(one.message, outcome.plans)
        except Refused as error:
            outcome = _Decided(error.rcode, reason=str(error))
        except RegistryError as error:
            outcome = _Decided(Rcode.REFUSED, reason=str(error))
        decided.append(outcome)
    write_host_updates(connection, address_updates, ())
    accepted_updates.add(
        connection,
        [
            one.message.decided(outcome.rcode)
            for one, outcome in zip(batch, decided, strict=True)
            if one.message.mac not in known
        ],
    )
    return decided


def _plan(one: _Waiting, current: dict[int, Host], sets: dict[int, list[RRset]]) -> _Decided:
    """What the message makes of its hosts as they are now. Raises Refused, Blocked, NoHost."""
    contents = []
    for host in one.hosts:
        now = current.get(host.id)
        if now is None or now.fqdn != host.fqdn:
            raise Refused(Rcode.REFUSED, f"{host.fqdn} is gone")
        check_changeable(now, one.message.update)
        contents.append(Content(now, sets.get(now.id, ())))
    check_prerequisites(one.message.update, contents)
    return _Decided(Rcode.NOERROR, plans(one.message.update, contents))


def _address_updates(message: Signed, found: Iterable[HostPlan]) -> Iterable[HostUpdate]:
    for plan in found:
        named = named_columns(plan.host, plan.update)
        if columns(plan.host, plan.update, named):
            yield host_update(plan.host, plan.update, named, False, message.author, message.origin)


def _write_records(connection: Connection, message: Signed, decided: _Decided) -> None:
    """Raises RegistryError."""
    for plan in decided.plans:
        for gone in plan.removed:
            name = host_records.remove(
                connection, plan.host, gone.prefix or "@", gone.rtype, message.author, still(plan.host)
            )
            decided.removed.setdefault(plan.host.id, []).append(name)
        for new in plan.put:
            host_records.keep(connection, plan.host, new, message.author, still(plan.host))
