# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a host in place: its fields, and its name.

A new name is claimed in the zone as at registration; the old one leaves. Secret, id and counters stay.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.db import bulk_hosts, host_edits, queries
from ddnsd.db import records as rrsets
from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.host_updates import HostUpdate, write_host_updates
from ddnsd.db.rows import Domain, Host, Related, RRset, endings
from ddnsd.dns.errors import DnsError, HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.records import owned_names, records
from ddnsd.dns.writer import Writer
from ddnsd.registry import history, host_columns, names, transfers
from ddnsd.registry.change_store import undo_rename
from ddnsd.registry.errors import Blocked, Held, Invalid, NoDomain, NoHost, NotPublished, Taken, Unconfirmed
from ddnsd.registry.hosts import Hosts, check_family
from ddnsd.registry.policy import Policy
from ddnsd.registry.validation import TAKEN, happened, moved


@dataclass(frozen=True)
class Edit:
    """What is to change.

    `values` are those that `fields.columns` takes, `rename` the new folded full name and the domain it lies in.
    `expect` is called with the host as it is just before the change, and may raise. `oversight`: an administrator,
    who also changes blocked hosts. `author` is named in the host's history, `actor` unless given. `keep_secrets`:
    where `values` name a new owner, everything that updates the host goes on to do so.
    """

    values: Mapping[str, Any]
    actor: str
    client_ip: str | None
    expect: Callable[[Host], None]
    rename: tuple[str, Domain] | None = None
    tls: bool = False
    oversight: bool = False
    author: Author | None = None
    keep_secrets: bool = False


@dataclass(frozen=True)
class _Done:
    """What was written: the rows before and after, and the names that are to leave zones, by domain id."""

    before: Host
    after: Host
    follow: bool
    left: Mapping[int, Collection[str]] = field(default_factory=dict)


class Edits:
    """Changes hosts; whether the caller may is decided before."""

    def __init__(self, store: Store, writer: Writer, policy: Policy, hosts: Hosts) -> None:
        self._store, self._writer, self._policy, self._hosts = store, writer, policy, hosts

    async def apply(self, host: Host, edit: Edit) -> Host:
        """Change the host; durable, and acknowledged by the name server, when this returns the row.

        Raises Invalid, Taken, Blocked, NoHost, NoDomain, NotPublished, StoreDown (nothing is changed), Unconfirmed (the
        change is kept, DNS follows), and what `edit.expect` raises.
        """
        host_columns.check_policy(self._policy, edit.values, domain_takes_private=_takes_private(host, edit))
        await self._check_names(host, edit)
        try:
            done = await self._store.transact(lambda c: write(c, host, edit))
        except IntegrityError:
            raise Taken(name=TAKEN) from None
        await self._push(done, edit)
        return done.after

    async def _check_names(self, host: Host, edit: Edit) -> None:
        """Names that the change would claim must own no record in the zone."""
        if edit.rename is not None:
            if not edit.rename[1].available:
                raise NoDomain
            await self._hosts.check_name(edit.rename[1], edit.rename[0])
        domain_id, claims = await self._store.read(lambda c: _claims(c, host, edit))
        if not claims:
            return
        try:
            obstacles = await self._writer.obstacles(domain_id, claims)
        except (DnsError, HostGone, NotAcknowledged) as error:
            raise NotPublished(str(error)) from None
        if obstacles:
            reason = next(iter(obstacles.values()))
            raise Taken(**{"name" if edit.rename else "wildcard": f"Not available: {reason}."})

    async def _push(self, done: _Done, edit: Edit) -> None:
        """Have DNS follow; somebody who waits for an unchanged row waits for what is still under way."""
        named = bool(host_columns.SHOWN_BY_DNS & edit.values.keys())
        needs_push = done.follow or (
            named and done.after.conflict is None and not self._writer.is_published(done.after)
        )
        waits = [self._writer.push_removals(domain_id, names) for domain_id, names in done.left.items()]
        if needs_push:
            waits.append(self._writer.push_host(done.after.domain_id, [done.after.id]))
        try:
            await asyncio.gather(*waits)
        except NameConflict as error:
            await self._conflict(done, error)
        except NotAcknowledged as error:
            raise Unconfirmed(str(error)) from None
        except HostGone:
            raise NoHost from None

    async def _conflict(self, done: _Done, error: NameConflict) -> None:
        """A foreign record has the name: a rename is undone, everything else is kept until that record has gone."""
        before, after = done.before, done.after
        if before.fqdn == after.fqdn:
            raise Held(str(error)) from None
        if await self._store.transact(lambda c: undo_rename(c, before, after)):
            await self._writer.push_host(before.domain_id, [before.id])
        raise Taken(name=f"Not available: {error}.") from None


def _takes_private(host: Host, edit: Edit) -> bool:
    return edit.rename[1].private_addresses if edit.rename else host.private_addresses


def _claims(connection: Connection, host: Host, edit: Edit) -> tuple[int, list[str]]:
    """(domain id, full names) that the host would stand at anew, but not those that are leaving as ours."""
    related = _related(connection, host)
    before = {n.fqdn for n in records(host, related)}
    fqdn, domain = edit.rename or (host.fqdn, None)
    after = host._replace(fqdn=fqdn, wildcard=edit.values.get("wildcard", host.wildcard))
    check_owned(connection, host, after)
    new = {n.fqdn for n in records(after, [moved(r, host.fqdn, fqdn) for r in related])} - before
    if edit.rename is not None:
        new |= {one.name(fqdn) for one in _rrsets(connection, host)}
    return domain.id if domain else host.domain_id, sorted(new - host_edits.names_in_removal(connection, sorted(new)))


def check_owned(connection: Connection, before: Host, after: Host) -> None:
    """Whether names can be so long as those that the change would give the host. Raises Invalid."""
    if after.fqdn == before.fqdn and (before.wildcard or not after.wildcard):
        return
    below = [moved(name, before.fqdn, after.fqdn) for name in _related(connection, before)]
    if problem := names.owned_problem(after.fqdn, owned_names(after, below, _rrsets(connection, before))):
        raise Invalid(**{"wildcard" if after.fqdn == before.fqdn else "name": problem})


def _related(connection: Connection, host: Host) -> list[Related]:
    return queries.related_of(connection, [host.id]).get(host.id, [])


def _rrsets(connection: Connection, host: Host) -> list[RRset]:
    return rrsets.of_hosts(connection, [host]).get(host.id, [])


def write(connection: Connection, host: Host, edit: Edit) -> _Done:
    """Change the host in the store; DNS follows later. Raises as `Edits.apply` does."""
    if edit.rename is not None:
        bulk_hosts.hold_domains(connection, endings(edit.rename[0]))
    if "owner_id" in edit.values:
        owner = host_edits.shared_user(connection, edit.values["owner_id"])
        transfers.check_owner(owner, owner.name if owner else "of that name")
    current = host_edits.locked_host(connection, host.fqdn)
    if current is None or current.id != host.id:
        raise NoHost
    edit.expect(current)
    if (current.abuse or current.abuse_blocked) and not edit.oversight:
        raise Blocked
    values = transfers.with_secret(host_columns.columns(current, edit.values, tls=edit.tls), keep=edit.keep_secrets)
    if edit.rename is not None:
        values |= _check_new_name(connection, current, *edit.rename)
    if not values:
        return _Done(current, current, follow=False)
    check_owned(connection, current, current._replace(**{n: values[n] for n in ("fqdn", "wildcard") if n in values}))
    follow = host_columns.is_shown(current, values)
    if follow:
        write_host_updates(connection, [HostUpdate(current.id, values, not current.claimed)], [])
    else:
        queries.set_host(connection, current.id, **values)
    if "secret_hash" in values:
        host_edits.leave_keys_of_others(connection, [current.id])
    left = _leave(connection, current, values)
    _audit(connection, current, values, edit)
    after = queries.host(connection, values.get("fqdn", current.fqdn))
    assert after is not None
    return _Done(current, after, follow, left)


def _check_new_name(connection: Connection, host: Host, fqdn: str, domain: Domain) -> dict[str, Any]:
    """The columns of the new name. Raises Invalid, Taken."""
    check_family(connection, domain, fqdn, host.owner_id)
    below = [moved(r, host.fqdn, fqdn).fqdn for r in _related(connection, host)]
    if any(queries.taken(connection, name) for name in (fqdn, *below)) or queries.is_domain(connection, below):
        raise Taken(name=TAKEN)
    claimed = queries.reclaim(connection, fqdn)
    name = fqdn.removesuffix("." + domain.name)
    return {"fqdn": fqdn, "name": name, "domain_id": domain.id, "claimed": claimed, "conflict": None}


def _leave(connection: Connection, host: Host, values: Mapping[str, Any]) -> Mapping[int, Collection[str]]:
    """Have the names leave at which the host is no longer; answers them by domain id."""
    names: set[str] = set()
    if "fqdn" in values:
        names_in_removal = records(host, _related(connection, host))
        if host.conflict is None or host.claimed:
            sets = _rrsets(connection, host)
            rrsets.leave(connection, host, sets)
            names |= {one.name(host.fqdn) for one in sets}
        rrsets.claim_at_new_names(connection, [host._replace(fqdn=values["fqdn"], domain_id=values["domain_id"])])
        host_edits.rename_related(connection, host.id, host.fqdn, values["fqdn"])
    elif host.wildcard and not values.get("wildcard", True):
        names_in_removal = [n for n in records(host) if n.fqdn != host.fqdn]
    else:
        if values.get("wildcard"):
            queries.reclaim(connection, f"*.{host.fqdn}")
        return {}
    if host.conflict is None or host.claimed:
        queries.add_removals(connection, names_in_removal, domain_id=host.domain_id, exact=not host.claimed)
        return {host.domain_id: names | {name.fqdn for name in names_in_removal}}
    return {}


def _audit(connection: Connection, host: Host, values: Mapping[str, Any], edit: Edit) -> None:
    for action, subject, detail in happened(host, values):
        queries.add_event(connection, edit.actor, action, subject, edit.client_ip, detail, owner_id=host.owner_id)
    author = edit.author or Author(edit.actor, edit.client_ip)
    history.edited(connection, host, values, author, transfers.note(values))
    if "owner_id" in values:
        owners = host_edits.user_names(connection, {host.owner_id, values["owner_id"]})
        if given := transfers.told(host, values, owners):
            queries.add_event(
                connection,
                edit.actor,
                given.action,
                given.subject,
                edit.client_ip,
                given.detail,
                owner_id=given.owner_id,
            )
