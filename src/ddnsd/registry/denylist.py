# SPDX-License-Identifier: GPL-3.0-or-later
"""The deny lists in memory, for fast checks of requests also with thousands of networks."""

import re
from collections.abc import Iterable
from fnmatch import translate

from ddnsd.registry.addresses import Address, Network


class DenyList:
    """Networks that no host may point to, beginnings of user agents, and patterns of names.

    A pattern without a dot matches any label of a host's name within its domain. A pattern with dots matches the full
    name. `*` matches any characters. `use` may run in another thread than the checks.
    """

    def __init__(self) -> None:
        self.agents: tuple[str, ...] = ()
        """In lower case."""
        self._networks: dict[int, dict[int, frozenset[int]]] = {4: {}, 6: {}}
        self._labels: re.Pattern[str] | None = None
        self._names: re.Pattern[str] | None = None

    def use(self, networks: Iterable[Network], agents: Iterable[str], names: Iterable[str]) -> None:
        """Replace the lists."""
        by_length: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            by_length[network.version].setdefault(shift, set()).add(int(network.network_address) >> shift)
        self._networks = {v: {s: frozenset(found) for s, found in by.items()} for v, by in by_length.items()}
        patterns = sorted(set(names))
        self._labels = _any([p for p in patterns if "." not in p])
        self._names = _any([p for p in patterns if "." in p])
        self.agents = tuple(sorted({agent.lower() for agent in agents}))

    @property
    def has_networks(self) -> bool:
        """Whether any network is denied."""
        return any(self._networks.values())

    def has_address(self, addresses: Iterable[Address]) -> bool:
        """Whether one of the addresses is in a denied network."""
        networks = self._networks
        return any(int(a) >> shift in found for a in addresses for shift, found in networks[a.version].items())

    def has_name(self, fqdn: str, domain: str) -> bool:
        """Whether this full name is denied for hosts of the domain."""
        names, pattern = self._names, self._labels
        if names is not None and names.match(fqdn):
            return True
        return pattern is not None and any(pattern.match(label) for label in fqdn.removesuffix("." + domain).split("."))


def _any(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(pattern) for pattern in patterns)) if patterns else None
