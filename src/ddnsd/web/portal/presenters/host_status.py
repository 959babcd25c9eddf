# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a host: a short label for lists, and a text for its owner: what it means and what to do."""

from typing import NamedTuple

from ddnsd.registry.rows import Host
from ddnsd.web.portal.i18n import N_


class HostStatus(NamedTuple):
    """A state. `kind` is the kind of its badge; `word` and `text` are translated where they are shown."""

    kind: str
    word: str
    text: str


BLOCKED = HostStatus(
    "bad",
    N_("blocked"),
    N_(
        "An administrator or a rule of the service has blocked this host for abuse. Its records are not in DNS, "
        "and updates get “abuse”. Contact the operator of the service. Removing the host does not help."
    ),
)
BLOCKED_BY_DOMAIN = HostStatus(
    "bad",
    N_("blocked"),
    N_(
        "The owner of the domain has blocked this host. Its records are not in DNS, and updates get “abuse”. Contact "
        "the owner of the domain."
    ),
)
QUARANTINED = HostStatus(
    "bad",
    N_("in quarantine"),
    N_(
        "An administrator has put this host in quarantine for abuse. Its names have an address of the operator, its "
        "other records are not in DNS, and updates get “abuse”. Contact the operator of the service."
    ),
)
FLAGGED = HostStatus(
    "bad",
    N_("flagged"),
    N_(
        "A client sent the same address too often, so updates get “abuse”. The records stay in DNS. Configure the"
        " client to send only changes, then remove the flag here."
    ),
)
OFF = HostStatus(
    "off",
    N_("disabled"),
    N_("An administrator has disabled this host: updates get “nohost”. Contact the operator of the service."),
)
OWNER_OFF = HostStatus(
    "off",
    N_("owner disabled"),
    N_("The host's owner is disabled: updates get “nohost”."),
)
OWNER_OFF_HIDDEN = HostStatus(
    "off",
    N_("owner disabled"),
    N_("The host's owner is disabled: its records are not in DNS, and updates get “nohost”."),
)
DOMAIN_OFF = HostStatus(
    "off",
    N_("domain disabled"),
    N_("The host's domain is disabled: updates get “nohost”. Contact the owner of the domain."),
)
CONFLICT = HostStatus(
    "bad",
    N_("name in use"),
    N_(
        "A foreign record in the zone has this name or hides it. Updates are stored and get “911”. Remove that "
        "record, and the host returns to DNS automatically. Or rename this host."
    ),
)
PENDING = HostStatus(
    "wait", N_("pending"), N_("DNS does not have the latest addresses yet. The service sends them again until it does.")
)
EMPTY = HostStatus("off", N_("no address"), N_("The host has no address yet: no client has sent one."))
CURRENT = HostStatus("good", N_("in DNS"), N_("DNS has these addresses."))


def status_of(host: Host, dns: str) -> HostStatus:
    """The most urgent state of the host; `dns` is the result of `DnsState.of`."""
    cases = (
        (host.withdrawn, OWNER_OFF_HIDDEN),
        (not host.owner_active, OWNER_OFF),
        (host.quarantined, QUARANTINED),
        (host.abuse_blocked and host.blocked_by_domain, BLOCKED_BY_DOMAIN),
        (host.abuse_blocked, BLOCKED),
        (host.abuse, FLAGGED),
        (not host.available, OFF),
        (not host.domain_available, DOMAIN_OFF),
        (dns == "conflict", CONFLICT),
        (dns == "pending", PENDING),
        (not (host.ipv4 or host.ipv6 or host.alias), EMPTY),
    )
    return next((found for holds, found in cases if holds), CURRENT)


STATES = {
    "current": N_("in DNS"),
    "pending": N_("pending"),
    "empty": N_("no address"),
    "blocked": N_("flagged or blocked"),
    "conflict": N_("name in use"),
    "off": N_("disabled"),
    "faults": N_("with client faults"),
}
"""The states by which lists are filtered, with their labels."""
