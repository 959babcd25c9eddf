# SPDX-License-Identifier: GPL-3.0-or-later
"""Name servers, asked over TCP, where no rate limit holds answers back."""

import time
from collections.abc import Iterable

import dns.exception
import dns.message
import dns.query
import dns.rcode

from .client import Client
from .record import Host

TIMEOUT = 5.0
LAG_SECONDS = 30.0
POLL_SECONDS = 0.02


def address(server: str, name: str) -> str:
    """The IPv4 address that the server has for a name, "" for none; where it does not tell, what it says instead."""
    try:
        answer = dns.query.tcp(dns.message.make_query(name, "A"), server, timeout=TIMEOUT)
    except (OSError, dns.exception.DNSException) as error:
        return type(error).__name__
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return dns.rcode.to_text(answer.rcode())
    return ",".join(sorted(record.address for rrset in answer.answer for record in rrset))


def lost(server: str, hosts: Iterable[Host]) -> list[str]:
    """What the server does not hold though it was acknowledged, a line for each host."""
    lines = []
    for host in hosts:
        found = address(server, host.name)
        if found not in host.allowed():
            later = f" or later {', '.join(host.unanswered)}" if host.unanswered else ""
            lines.append(f"{server}: {host.name} is {found or 'absent'}, acknowledged {host.acknowledged}{later}")
    return lines


def lag(host: Host, client: Client, servers: list[str]) -> float | None:
    """Seconds from sending a change until every server answers it; nothing where one does not, or `good` is missing."""
    wanted, began = host.next_address(), time.monotonic()
    if not client.update(wanted):
        return None
    host.acknowledge(wanted)
    waiting = set(servers)
    while waiting and time.monotonic() - began < LAG_SECONDS:
        waiting -= {server for server in waiting if address(server, host.name) == wanted}
        if waiting:
            time.sleep(POLL_SECONDS)
    return None if waiting else round(time.monotonic() - began, 3)
