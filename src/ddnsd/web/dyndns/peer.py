# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers for requests that use the caller's own address."""

import ipaddress

from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.web.asgi import Request


def bare_address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse any address without a zone id. IPv4-mapped IPv6 becomes IPv4. Raises ValueError."""
    address = ipaddress.ip_address((text or "").partition("/")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.scope_id is not None:
        raise ValueError("an address with a zone id means something on one machine only")
    return address.ipv4_mapped or address


def note_silent_front(fronts: Fronts, request: Request) -> None:
    """Report a proxy that does not send the caller's address. An unreadable address was reported before."""
    if request.fault is not None and request.fault.hop is None:
        fronts.note(*request.fault)
