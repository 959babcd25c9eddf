# SPDX-License-Identifier: GPL-3.0-or-later
"""Foreign records that prevent a name from being ours, or from being answered from our zone.

NS below the apex delegates a name and all names below it; DNAME redirects all names below it. A name server accepts
updates there, but answers without them.
"""

from collections.abc import Awaitable, Callable, Iterator

from ddnsd.dns.message import CNAME, DHCID, DNAME, NS, Update

UNMANAGED = "the name is in the zone and is not ours"

DELEGATED = "{0} is delegated to other name servers (NS record)"
REDIRECTED = "names below {0} are redirected (DNAME record)"

OWN = {
    CNAME: "{0} is an alias that is not ours (CNAME record)",
    NS: DELEGATED,
    DNAME: "{0} has a DNAME record that is not ours",
    DHCID: "the name belongs to DHCP (DHCID)",
}
"""Types that may be at the name itself."""

Holds = Callable[[Update], Awaitable[bool]]
"""Whether the prerequisites of the message are met."""


def between(fqdn: str, zone: str) -> Iterator[str]:
    """The names above a name, below the apex of its zone, from the closest one."""
    end = max(len(fqdn) - len(zone) - 1, 0)
    at = fqdn.find(".", 0, end)
    while at != -1:
        yield fqdn[at + 1 :]
        at = fqdn.find(".", at + 1, end)


def require_path(update: Update, fqdn: str, zone: str) -> Update:
    """Prerequisite: no name above delegates or redirects the name."""
    update.require_absent(zone, DNAME)
    for parent in between(fqdn, zone):
        update.require_served(parent)
    return update


async def obstacle(zone: str, fqdn: str, holds: Holds, *, ours: bool) -> str | None:
    """The obstacle at the name, or None. With `ours`, addresses and RRsets there are no obstacle."""
    whole = require_path(Update(zone), fqdn, zone)
    if await holds(whole.require_ours(fqdn) if ours else whole.require_unused(fqdn)):
        return None
    if not await holds(Update(zone).require_absent(zone, DNAME)):
        return REDIRECTED.format(zone)
    for parent in reversed(list(between(fqdn, zone))):
        for rtype, text in ((NS, DELEGATED), (DNAME, REDIRECTED)):
            if not await holds(Update(zone).require_absent(parent, rtype)):
                return text.format(parent)
    for rtype, text in OWN.items():
        if not await holds(Update(zone).require_absent(fqdn, rtype)):
            return text.format(fqdn)
    return None if ours else UNMANAGED
