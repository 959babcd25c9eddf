# SPDX-License-Identifier: GPL-3.0-or-later
"""Build UPDATE messages: hosts with their records, and removals of names and RRsets."""

from collections.abc import Callable, Iterable

from ddnsd.db.rows import Removal
from ddnsd.dns.errors import Unsendable
from ddnsd.dns.message import DHCID, DNAME, NS, Signed, Update
from ddnsd.dns.obstacles import between
from ddnsd.dns.records import HostRecords, RecordSet, ttl, values_of
from ddnsd.dns.tsig import TsigKey

LONGEST_MESSAGE = 65_535


def signed(compose: Callable[[], Update], key: TsigKey) -> Signed:
    """The signed message of `compose`. Raises Unsendable, also for a broken row, which must not stop other rows."""
    try:
        message = compose().to_wire(key)
    except Unsendable:
        raise
    except Exception as error:
        raise Unsendable(f"no message can contain it: {error!r}") from error
    if len(message.wire) > LONGEST_MESSAGE:
        raise Unsendable(f"it does not fit into a message of {LONGEST_MESSAGE} octets")
    return message


def host_update(zone: str, hosts: Iterable[HostRecords], default_ttl: int) -> Update:
    """Publish the hosts. Prerequisite: each name is free, or known to be ours.

    No name above may delegate or redirect: the name server would accept the records and never answer with them.
    """
    update = Update(zone).require_absent(zone, DNAME)
    checked: set[str] = set()
    for host, names, sets, _ in hosts:
        seconds = ttl(host, default_ttl)
        for fqdn, ipv4, ipv6 in names:
            if host.claimed:
                update.require_ours(fqdn)
            else:
                update.require_unused(fqdn)
            checked.add(fqdn)
            _require_path(update, fqdn, zone, checked)
            update.replace(fqdn, seconds, ipv4, ipv6)
        for one in sets:
            require_room(update, one)
            _require_path(update, one.fqdn, zone, checked)
            update.replace_set(one.fqdn, one.rtype, one.ttl or seconds, one.values)
    return update


def _require_path(update: Update, fqdn: str, zone: str, checked: set[str]) -> None:
    for parent in between(fqdn, zone):
        if parent in checked:
            return
        checked.add(parent)
        update.require_served(parent)


def require_room(update: Update, one: RecordSet) -> Update:
    """Prerequisite: no such RRset, unless it is ours, and nothing that hides it."""
    return update.require_visible(one.fqdn) if one.claimed else update.require_free(one.fqdn, one.rtype)


def require_room_below(zone: str, fqdn: str, one: RecordSet) -> Update:
    """The same prerequisite; also, no name between the RRset and its host `fqdn` delegates or redirects."""
    update = require_room(Update(zone), one)
    for parent in between(one.fqdn, fqdn):
        update.require_served(parent)
    return update


def probe(zone: str) -> Update:
    """Delete an RRset that cannot exist, because no host can have the name. The serial does not change.

    A name server that takes updates of the zone accepts it, unless a policy allows only other names.
    """
    return Update(zone).replace_set(f"_ddnsd-probe.{zone}", "A", 0, ())


def removal(zone: str, leaving: Iterable[Removal]) -> Update:
    """Remove names and RRsets from the zone, completely or exactly the values of the removal.

    Addresses beside and below an NS record stay: they belong to the name servers of the delegation.
    """
    update = Update(zone)
    checked: set[str] = set()
    for removal in leaving:
        if removal.rtype is not None:
            if removal.exact:
                assert removal.data is not None
                update.remove_values(removal.fqdn, removal.rtype, values_of(removal.data))
            else:
                update.replace_set(removal.fqdn, removal.rtype, 0, ())
            continue
        update.require_absent(removal.fqdn, NS, DHCID)
        _require_path(update, removal.fqdn, zone, checked)
        if removal.exact:
            update.remove(removal.fqdn, removal.ipv4, removal.ipv6)
        else:
            update.replace(removal.fqdn, 0, None, None)
    return update
