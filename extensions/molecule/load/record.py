# SPDX-License-Identifier: GPL-3.0-or-later
"""What each host has sent, and what of it was acknowledged: kept in a JSON file from one run to the next."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

SEQUENCE = 1 << 18
"""So many addresses of 10.0.0.0/8 has a host; the first is never used."""


@dataclass
class Host:
    """`number`: below 64, and no other host's; `unanswered`: what was sent since `acknowledged`, in order."""

    name: str
    number: int
    sent: int = 0
    acknowledged: str = ""
    unanswered: list[str] = field(default_factory=list)

    def next_address(self) -> str:
        """An address that was never used; it counts as sent and not yet answered. Raises ValueError after the last."""
        self.sent += 1
        if self.sent == SEQUENCE:
            raise ValueError(f"{self.name} has sent all its addresses")
        address = str(IPv4Address("10.0.0.0") + self.number * SEQUENCE + self.sent)
        self.unanswered.append(address)
        return address

    def acknowledge(self, address: str) -> None:
        """The service has answered that it holds the address, and so nothing that was sent before."""
        self.acknowledged = address
        self.unanswered = []

    def allowed(self) -> set[str]:
        """What DNS may hold: the acknowledged address, or a later one whose fate nobody knows. "" is none."""
        return {self.acknowledged, *self.unanswered}


def read(file: Path, names: Iterable[str] = ()) -> list[Host]:
    """The hosts of a record, then those of `names` that are not in it."""
    try:
        hosts = {name: Host(name, **values) for name, values in json.loads(file.read_text()).items()}
    except FileNotFoundError:
        hosts = {}
    for name in names:
        hosts.setdefault(name, Host(name, len(hosts)))
    return list(hosts.values())


def write(file: Path, hosts: Iterable[Host]) -> None:
    """Replace the record."""
    content = {host.name: {key: value for key, value in asdict(host).items() if key != "name"} for host in hosts}
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1))
    new.replace(file)
