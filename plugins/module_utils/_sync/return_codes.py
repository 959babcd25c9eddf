# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of dyndns2 return codes, for an update of one address of one host."""

from __future__ import annotations

import ipaddress

from .errors import Refused, ServerError, Unauthorized

_REFUSALS = {
    "nohost": (404, "there is no such host, or it is not yours, or it is not available"),
    "!yours": (404, "the host belongs to another user"),
    "notfqdn": (400, "the server does not accept this as a full host name"),
    "numhost": (400, "too many hosts in one request"),
    "dnserr": (400, "the server does not accept this address, or its name server failed"),
    "abuse": (403, "the server has blocked the host for abuse"),
    "badagent": (403, "the server refuses this client program"),
    "badsys": (400, "the server does not accept the request's parameters"),
    "!donator": (403, "the account does not include this"),
    "911": (503, "the server's name server does not answer; try again later"),
}


def outcome_of(status: int, body: str, name: str, address: str) -> str:
    """`applied` or `unchanged`, from the answer to an update. Raises Unauthorized, Refused, ServerError.

    The body is a return code (`good nochg nohost …`). After `good` and `nochg` it also has the address.
    """
    word, _, rest = body.strip().partition(" ")
    if word in ("good", "nochg") and status == 200:
        if rest and not _contains(rest, address):
            raise ServerError(f"{name}: the server set {rest[:80]} instead of {address}")
        return "applied" if word == "good" else "unchanged"
    if word == "badauth":
        raise Unauthorized(f"{name}: the server does not accept the token for this host")
    if word in _REFUSALS:
        code, text = _REFUSALS[word]
        raise Refused(code, f"{name}: {word}: {text}")
    if status >= 400:
        raise Refused(status, f"{name}: the server answered {status} without a known return code")
    raise ServerError(f"{name}: the server sent an unknown return code: {body.strip()[:80]!r}")


def _contains(text: str, address: str) -> bool:
    """Whether the answer contains the address, in any spelling."""
    return address in {_canonical(part) for part in text.replace(",", " ").split()}


def _canonical(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
