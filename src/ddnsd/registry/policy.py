# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's rules, as the registry needs them."""

from dataclasses import dataclass, field

from ddnsd.registry.addresses import AddressUpdate, Network, denied, is_internal
from ddnsd.registry.denylist import DenyList
from ddnsd.registry.errors import DeniedAddress, InvalidAddress


@dataclass(frozen=True)
class Policy:
    """`nochg_per_hour` None: no rate rule. `reserved` holds full names that nobody may register.

    `catalog` is the catalog zone, which hides whatever a zone around it has at its name and below.

    `deny` is what administrators deny beside the settings.
    """

    denied: tuple[Network, ...] = ()
    private_addresses: bool = True
    loopback_peers: bool = False
    nochg_per_hour: int | None = None
    reserved: frozenset[str] = frozenset()
    catalog: str | None = None
    deny: DenyList = field(default_factory=DenyList)

    def is_reserved(self, fqdn: str) -> bool:
        """Whether nobody may register the full name."""
        return fqdn in self.reserved or (self.catalog is not None and f".{fqdn}".endswith(f".{self.catalog}"))

    def check(self, update: AddressUpdate, *, domain_takes_private: bool) -> None:
        """Raises DeniedAddress, and InvalidAddress for addresses that this domain does not take."""
        if denied(update.addresses, self.denied) or self.deny.has_address(update.addresses):
            raise DeniedAddress
        if not (self.private_addresses and domain_takes_private) and any(map(is_internal, update.addresses)):
            raise InvalidAddress(",".join(update.addresses))
