# SPDX-License-Identifier: GPL-3.0-or-later
"""The address of the client: that of the socket, or the one that a trusted proxy sends in `X-Forwarded-For`.

The right-most hop that is not a trusted proxy counts. Forms of a hop: 192.0.2.1 · 192.0.2.1:4711 · 2001:db8::1 ·
[2001:db8::1] · [2001:db8::1]:4711, each also in double quotes. If that hop cannot be parsed, the address is unknown.
The proxy's own address is never used: it would be published for every client.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ddnsd.web.connection_limits import Network, plain_address

UNIX = "unix"
"""The peer of a Unix socket, which has no address."""

HOPS = 32
"""Maximum number of hops that are read, from the right."""

_PORT = r"(?::[0-9]{1,5})?"
_IPV4 = re.compile(r"([0-9.]+)" + _PORT)
_IPV6 = re.compile(r"\[([^\[\]]+)\]" + _PORT)


class Fault(NamedTuple):
    """Why a client's address is unknown: `front` is the peer that connected, `hop` the text that it sent, if any."""

    front: str
    hop: str | None


Origin = tuple[str | None, bool, Fault | None]
"""(the client's address as text, None if unknown; whether the request came over TLS; why the address is unknown)."""


class Origins:
    """Finds the origin of requests. `unix_proxy`: peers of the Unix socket are trusted proxies.

    `unreadable` is called for each hop that cannot be parsed.
    """

    def __init__(
        self,
        proxies: Sequence[Network] = (),
        *,
        unix_proxy: bool = False,
        unreadable: Callable[[Fault], None] | None = None,
    ) -> None:
        self._unreadable = unreadable
        self.use(proxies, unix_proxy=unix_proxy)

    def use(self, proxies: Sequence[Network], *, unix_proxy: bool) -> None:
        """Trust these proxies from now on."""
        self._proxies, self._unix_proxy = tuple(proxies), unix_proxy

    def of(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Origin:
        """The origin of a request. `headers` must have several X-Forwarded-For headers joined to one value."""
        client = scope.get("client")
        peer, tls = client[0] if client else None, scope.get("scheme") == "https"
        fault = None
        if peer and self._trusted(peer):
            tls = headers.get(b"x-forwarded-proto", b"").strip().lower() == b"https" or tls
            if header := headers.get(b"x-forwarded-for", b"").strip():
                peer, fault = self._forwarded(header.decode("latin-1"), peer)
        if peer == UNIX:
            return None, tls, Fault(UNIX, None)
        # a zone id has a meaning only on its own machine
        return peer.partition("%")[0] if peer else None, tls, fault

    def _trusted(self, text: str) -> bool:
        if text == UNIX or not self._proxies:
            return text == UNIX and self._unix_proxy
        address = plain_address(text)
        return any(address in network for network in self._proxies)

    def _forwarded(self, header: str, front: str) -> tuple[str | None, Fault | None]:
        """The client's address; if all hops are trusted proxies, the left-most one."""
        hops = [part.strip() for part in header.rsplit(",", HOPS)]
        peer, hop = None, header  # the left-most part has all hops beyond HOPS, so it cannot be parsed
        for hop in reversed([hop for hop in hops if hop]):
            peer = hop_address(hop)
            if peer is None or not self._trusted(peer):
                break
        if peer is not None:
            return peer, None
        fault = Fault(front, hop)
        if self._unreadable is not None:
            self._unreadable(fault)
        return None, fault


def hop_address(hop: str) -> str | None:
    """The address in an element of X-Forwarded-For, canonical and without a zone id; None if it cannot be parsed."""
    text = hop[1:-1].strip() if len(hop) > 1 and hop[0] == hop[-1] == '"' else hop
    found = _IPV4.fullmatch(text) or _IPV6.fullmatch(text)
    try:
        return str(ipaddress.ip_address((found[1] if found else text).strip().partition("%")[0]))
    except ValueError:
        return None
