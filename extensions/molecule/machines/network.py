# SPDX-License-Identifier: GPL-3.0-or-later
"""The test network of a scenario: a bridge in a namespace of its own, to which the host and the machines are wired.

All names and addresses follow from one number, which no other scenario on the host has at the time.
The gateway of the machines answers that there is no route to anywhere: they have no way out.
Besides it there are wires: bridges on which machines find each other alone, and whose addresses are theirs to choose.
"""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .host import run

NAMESPACES = Path("/run/netns")
NUMBERS = range(1, 251)
HOST, FIRST_MACHINE, GATEWAY = 1, 11, 254
"""Places on a network."""
FORWARD = "echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"


@dataclass(frozen=True)
class Network:
    """The network with this number."""

    number: int

    @property
    def name(self) -> str:
        """Of the bridge's namespace, and of the host's interface."""
        return f"ddns{self.number}"

    @property
    def ipv4(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.89.{self.number}.0/24")

    @property
    def ipv6(self) -> ipaddress.IPv6Network:
        return ipaddress.IPv6Network(f"fd5e:a89:64d1:{self.number:x}::/64")

    def namespace(self, host: str) -> str:
        """The name of a machine's namespace."""
        return f"{self.name}-{host}"

    def addresses(self, place: int) -> tuple[str, str]:
        """IPv4 and IPv6 address of a place on the network."""
        return str(self.ipv4[place]), str(self.ipv6[int(str(place), 16)])

    def make(self) -> None:
        """The bridge, and the host's interface on it."""
        run("ip", "netns", "add", self.name)
        self._ip("link", "set", "lo", "up")
        self._ip("link", "add", "bridge", "type", "bridge", "forward_delay", "0")
        self._address(["-n", self.name], "bridge", GATEWAY)
        self._forward(self.name)
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "host", "netns", self.name)
        self._ip("link", "set", "host", "master", "bridge", "up")
        self._address([], self.name, HOST)

    def join(self, host: str, place: int) -> None:
        """The namespace of a machine, with an interface eth0 on the bridge."""
        namespace, port = self.namespace(host), f"port{place}"
        run("ip", "netns", "add", namespace)
        self._ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        self._ip("link", "set", port, "master", "bridge", "up")
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._address(["-n", namespace], "eth0", place)
        for gateway in self.addresses(GATEWAY):
            run("ip", "-n", namespace, "route", "add", "default", "via", gateway)

    def lay(self, wire: str) -> None:
        """A bridge for machines alone."""
        self._ip("link", "add", wire, "type", "bridge", "forward_delay", "0")
        self._ip("link", "set", wire, "addrgenmode", "none", "up")

    def plug(self, wires: Sequence[str], host: str, place: int) -> None:
        """An interface of a machine on each wire, with its name and without addresses; between several, it forwards."""
        namespace = self.namespace(host)
        for wire in wires:
            port = f"{wire}{place}"
            self._ip("link", "add", port, "type", "veth", "peer", "name", wire, "netns", namespace)
            self._ip("link", "set", port, "master", wire, "up")
            run("ip", "-n", namespace, "link", "set", wire, "up")
        if len(wires) > 1:
            self._forward(namespace)

    def remove(self) -> None:
        """Whatever exists of the network."""
        if Path("/sys/class/net", self.name).exists():
            run("ip", "link", "delete", self.name)
        for namespace in [*sorted(NAMESPACES.glob(f"{self.name}-*")), NAMESPACES / self.name]:
            if namespace.exists():
                run("ip", "netns", "delete", namespace.name)

    def free(self) -> bool:
        """Whether nothing on the host has the network's name or an address in its ranges."""
        if (NAMESPACES / self.name).exists() or Path("/sys/class/net", self.name).exists():
            return False
        found = json.loads(run("ip", "-json", "address")) + json.loads(run("ip", "-json", "route"))
        return not any(self._overlaps(text) for text in _networks(found))

    def _overlaps(self, text: str) -> bool:
        other = ipaddress.ip_network(text, strict=False)
        return other.overlaps(self.ipv4) if isinstance(other, ipaddress.IPv4Network) else other.overlaps(self.ipv6)

    def _forward(self, namespace: str) -> None:
        run("ip", "netns", "exec", namespace, "sh", "-c", FORWARD)

    def _ip(self, *words: str) -> None:
        run("ip", "-n", self.name, *words)

    def _address(self, where: list[str], interface: str, place: int) -> None:
        ipv4, ipv6 = self.addresses(place)
        run("ip", *where, "address", "add", f"{ipv4}/{self.ipv4.prefixlen}", "dev", interface)
        run("ip", *where, "address", "add", f"{ipv6}/{self.ipv6.prefixlen}", "dev", interface, "nodad")
        run("ip", *where, "link", "set", interface, "up")


def _networks(found: list[dict[str, object]]) -> list[str]:
    """Networks that interfaces and routes of `ip -json` name, without default routes."""
    networks = []
    for entry in found:
        addresses = entry.get("addr_info", [])
        assert isinstance(addresses, list)
        networks += [f"{address['local']}/{address['prefixlen']}" for address in addresses if "local" in address]
        if entry.get("dst", "default") != "default":
            networks.append(str(entry["dst"]))
    return networks
