# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for a resolver: it answers as a test says, and counts what it is asked."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from dns.rcode import Rcode

from support.clients.updater import Machine


@dataclass
class Resolver:
    """Knows the addresses of names; a name without any is answered with NXDOMAIN, or as `otherwise` says."""

    port: int = 0
    known: dict[str, list[str]] = field(default_factory=dict)
    """By name; both families."""
    otherwise: Rcode | None = dns.rcode.NXDOMAIN
    """None: silence."""
    asked: list[str] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    """The questions for name servers of zones."""
    servers: dict[str, list[str]] = field(default_factory=dict)
    """The name servers of zones."""
    own: dict[str, list[str]] = field(default_factory=dict)
    """By name; what it says as the zone's own server, to questions without recursion."""

    def answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, rtype = question.name.to_text(omit_final_dot=True), question.rdtype.name
        (self.zones if rtype == "NS" else self.asked).append(f"{name} {rtype}")
        if rtype == "NS" and name in self.servers:
            answer = dns.message.make_response(query, recursion_available=True)
            targets = [f"{server}." for server in self.servers[name]]
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "NS", *targets))
            return answer.to_wire()
        if not query.flags & dns.flags.RD:
            return self._as_own_server(query, name, rtype)
        if name not in self.known:
            if self.otherwise is None:
                return None
            answer = dns.message.make_response(query, recursion_available=True)
            answer.set_rcode(self.otherwise)
            return answer.to_wire()
        answer = dns.message.make_response(query, recursion_available=True)
        if rtype == "NS":
            return answer.to_wire()
        answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"elsewhere.{name}."))
        for address in self.known[name]:
            if (":" in address) == (rtype == "AAAA"):
                answer.answer.append(dns.rrset.from_text(f"elsewhere.{name}.", 60, "IN", rtype, address))
        return answer.to_wire()

    def _as_own_server(self, query: dns.message.Message, name: str, rtype: str) -> bytes:
        answer = dns.message.make_response(query)
        if name not in self.own:
            answer.set_rcode(dns.rcode.REFUSED)
            return answer.to_wire()
        answer.flags |= dns.flags.AA
        for address in self.own[name]:
            if (":" in address) == (rtype == "AAAA"):
                answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", rtype, address))
        return answer.to_wire()


@contextmanager
def resolver(machine: Machine) -> Iterator[Resolver]:
    """What this machine asks, instead of nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        stand_in = Resolver(port=udp.getsockname()[1])
        ask(machine, stand_in.port)

        def serve() -> None:
            while (received := udp.recvfrom(4096))[0] != b"end":
                if said := stand_in.answer(received[0]):
                    udp.sendto(said, received[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield stand_in
        finally:
            udp.sendto(b"end", cast("tuple[str, int]", udp.getsockname()))
            thread.join()


def ask(machine: Machine, port: int) -> None:
    """Have the machine's updater ask the resolver at this port of loopback."""
    machine.updater.DNS_PORT = port
    (machine.folder / "resolv.conf").write_text("# by hand\nsearch example.org\nnameserver 127.0.0.1\n")
