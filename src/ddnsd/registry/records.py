# SPDX-License-Identifier: GPL-3.0-or-later
"""RRsets of a host in addition to its addresses: at its name, or at names of underscore labels (RFC 8552) below it."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from ddnsd.db import history, host_edits, queries, records
from ddnsd.db.base import Store
from ddnsd.db.history import SERVICE, Author
from ddnsd.db.host_updates import HostUpdate, write_host_update
from ddnsd.db.rows import Host, RRset, name_below
from ddnsd.dns import conflicts, rdata
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.errors import DnsError, HostGone
from ddnsd.dns.writer import Writer
from ddnsd.registry import record_sets
from ddnsd.registry.errors import Code, Invalid, NoDomain, NoHost, NotPublished, Reason, Taken
from ddnsd.registry.hosts import confirmed, locked
from ddnsd.registry.rates import Rates
from ddnsd.registry.record_sets import NewRRset, Place, ValueChange
from ddnsd.registry.validation import Expect

TRIES = 4
"""How often the zone is asked, because a record there may be one that we are adding or removing at the moment."""


class RRsets:
    """Reads and changes RRsets. The caller checks permissions; `expect` checks them again just before a change."""

    def __init__(self, store: Store, writer: Writer, rates: Rates) -> None:
        self._store, self._writer, self._rates = store, writer, rates

    async def of(self, host: Host) -> list[RRset]:
        """The host's RRsets, sorted by name and type. Raises StoreDown."""
        return await self._store.read(lambda c: _of(c, host))

    async def put(
        self,
        host: Host,
        name: str,
        rtype: str,
        values: Sequence[str],
        ttl: int | None,
        author: Author,
        expect: Expect,
        *,
        unlimited: bool = False,
    ) -> RRset:
        """Set the RRset to these values in presentation format. Returns after the name server has acknowledged it.

        `name` is @, or labels below the host of which the last one begins with an underscore; `ttl` is in seconds.
        `unlimited`: also if the records of the host changed too often, for administrators.
        Raises Invalid (fields name, type, values, ttl), Taken, Blocked, NoHost, NoDomain, OverQuota, NotPublished,
        StoreDown (nothing is changed), Unconfirmed (kept, and sent to DNS later).
        """
        new = record_sets.parse(host.fqdn, name, rtype, values, ttl)
        if host.alias is not None:
            raise Invalid(name=Reason(Code.ALIAS_ALONE))
        if not any(new.equals(present) for present in await self.of(host)):
            await self._rates.take_record_change(host, refuse=not unlimited)
            await self.try_new(host, new)
        current, changed = await self._store.transact(lambda c: keep(c, host, new, author, expect))
        made = await self._published(current, new.place, changed)
        if made is None:
            raise NoHost  # removed meanwhile
        return made

    async def change_values(
        self, host: Host, change: ValueChange, author: Author, expect: Expect, *, unlimited: bool = False
    ) -> RRset | None:
        """Add values to an RRset and remove others; None if none is left. Concurrent changes of other values are kept.

        Raises the same as `put`, with the fields name, type, add, remove.
        """
        try:
            return await self._change(host, change, author, expect, unlimited=unlimited)
        except Invalid as error:
            fields = {"add" if field == "values" else field: reason for field, reason in error.fields.items()}
            raise type(error)(**fields) from None

    async def _change(
        self, host: Host, change: ValueChange, author: Author, expect: Expect, *, unlimited: bool
    ) -> RRset | None:
        if host.alias is not None:
            raise Invalid(name=Reason(Code.ALIAS_ALONE))
        before = _at(await self.of(host), change.place)
        new = change.applied(before)
        if new is not None and (before is None or not new.equals(before)):
            await self._rates.take_record_change(host, refuse=not unlimited)
            await self.try_new(host, new)
        elif new is None and before is not None:
            await self._rates.take_record_change(host, refuse=False)
        current, changed, gone = await self._store.transact(lambda c: _change_values(c, host, change, author, expect))
        if gone is not None:
            await confirmed(self._writer.push_removals(host.domain_id, [gone]))
        return await self._published(current, change.place, changed)

    async def _published(self, host: Host, place: Place, changed: bool) -> RRset | None:
        """The RRset, after the name server has acknowledged it; None if there is none. Raises as `put`."""
        if changed or not self._writer.is_published(host):
            await confirmed(self._writer.push_host(host.domain_id, [host.id]))
        made = _at(await self.of(host), place)
        if made is not None:
            await self.settle(host, [made])
        return made

    async def settle(self, host: Host, made: Iterable[RRset]) -> None:
        """Delete new RRsets again if a foreign record has their place. Raises Taken, StoreDown."""
        for one in made:
            if one.conflict is not None:
                await self._store.transact(lambda c, one=one: _take_back(c, host, one))  # type: ignore[misc]
                raise Taken(values=Reason(Code.NAME_UNAVAILABLE, obstacle=Obstacle.from_stored(one.conflict)))

    async def try_new(self, host: Host, new: NewRRset) -> None:
        """Check that the zone takes the RRset. Raises Invalid, Taken, NotPublished, StoreDown."""
        fqdn = name_below(new.prefix, host.fqdn)
        for _ in range(TRIES):
            ours = await self._store.read(lambda c: _is_ours(c, host, new))
            try:
                obstacle = await self._writer.obstacle_of(host.domain_id, fqdn, new.rtype, new.values, new=not ours)
            except rdata.BadValue as error:
                raise Invalid(values=Reason(Code.VALUES_REFUSED, rcode=str(error))) from None
            except (DnsError, HostGone) as error:
                raise NotPublished(str(error)) from None
            if obstacle is None:
                return
        assert obstacle is not None
        raise Taken(values=Reason(Code.NAME_UNAVAILABLE, obstacle=obstacle))

    async def remove(self, host: Host, name: str, rtype: str, author: Author, expect: Expect) -> None:
        """Remove the RRset. Raises NoHost if there is none, Blocked, StoreDown, Unconfirmed."""
        fqdn = await self._store.transact(lambda c: remove(c, host, name, rtype, author, expect))
        await self._rates.take_record_change(host, refuse=False)
        await confirmed(self._writer.push_removals(host.domain_id, [fqdn]))


def _is_ours(connection: Connection, host: Host, new: NewRRset) -> bool:
    """Whether we have an RRset of this name and type, or are removing one from the zone."""
    mine = any(
        new.place == present.place and (present.conflict is None or present.claimed)
        for present in _of(connection, host)
    )
    return mine or records.is_being_removed(connection, name_below(new.prefix, host.fqdn), new.rtype)


def keep(connection: Connection, host: Host, new: NewRRset, author: Author, expect: Expect) -> tuple[Host, bool]:
    """Write the RRset. Returns the host, and whether it changed. Raises Invalid, Taken, Blocked, NoHost, NoDomain."""
    current = locked(connection, host, expect)
    present = _of(connection, current)
    before = _at(present, new.place)
    if before is not None and new.equals(before):
        return current, False
    if current.alias is not None:
        raise Invalid(name=Reason(Code.ALIAS_ALONE))
    if current.conflict is not None:
        raise Taken(values=Reason(Code.NAME_UNAVAILABLE, obstacle=Obstacle.from_stored(current.conflict)))
    if not current.domain_available:
        raise NoDomain
    try:
        record_sets.check_room([new], [one for one in present if one is not before])
    except Invalid as error:
        (reason,) = error.reasons
        raise Invalid(**{"type" if reason.code is Code.RECORDS_TOO_MANY else "values": reason}) from None
    records.put(connection, current, before, new.place, new.ttl, new.data)
    # not `wish_again`: the row must show that a message with this RRset may be under way
    host_update = HostUpdate(current.id, {"has_rrsets": True}, unclaimed=not current.claimed)
    write_host_update(connection, host_update)
    _tell(
        connection,
        current,
        author,
        new,
        before and record_sets.shown(before.ttl, before.data),
        record_sets.shown(new.ttl, new.data),
    )
    return current, True


def _change_values(
    connection: Connection, host: Host, change: ValueChange, author: Author, expect: Expect
) -> tuple[Host, bool, str | None]:
    """Returns the host, whether it must be published, and the full name of an RRset that is gone. Raises as `keep`."""
    current = locked(connection, host, expect)
    before = _at(_of(connection, current), change.place)
    new = change.applied(before)
    if new is not None:
        return *keep(connection, host, new, author, expect), None
    if before is None:
        return current, False, None
    return current, False, remove(connection, host, before.prefix or record_sets.APEX, before.rtype, author, expect)


def _at(sets: Iterable[RRset], place: Place) -> RRset | None:
    """The one of this prefix and type."""
    return next((one for one in sets if one.place == place), None)


def remove(connection: Connection, host: Host, name: str, rtype: str, author: Author, expect: Expect) -> str:
    """Delete the RRset, also from the zone. Returns its full name. Raises NoHost, Blocked."""
    current = locked(connection, host, expect)
    place = record_sets.place_of(name, rtype)
    found = _at(_of(connection, current), place)
    if found is None:
        raise NoHost
    records.remove(connection, found)
    if current.conflict is None or current.claimed:
        records.leave(connection, current, [found])
    _tell(connection, current, author, found, record_sets.shown(found.ttl, found.data), None)
    return found.name(current.fqdn)


def _take_back(connection: Connection, host: Host, refused: RRset) -> None:
    """Delete an RRset again, because the zone got a foreign one in its place meanwhile."""
    current = host_edits.locked_host(connection, host.fqdn)
    if current is not None and refused in _of(connection, current):
        records.remove(connection, refused)
        note = conflicts.sentence(refused.conflict)
        _tell(connection, host, SERVICE, refused, record_sets.shown(refused.ttl, refused.data), None, note)


def _of(connection: Connection, host: Host) -> list[RRset]:
    return records.of_host(connection, host.id)


def _tell(
    connection: Connection,
    host: Host,
    author: Author,
    place: NewRRset | RRset,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    note: str | None = None,
) -> None:
    what = record_sets.key_of(place.place)
    detail = f"{what}: {', '.join(after['values']) if after else 'removed'}"
    queries.add_event(
        connection, author.actor, "host.records", host.fqdn, author.source, detail, owner_id=host.owner_id
    )
    was, now = {"records": {what: before}}, {"records": {what: after}}
    history.add(connection, [history.entry(host.id, host.owner_id, "edit", author, was, now, note)])
