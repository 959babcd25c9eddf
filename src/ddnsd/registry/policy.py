# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's rules, as the registry needs them."""

from dataclasses import dataclass

from ddnsd.registry.addresses import Network


@dataclass(frozen=True)
class Policy:
    """`nochg_per_hour` None: no rate rule. `reserved` holds full names that nobody may register."""

    denied: tuple[Network, ...] = ()
    private_addresses: bool = True
    loopback_peers: bool = False
    nochg_per_hour: int | None = None
    reserved: frozenset[str] = frozenset()
