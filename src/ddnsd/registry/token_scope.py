# SPDX-License-Identifier: GPL-3.0-or-later
"""The scope of a token. A token cannot create another one with a larger scope."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ddnsd.db import queries
from ddnsd.db.rows import Token
from ddnsd.registry.errors import Code, Invalid, Reason

SCOPES = ("read", "write", "admin")
DAY = 86_400 * 1_000_000

PATTERN = re.compile(r"[A-Za-z0-9._*?-]{1,253}")
_NO_WILDCARD = re.compile(r"[^?\[]*")


def network(text: str) -> str:
    """A network in canonical form. Raises Invalid."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise Invalid(networks=Reason(Code.NETWORK_INVALID, network=text)) from None


@dataclass(frozen=True)
class TokenScope:
    """The scope of a token: rights, patterns of names, networks as text, and expiry in microseconds since the epoch.

    `stacks` are patterns of their names.

    An empty list of patterns or networks does not limit.
    """

    scopes: tuple[str, ...]
    domains: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    expires: int | None = None
    stacks: tuple[str, ...] = ()

    @classmethod
    def of(cls, token: Token) -> "TokenScope":
        """The scope of a stored token."""
        texts = (token.scopes, token.domains, token.hosts, token.networks, token.stacks)
        scopes, domains, hosts, networks, stacks = (tuple(text.split()) for text in texts)
        return cls(scopes, domains, hosts, networks, token.expires, stacks)

    def within(self, max_days: int) -> "TokenScope":
        """This scope with an end that the operator allows; `max_days` 0: any. Raises Invalid if it ends later."""
        if not max_days:
            return self
        latest = queries.now() + max_days * DAY
        if self.expires is not None and self.expires > latest:
            raise Invalid(expires=Reason(Code.EXPIRY_TOO_LATE, limit=max_days))
        return replace(self, expires=self.expires or latest)

    def narrowed(self, wanted: "TokenScope") -> "TokenScope":
        """`wanted`, with the limits of this scope where it has none. Raises Invalid if it exceeds this scope."""
        given = TokenScope(
            wanted.scopes,
            wanted.domains or self.domains,
            wanted.hosts or self.hosts,
            wanted.networks or self.networks,
            wanted.expires or self.expires,
            wanted.stacks or self.stacks,
        )
        if beyond := self._beyond(given):
            raise Invalid(**beyond)
        return given

    def covers(self, other: "TokenScope") -> bool:
        """Whether the other scope allows nothing that this one does not."""
        return not self._beyond(other)

    def _beyond(self, other: "TokenScope") -> dict[str, Reason]:
        own = {*self.scopes, "read", "write"} if "admin" in self.scopes else set(self.scopes)
        found = {}
        if not set(other.scopes) <= own:
            found["scopes"] = _exceeded(self.scopes)
        for name in ("domains", "hosts", "stacks"):
            if not _patterns_cover(getattr(self, name), getattr(other, name)):
                found[name] = _exceeded(getattr(self, name))
        if not _networks_cover(self.networks, other.networks):
            found["networks"] = _exceeded(self.networks)
        if self.expires is not None and (other.expires is None or other.expires > self.expires):
            found["expires"] = Reason(Code.SCOPE_ENDS_EARLIER)
        return found


def _exceeded(limits: Sequence[str]) -> Reason:
    return Reason(Code.SCOPE_EXCEEDED, limit=" ".join(limits))


def _patterns_cover(own: Sequence[str], other: Sequence[str]) -> bool:
    if not own:
        return True
    return bool(other) and all(any(_pattern_covers(mine, theirs) for mine in own) for theirs in other)


def _pattern_covers(own: str, other: str) -> bool:
    """Whether `own` matches all names that `other` matches. With wildcards other than `*` they must be equal."""
    simple = _NO_WILDCARD.fullmatch(own) and PATTERN.fullmatch(other)
    return own == other or bool(simple and fnmatchcase(other, own))


def _networks_cover(own: Sequence[str], other: Sequence[str]) -> bool:
    if not own:
        return True
    return bool(other) and all(any(_lies_in(theirs, mine) for mine in own) for theirs in other)


def _lies_in(inner: str, outer: str) -> bool:
    a, b = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    if isinstance(a, ipaddress.IPv4Network) and isinstance(b, ipaddress.IPv4Network):
        return a.subnet_of(b)
    if isinstance(a, ipaddress.IPv6Network) and isinstance(b, ipaddress.IPv6Network):
        return a.subnet_of(b)
    return False
