# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a host: one word for lists, and what its owner should know and can do."""

from typing import NamedTuple

from ddnsd.registry.rows import Host
from ddnsd.web.portal.i18n import N_


class HostStatus(NamedTuple):
    """A state; `kind` is the kind of its badge, `word` and `text` are translated where they are shown."""

    kind: str
    word: str
    text: str


BLOCKED = HostStatus(
    "bad",
    N_("blocked"),
    N_(
        "An administrator, or a rule of the service, has blocked this host for abuse. Its records are not in DNS, and "
        "updates are answered “abuse”. Write to the operator of the service: removing the host does not help."
    ),
)
FLAGGED = HostStatus(
    "bad",
    N_("flagged"),
    N_(
        "A client sent the same address far too often, so updates are answered “abuse”. The records stay. Have the "
        "client send only changes, then lift the flag here."
    ),
)
OFF = HostStatus(
    "off",
    N_("switched off"),
    N_("An administrator has switched this host off: updates are answered “nohost”. Ask the operator of the service."),
)
OWNER_OFF = HostStatus(
    "off",
    N_("owner off"),
    N_("The host's owner is switched off: updates are answered “nohost”."),
)
OWNER_OFF_HIDDEN = HostStatus(
    "off",
    N_("owner off"),
    N_("The host's owner is switched off: its records are not in DNS, and updates are answered “nohost”."),
)
DOMAIN_OFF = HostStatus(
    "off",
    N_("domain off"),
    N_("The host's domain is switched off: updates are answered “nohost”. Ask the owner of the domain."),
)
CONFLICT = HostStatus(
    "bad",
    N_("name in use"),
    N_(
        "A record of somebody else has this name in the zone, or hides it. Updates are kept and answered “911”. Remove "
        "that record, and the host is back in DNS by itself; or give this host another name."
    ),
)
PENDING = HostStatus(
    "wait", N_("pending"), N_("DNS does not hold the latest addresses yet. We keep sending them until it does.")
)
EMPTY = HostStatus("off", N_("no address"), N_("No client has sent an address yet, and none was given."))
CURRENT = HostStatus("good", N_("in DNS"), N_("DNS answers with these addresses."))


def status_of(host: Host, dns: str) -> HostStatus:
    """The most urgent state of the host; `dns` is that of `DnsState.of`."""
    cases = (
        (host.withdrawn, OWNER_OFF_HIDDEN),
        (not host.owner_active, OWNER_OFF),
        (host.abuse_blocked, BLOCKED),
        (host.abuse, FLAGGED),
        (not host.available, OFF),
        (not host.domain_available, DOMAIN_OFF),
        (dns == "conflict", CONFLICT),
        (dns == "pending", PENDING),
        (not (host.ipv4 or host.ipv6), EMPTY),
    )
    return next((found for holds, found in cases if holds), CURRENT)


STATES = {
    "current": N_("in DNS"),
    "pending": N_("pending"),
    "empty": N_("no address"),
    "blocked": N_("flagged or blocked"),
    "conflict": N_("name in use"),
    "off": N_("switched off"),
    "faults": N_("with client faults"),
}
"""The states by which lists are filtered, with their labels."""
