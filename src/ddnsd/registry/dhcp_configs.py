# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations of DHCP servers that update DNS with a key."""

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ddnsd.dns.endpoint import Endpoint
from ddnsd.registry import names

DNS_PORT = 53
ADDRESS = "192.0.2.53"
"""Stands for an address that the service does not know: it listens on all of its machine."""

KEA_MILLISECONDS = 3000
"""How long Kea waits for an answer; its default of 100 is less than a slow disk or name server takes."""


class DhcpTarget(NamedTuple):
    """What a DHCP server needs: the key, its secret in base64, its domains, and where the service answers."""

    key_name: str
    secret: str
    domains: Sequence[str]
    server: Endpoint

    @property
    def forward(self) -> list[str]:
        """The domains that are no reverse zones."""
        return [name for name in self.domains if not names.is_reverse(name)]

    @property
    def reverse(self) -> list[str]:
        """The reverse zones."""
        return [name for name in self.domains if names.is_reverse(name)]


def endpoint(listen: Sequence[str]) -> Endpoint:
    """Where DHCP servers reach the service, by the addresses with ports on which it listens for DNS messages."""
    first = Endpoint.from_text(listen[0]) if listen else Endpoint(ADDRESS, DNS_PORT)
    return Endpoint(ADDRESS, first.port) if first.host in ("0.0.0.0", "::") else first  # noqa: S104


def server_of(text: str, port: int) -> Endpoint:
    """The address that somebody wrote, with this port if they named none. Raises ValueError."""
    found = Endpoint.from_text(text, port)
    return Endpoint(str(ipaddress.ip_address(found.host)), found.port)


def kea(target: DhcpTarget) -> str:
    """`/etc/kea/kea-dhcp-ddns.conf`."""
    server = {"ip-address": target.server.host, "port": target.server.port}

    def zones(of: Sequence[str]) -> dict[str, object]:
        return {
            "ddns-domains": [{"name": f"{name}.", "key-name": target.key_name, "dns-servers": [server]} for name in of]
        }

    key = {"name": target.key_name, "algorithm": "HMAC-SHA256", "secret": target.secret}
    config = {
        "ip-address": "127.0.0.1",
        "port": 53001,
        "dns-server-timeout": KEA_MILLISECONDS,
        "tsig-keys": [key],
        "forward-ddns": zones(target.forward),
        "reverse-ddns": zones(target.reverse),
    }
    return json.dumps({"DhcpDdns": config}, indent=2) + "\n"


def dhcpd(target: DhcpTarget) -> str:
    """Lines of `/etc/dhcp/dhcpd.conf`. This server knows only port 53."""
    forward = target.forward[0] if target.forward else ""
    lines = [
        "ddns-update-style standard;",
        "ddns-updates on;",
        *([f'ddns-domainname "{forward}.";'] if forward else []),
        f"key {target.key_name} {{",
        "  algorithm hmac-sha256;",
        f'  secret "{target.secret}";',
        "};",
    ]
    for name in target.domains:
        lines += [f"zone {name}. {{", f"  primary {target.server.host};", f"  key {target.key_name};", "}"]
    return "\n".join(lines) + "\n"


def dnsmasq(target: DhcpTarget) -> str:
    """`/etc/ddns-update-lease.conf`, for the script that dnsmasq calls for each lease."""
    host = f"[{target.server.host}]" if ":" in target.server.host else target.server.host
    lines = [
        "[DEFAULT]",
        f"endpoint = {host}:{target.server.port}",
        f"key_name = {target.key_name}",
        f"secret = {target.secret}",
    ]
    for name in target.domains:
        lines += [f"[{name}]"]
    return "\n".join(lines) + "\n"


PROGRAMS: Mapping[str, Callable[[DhcpTarget], str]] = {"kea": kea, "dhcpd": dhcpd, "dnsmasq": dnsmasq}
"""The configurations by the name of the DHCP server."""
