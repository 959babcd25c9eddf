# SPDX-License-Identifier: GPL-3.0-or-later
"""Who calls: the address of the socket, or what a proxy of ours says of it in `X-Forwarded-For`.

The right-most hop that is no proxy of ours counts. Forms of a hop: 192.0.2.1 · 192.0.2.1:4711 · 2001:db8::1 ·
[2001:db8::1] · [2001:db8::1]:4711, each also in double quotes. Where it cannot be read the address is not known: it is
never the proxy's own, which would be published for every client.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ddnsd.web.connection_limits import Network, plain_address

UNIX = "unix"
"""Stands for the peer of a Unix socket, which has no address."""

HOPS = 32
"""Hops that are looked at, from the right."""

_PORT = r"(?::[0-9]{1,5})?"
_IPV4 = re.compile(r"([0-9.]+)" + _PORT)
_IPV6 = re.compile(r"\[([^\[\]]+)\]" + _PORT)


class Fault(NamedTuple):
    """Why a caller's address is not known: `front` is who called us, `hop` what it says, None where it says nothing."""

    front: str
    hop: str | None


Origin = tuple[str | None, bool, Fault | None]
"""The caller's address as text, None where it is not known; whether the request came over TLS; why it is not known."""


class Origins:
    """Tells where requests come from. `unix_proxy`: what comes over a Unix socket comes from a proxy of ours.

    `unreadable` hears of each hop that could not be read.
    """

    def __init__(
        self,
        proxies: Sequence[Network] = (),
        *,
        unix_proxy: bool = False,
        unreadable: Callable[[Fault], None] | None = None,
    ) -> None:
        self._proxies, self._unix_proxy, self._unreadable = tuple(proxies), unix_proxy, unreadable

    def of(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Origin:
        """Where a request comes from; several lines of X-Forwarded-For are one value in `headers`."""
        client = scope.get("client")
        peer, tls = client[0] if client else None, scope.get("scheme") == "https"
        fault = None
        if peer and self._trusted(peer):
            tls = headers.get(b"x-forwarded-proto", b"").strip().lower() == b"https" or tls
            if header := headers.get(b"x-forwarded-for", b"").strip():
                peer, fault = self._forwarded(header.decode("latin-1"), peer)
        if peer == UNIX:
            return None, tls, Fault(UNIX, None)
        # a zone id says nothing outside the machine
        return peer.partition("%")[0] if peer else None, tls, fault

    def _trusted(self, text: str) -> bool:
        if text == UNIX or not self._proxies:
            return text == UNIX and self._unix_proxy
        address = plain_address(text)
        return any(address in network for network in self._proxies)

    def _forwarded(self, header: str, front: str) -> tuple[str | None, Fault | None]:
        """The caller's address; where all hops are proxies of ours, the first of them."""
        hops = [part.strip() for part in header.rsplit(",", HOPS)]
        peer, hop = None, header  # the left-most part holds all hops beyond HOPS, and is none that can be read
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
    """The address in an element of X-Forwarded-For, canonical and without a zone id; None where none can be read."""
    text = hop[1:-1].strip() if len(hop) > 1 and hop[0] == hop[-1] == '"' else hop
    found = _IPV4.fullmatch(text) or _IPV6.fullmatch(text)
    try:
        return str(ipaddress.ip_address((found[1] if found else text).strip().partition("%")[0]))
    except ValueError:
        return None
