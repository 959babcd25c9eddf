# SPDX-License-Identifier: GPL-3.0-or-later
"""What administrators deny, as requests are judged by it: in memory, and quick also with thousands of networks."""

import ipaddress
import re
from collections.abc import Iterable
from fnmatch import translate

from ddnsd.registry.addresses import Network


class DenyList:
    """Networks that no host may point to, beginnings of user agents, and patterns of names.

    A pattern without a dot stands for any label of a host's name within its domain, one with dots for the full name;
    `*` stands for any characters. `use` may be called in another thread than what asks.
    """

    def __init__(self) -> None:
        self.agents: tuple[str, ...] = ()
        """In lower case."""
        self._networks: dict[int, dict[int, frozenset[int]]] = {}
        self._labels: re.Pattern[str] | None = None
        self._names: re.Pattern[str] | None = None

    def use(self, networks: Iterable[Network], agents: Iterable[str], names: Iterable[str]) -> None:
        """Deny these from now on, and nothing else."""
        by_length: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            by_length[network.version].setdefault(shift, set()).add(int(network.network_address) >> shift)
        self._networks = {v: {s: frozenset(found) for s, found in by.items()} for v, by in by_length.items()}
        patterns = sorted(set(names))
        self._labels = _any([p for p in patterns if "." not in p])
        self._names = _any([p for p in patterns if "." in p])
        self.agents = tuple(sorted({agent.lower() for agent in agents}))

    def has_address(self, texts: Iterable[str]) -> bool:
        """Whether one of the addresses lies in a denied network."""
        networks = self._networks
        if not any(networks.values()):
            return False
        addresses = map(ipaddress.ip_address, texts)
        return any(int(a) >> shift in found for a in addresses for shift, found in networks[a.version].items())

    def has_name(self, fqdn: str, domain: str) -> bool:
        """Whether a host of the domain may not have this full name."""
        names, pattern = self._names, self._labels
        if names is not None and names.match(fqdn):
            return True
        return pattern is not None and any(pattern.match(label) for label in fqdn.removesuffix("." + domain).split("."))


def _any(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(pattern) for pattern in patterns)) if patterns else None
