# SPDX-License-Identifier: GPL-3.0-or-later
"""Who makes a change, as a host's history tells it."""

from ddnsd.auth.caller import Caller, Kind
from ddnsd.registry.rows import Author


def author(caller: Caller, client_ip: str | None, agent: str) -> Author:
    """The caller with the address and the user agent of their request."""
    if caller.kind is Kind.USER:
        via = "user" if caller.token_id is None else "token"
        return Author(caller.user, client_ip, via, caller.credential_name, agent)
    return Author(caller.name, client_ip, caller.kind.value, caller.credential_name, agent)
