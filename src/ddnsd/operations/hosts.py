# SPDX-License-Identifier: GPL-3.0-or-later
"""Administrators' changes of hosts and related names.

Commands change the database. The service notices pending rows within about a second.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from ddnsd.db import queries
from ddnsd.db.history import SERVICE
from ddnsd.db.rows import Host
from ddnsd.registry import related, related_labels, transfers
from ddnsd.registry.changes import write_now
from ddnsd.registry.errors import Code, NoHost
from ddnsd.registry.hosts import Hosts
from ddnsd.registry.policy import Policy
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.stored_denylist import StoredDenyList
from ddnsd.registry.validation import Change, Verb
from ddnsd.settings import Settings

if TYPE_CHECKING:
    pass
from ddnsd.operations.store_access import new_writer, opened

ACTOR = "ddnsd"


def _host(connection: Connection, fqdn: str) -> Host:
    host = queries.host(connection, fqdn)
    if host is None:
        raise NoHost(Code.HOST_MISSING, host=fqdn)
    return host


def block(connection: Connection, fqdn: str, reason: str | None = None) -> None:
    """Block a host; its owner reads the reason. Raises NoHost."""
    given = {"block_reason": reason} if reason is not None else {}
    set_host(connection, fqdn, {"abuse_blocked": True} | given)


def quarantine(connection: Connection, fqdn: str, reason: str | None, policy: Policy) -> None:
    """Block a host, and give its names the addresses of the policy. Raises NoHost, Invalid if there are none."""
    given = {"block_reason": reason} if reason is not None else {}
    set_host(connection, fqdn, {"quarantined": True} | given, policy)


def unblock(connection: Connection, fqdn: str) -> None:
    """Remove a block, a quarantine or a flag. Raises NoHost."""
    set_host(connection, fqdn, {"abuse_blocked": False})


def set_host(connection: Connection, fqdn: str, values: dict[str, Any], policy: Policy | None = None) -> None:
    """Change fields of a host. Raises NoHost, Invalid."""
    host = _host(connection, fqdn)
    write_now(connection, [Change(Verb.UPDATE, fqdn, values)], SERVICE, policy)
    queries.wish_again(connection, [host.id])


def machines(connection: Connection, fqdns: Sequence[str], owner: str) -> int:
    """Number of the hosts that a machine updates. Raises NoHost, Invalid if there is no such host or user."""
    transfers.check_owner(queries.user(connection, owner), owner)
    return transfers.machines(connection, [_host(connection, fqdn) for fqdn in fqdns])


def what_stops(count: int, fqdns: Sequence[str], owner: str, *, keep: bool) -> str:
    """The question to confirm before hosts are given to another user."""
    given = fqdns[0] if len(fqdns) == 1 else f"{len(fqdns)} hosts"
    if keep:
        what = "Secrets and keys of the former owner still work, and the former owner may know them."
    elif count == 0:
        what = "No machine has updated them so far, so none stops."
    else:
        stop = "1 machine stops" if count == 1 else f"{count} machines stop"
        what = f"{stop} updating, until {owner} creates a new secret and puts it on each."
    return f"Give {given} to {owner}? {what}"


def give_hosts(connection: Connection, fqdns: Sequence[str], owner: str, *, keep: bool) -> None:
    """Give hosts to another user, all or none. Raises NoHost, Invalid."""
    values = {"owner": owner, "secrets": transfers.KEEP if keep else transfers.REPLACE}
    hosts = [_host(connection, fqdn) for fqdn in fqdns]
    write_now(connection, [Change(Verb.UPDATE, host.fqdn, values) for host in hosts], SERVICE)


async def add_related(settings: Settings, fqdn: str, label: str, interface_id: str) -> None:
    """Add a related name, or change its interface id.

    Raises NoHost, NoDomain, Invalid, Taken, Blocked, NotPublished (the name server cannot be asked), StoreDown.
    """
    async with opened(settings.store_url) as store:
        host = await store.read(lambda c: _host(c, fqdn))
        new = related_labels.parse(host.fqdn, label, interface_id)
        policy, writer = settings.policy(), new_writer(store, settings)
        await StoredDenyList(store, policy.deny).refresh()
        try:
            await RelatedNames(store, writer, Hosts(store, writer, policy), policy).check(host, new)
        finally:
            await writer.stop()
        await store.transact(lambda c: related.keep(c, host, new, SERVICE, lambda _: None))


def remove_related(connection: Connection, fqdn: str, label: str) -> None:
    """Remove a related name. Raises NoHost, Blocked."""
    related.remove(connection, _host(connection, fqdn), label, SERVICE, lambda _: None)
