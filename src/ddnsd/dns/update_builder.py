# SPDX-License-Identifier: GPL-3.0-or-later
"""Build UPDATE messages: hosts with their records, and removals of names and RRsets."""

from collections.abc import Callable, Iterable

import dns.rdatatype

from ddnsd.db.rows import Host, Removal
from ddnsd.dns.errors import Unsendable
from ddnsd.dns.message import DHCID, DNAME, NS, Signed, Update
from ddnsd.dns.obstacles import beside, between
from ddnsd.dns.records import HostRecords, RecordSet, ttl, values_of
from ddnsd.dns.tsig import TsigKey

LONGEST_MESSAGE = 65_535

PTR = "PTR"


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
    for item in hosts:
        host, seconds = item.host, ttl(item.host, default_ttl)
        for fqdn, ipv4, ipv6, alias in item.names:
            if not host.claimed:
                update.require_unused(fqdn)
            elif host.aliased:
                update.require_ours_or_alias(fqdn)
            else:
                update.require_ours(fqdn)
            checked.add(fqdn)
            _require_path(update, fqdn, zone, checked)
            if host.claimed and alias is not None:
                update.require_absent(fqdn, *beside(item.leaving))
                for rtype in item.leaving:
                    update.replace_set(fqdn, rtype, 0, ())
            if host.aliased and host.claimed:
                update.remove_alias(fqdn)
            update.replace(fqdn, seconds, ipv4, ipv6)
            if alias is not None:
                update.replace_set(fqdn, "CNAME", seconds, (alias,))
        for one in item.sets:
            if host.reverse_of is not None and one.claimed:
                update.require_values(one.fqdn, one.rtype, one.values)  # a PTR record of others is never replaced
            else:
                require_room(update, one, aliased=one.fqdn == host.fqdn and host.aliased)
            _require_path(update, one.fqdn, zone, checked)
            update.replace_set(one.fqdn, one.rtype, one.ttl or seconds, one.values)
    return update


def _require_path(update: Update, fqdn: str, zone: str, checked: set[str]) -> None:
    for parent in between(fqdn, zone):
        if parent in checked:
            return
        checked.add(parent)
        update.require_served(parent)


def require_room(update: Update, one: RecordSet, *, aliased: bool) -> Update:
    """Prerequisite: no such RRset, unless it is ours, and nothing that hides it.

    `aliased`: a CNAME record at the name is ours, and is removed.
    """
    if aliased:
        return update.require_absent(
            one.fqdn, NS, DNAME, *([] if one.claimed else [dns.rdatatype.from_text(one.rtype)])
        )
    return update.require_visible(one.fqdn) if one.claimed else update.require_free(one.fqdn, one.rtype)


def require_room_below(zone: str, host: Host, one: RecordSet) -> Update:
    """The same prerequisite; also, no name between the RRset and its host delegates or redirects."""
    update = require_room(Update(zone), one, aliased=one.fqdn == host.fqdn and host.aliased)
    for parent in between(one.fqdn, host.fqdn):
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
                if removal.rtype == PTR:  # DHCP may have written the same record
                    update.require_absent(removal.fqdn, DHCID)
                update.remove_values(removal.fqdn, removal.rtype, values_of(removal.data))
            else:
                update.replace_set(removal.fqdn, removal.rtype, 0, ())
            continue
        update.require_absent(removal.fqdn, NS, DHCID)
        _require_path(update, removal.fqdn, zone, checked)
        if removal.exact:
            update.remove(removal.fqdn, removal.ipv4, removal.ipv6)
            if removal.alias is not None:
                update.remove_values(removal.fqdn, "CNAME", (removal.alias,))
        else:
            update.replace(removal.fqdn, 0, None, None)
            if removal.alias is not None:
                update.remove_alias(removal.fqdn)
    return update
