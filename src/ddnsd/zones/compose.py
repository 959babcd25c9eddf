# SPDX-License-Identifier: GPL-3.0-or-later
"""What UPDATE messages say: hosts as they shall stand, and names and RRsets that leave."""

from collections.abc import Iterable

from ddnsd.store.rows import Removal
from ddnsd.zones.message import DHCID, Update
from ddnsd.zones.records import HostRecords, RecordSet, ttl, values_of


def publication(zone: str, hosts: Iterable[HostRecords], default_ttl: int) -> Update:
    """The hosts as they shall stand; what is not known to be ours must be free."""
    update = Update(zone)
    for host, names, sets in hosts:
        seconds = ttl(host, default_ttl)
        for fqdn, ipv4, ipv6 in names:
            if host.claimed:
                update.require_absent(fqdn, DHCID)  # DHCP owns a name by this record (RFC 4701)
            else:
                update.require_unused(fqdn)
            update.replace(fqdn, seconds, ipv4, ipv6)
        for one in sets:
            require_room(update, one)
            update.replace_set(one.fqdn, one.rtype, one.ttl or seconds, one.values)
    return update


def require_room(update: Update, one: RecordSet) -> Update:
    """Nothing must stand where the RRset shall but itself, once it is known to be ours."""
    return update.require_no_alias(one.fqdn) if one.claimed else update.require_free(one.fqdn, one.rtype)


def departure(zone: str, leaving: Iterable[Removal]) -> Update:
    """Names and RRsets leave the zone: all of them, or exactly the values of the removal."""
    update = Update(zone)
    for removal in leaving:
        if removal.rtype is not None:
            if removal.exact:
                assert removal.data is not None
                update.remove_values(removal.fqdn, removal.rtype, values_of(removal.data))
            else:
                update.replace_set(removal.fqdn, removal.rtype, 0, ())
            continue
        update.require_absent(removal.fqdn, DHCID)
        if removal.exact:
            update.remove(removal.fqdn, removal.ipv4, removal.ipv6)
        else:
            update.replace(removal.fqdn, 0, None, None)
    return update
