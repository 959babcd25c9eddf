# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's rules for hosts and their addresses."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from ddnsd.dns.records import combine
from ddnsd.registry.addresses import AddressUpdate, Network, denied, is_internal, reached
from ddnsd.registry.denylist import DenyList
from ddnsd.registry.errors import DeniedAddress, InvalidAddress
from ddnsd.registry.quotas import QuotaRules


@dataclass
class Policy:
    """The rules from the settings, and in `deny` the deny lists of administrators. A process has one, and shares it.

    `nochg_per_hour` None disables the rate rule. `reserved` holds full names that nobody may register, nor names above
    them. `catalog` is the catalog zone: it hides names at and below its own name in a zone around it.
    `quarantine` holds the IPv4 and the IPv6 address of hosts in quarantine.
    """

    denied: tuple[Network, ...] = ()
    private_addresses: bool = True
    loopback_peers: bool = False
    nochg_per_hour: int | None = None
    reserved: frozenset[str] = frozenset()
    catalog: str | None = None
    quarantine: tuple[str | None, str | None] = (None, None)
    quotas: QuotaRules = field(default_factory=lambda: QuotaRules({}, enabled=False))
    deny: DenyList = field(default_factory=DenyList)

    def use(self, other: "Policy") -> None:
        """Take over the other rules; the deny lists of administrators stay."""
        for one in fields(self):
            if one.name != "deny":
                setattr(self, one.name, getattr(other, one.name))

    def is_reserved(self, fqdn: str) -> bool:
        """Whether the full name is reserved, so that nobody may register it: also one above a reserved name."""
        if self.catalog is not None and f".{fqdn}".endswith(f".{self.catalog}"):
            return True
        return any(f".{name}".endswith(f".{fqdn}") for name in self.reserved)

    @property
    def denies_networks(self) -> bool:
        """Whether any address is denied."""
        return bool(self.denied) or self.deny.has_networks

    def is_denied(self, texts: Iterable[str]) -> bool:
        """Whether one of the addresses, or an IPv4 address within it, is denied."""
        if not self.denies_networks:
            return False
        addresses = list(reached(texts))
        return denied(addresses, self.denied) or self.deny.has_address(addresses)

    def denied_in(self, prefix: str | None, interface_ids: Iterable[str]) -> str | None:
        """The first denied address that these interface ids make in the IPv6 network `prefix`, or None."""
        if prefix is None or not self.denies_networks:
            return None
        return next((a for a in (combine(prefix, one) for one in interface_ids) if self.is_denied([a])), None)

    def check(self, update: AddressUpdate, *, domain_takes_private: bool) -> None:
        """Check addresses. Raises DeniedAddress, and InvalidAddress for addresses that this domain does not accept."""
        if self.is_denied(update.named):
            raise DeniedAddress
        if not (self.private_addresses and domain_takes_private) and any(map(is_internal, update.named)):
            raise InvalidAddress(",".join(update.named))
