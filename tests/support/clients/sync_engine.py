# SPDX-License-Identifier: GPL-3.0-or-later
"""The sync engine on a server: our service over `/api`, or a stand-in of EGI's API."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from ddnsctl.sync.api import Server
from ddnsctl.sync.apply import apply_plan
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.connect import open_server
from ddnsctl.sync.model import Declaration, DomainSpec, HostSpec
from ddnsctl.sync.plan import Options, Plan, make
from ddnsctl.sync.policy import Limits
from support.clients.dyndns import new_label
from support.clients.transport import HttpTransport, Watched
from support.ports import wait_until
from support.servers.egi import Egi, egi
from support.servers.service import Service

NO_LIMITS = Limits(None, None)


@dataclass
class Target:
    """A server, who looks at it, and the secrets that it has given."""

    server: Server
    transport: Watched
    domain: str
    resolve: Callable[[str, str], list[str]]
    stack: str = ""
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def edits(self) -> bool:
        """Whether hosts are edited in place."""
        return "comment" in self.server.capabilities.edits

    def name(self) -> str:
        return f"{new_label()}.{self.domain}"

    def declare(self, *hosts: HostSpec, domains: tuple[DomainSpec, ...] = ()) -> Declaration:
        return Declaration(self.stack, None, {h.fqdn: h for h in hosts}, {d.name: d for d in domains})

    def plan(self, declaration: Declaration, **options: Any) -> Plan:
        """A plan; making it changes nothing."""
        before = self.transport.changing
        registered = self.server.registered()
        made = make(declaration, registered, self.server.capabilities, Options(**{"limits": NO_LIMITS, **options}))
        assert self.transport.changing == before
        return made

    def keep(self, change: Change, secret: str) -> None:
        self.secrets[change.name] = secret

    def run(self, declaration: Declaration, **options: Any) -> list[Action]:
        """Plan and apply; nothing fails, and a second plan is empty. The actions that there were."""
        made = self.plan(declaration, **options)
        outcome = apply_plan(made, self.server, self.keep)
        assert outcome.failed == ()
        rotated = options.pop("rotate", None)
        assert self.plan(declaration, **options).changes == (), rotated
        return [change.action for change in made.changes]

    def becomes(self, fqdn: str, *addresses: str, rtype: str = "A") -> None:
        wait_until(lambda: self.resolve(fqdn, rtype) == list(addresses), 10, f"{fqdn} {rtype} {addresses}")

    def works(self, fqdn: str, secret: str, address: str) -> bool:
        """Whether the host's updater gets in with this secret."""
        url = f"{self.transport.url}/nic/update"
        answer = requests.get(url, params={"myip": address}, auth=(fqdn, secret), timeout=15)
        return answer.text in (f"nochg {address}", f"good {address}")


@contextmanager
def standing_in() -> Iterator[tuple[Egi, Target]]:
    with egi(delay=0) as state:
        transport = Watched(HttpTransport(state.url, "token-of-alice"))

        def resolve(name: str, rtype: str) -> list[str]:
            row = state.hosts.get(name) or state.hosts.get(name.partition(".")[2])
            found = row if row and (row.fqdn == name or row.wildcard) else None
            address = found and (found.ipv4 if rtype == "A" else found.ipv6)
            return [address] if address else []

        yield state, Target(open_server(transport), transport, "vm.fedcloud.eu", resolve, "web")


def over_rest(service: Service) -> Target:
    transport = Watched(HttpTransport(service.url, service.admin_token))
    return Target(open_server(transport), transport, service.domain, service.dig, f"stack-{new_label()}")


def spec(fqdn: str, ipv4: Any = "192.0.2.1", **values: Any) -> HostSpec:
    """A host that is declared in full."""
    return HostSpec(fqdn, **{"ipv4": ipv4, "ipv6": None, "wildcard": False, "comment": None, **values})
