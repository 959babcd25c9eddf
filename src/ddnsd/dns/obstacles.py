# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign records that prevent a name from being ours, or from being answered from our zone.

NS below the apex delegates a name and all names below it; DNAME redirects all names below it. A name server accepts
updates there, but answers without them.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

import dns.rdatatype

from ddnsd.dns.conflicts import UNMANAGED, Kind, Obstacle
from ddnsd.dns.message import CNAME, DHCID, DNAME, NS, Update
from ddnsd.dns.rdata import EXAMPLES

OWN = {CNAME: Kind.ALIAS, NS: Kind.DELEGATED, DNAME: Kind.DNAME, DHCID: Kind.DHCP}
"""Types that may be at the name itself."""

ABOVE = {NS: Kind.DELEGATED, DNAME: Kind.REDIRECTED}
"""Types that may be at a name above it."""

BESIDE = tuple(
    int(dns.rdatatype.from_text(name))
    for name in (*EXAMPLES, "CERT", "DS", "HINFO", "HIP", "IPSECKEY", "KX", "PTR", "RP", "SPF", "URI")
)
"""Types that cannot be beside a CNAME record. A name server ignores an alias at a name that has one of them."""

Holds = Callable[[Update], Awaitable[bool]]
"""Whether the prerequisites of the message are met."""


def between(fqdn: str, zone: str) -> Sequence[str]:
    """The names above a name, below the apex of its zone, from the closest one."""
    labels = fqdn[: -len(zone) - 1].split(".")
    if len(labels) == 1:
        return ()  # as nearly all names
    return [".".join((*labels[n:], zone)) for n in range(1, len(labels))]


def require_path(update: Update, fqdn: str, zone: str) -> Update:
    """Prerequisite: no name above delegates or redirects the name."""
    update.require_absent(zone, DNAME)
    for parent in between(fqdn, zone):
        update.require_served(parent)
    return update


def beside(leaving: Collection[str] = ()) -> list[int]:
    """The types that must not be at the name of an alias, apart from those `leaving`."""
    return [rtype for rtype in BESIDE if dns.rdatatype.to_text(dns.rdatatype.RdataType(rtype)) not in leaving]


async def obstacle(
    zone: str, fqdn: str, holds: Holds, *, ours: bool, aliased: bool = False, others: Sequence[int] = ()
) -> Obstacle | None:
    """The obstacle at the name, or None. With `ours`, addresses and RRsets there are no obstacle.

    `aliased`: nor is a CNAME record. `others` are types that must not be there, because the name becomes an alias.
    """
    own = {rtype: kind for rtype, kind in OWN.items() if not (ours and aliased and rtype == CNAME)}
    whole = require_path(Update(zone), fqdn, zone)
    if await holds(whole.require_absent(fqdn, *own, *others) if ours else whole.require_unused(fqdn)):
        return None
    if not await holds(Update(zone).require_absent(zone, DNAME)):
        return Kind.REDIRECTED.at(zone)
    for parent in reversed(between(fqdn, zone)):
        for rtype, kind in ABOVE.items():
            if not await holds(Update(zone).require_absent(parent, rtype)):
                return kind.at(parent)
    for rtype, kind in own.items():
        if not await holds(Update(zone).require_absent(fqdn, rtype)):
            return kind.at(fqdn)
    if ours and others and not await holds(Update(zone).require_absent(fqdn, *others)):
        return Kind.BESIDE.at(fqdn)
    return None if ours else UNMANAGED
