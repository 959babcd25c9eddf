# SPDX-License-Identifier: GPL-3.0-or-later
"""The callers of signed DNS messages, by the name of their key.

HOST.DOMAIN   a host
k-LOGIN       a key for a group of hosts
t-ID          a token
other names   a key of DHCP servers
"""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ddnsd.auth.authenticate import SignIn, caller_of_host
from ddnsd.auth.caller import Caller
from ddnsd.auth.secrets import LOGIN_PREFIX
from ddnsd.auth.tokens import LocalTokens, usable
from ddnsd.auth.tsig_secrets import TsigSecrets
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import DhcpKey

_TOKEN = re.compile(r"t-([0-9]{1,18})")
_DHCP = re.compile(r"(?!k-|t-)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def may_name_dhcp_key(name: str) -> bool:
    """Whether a key of DHCP servers can have this name: one label that belongs to no other kind of key."""
    return _DHCP.fullmatch(name) is not None


class Signer:
    """The owner of a TSIG key: its secret in base64, and how to get its caller once a signature is right."""

    def __init__(self, secret: str, caller: Callable[[], Awaitable[Caller]]) -> None:
        self.secret, self.caller = secret, caller


class DhcpSigner(NamedTuple):
    """A DHCP server, which has no hosts: its key, and the secret in base64."""

    secret: str
    key: DhcpKey


class TsigCallers:
    """Finds the owners of TSIG keys."""

    def __init__(self, lookups: Lookups, secrets: TsigSecrets, signin: SignIn, tokens: LocalTokens) -> None:
        self._lookups, self._secrets, self._signin, self._tokens = lookups, secrets, signin, tokens

    async def find(self, name: str, client_ip: str | None) -> Signer | DhcpSigner | None:
        """The owner of the key with this folded name; None if there is none, or its secret is not known here.

        Raises StoreDown.
        """
        if not name.isascii() or "\0" in name:
            return None
        if "." in name:
            if host := await self._lookups.host.one(name):
                return await self._signer(host.secret_hash, lambda: _ready(caller_of_host(host)))
        elif name.startswith(LOGIN_PREFIX):
            if key := await self._lookups.key.one(name):
                return await self._signer(key.secret_hash, lambda: self._signin.caller_of_key(key))
        elif found := _TOKEN.fullmatch(name):
            row = await self._lookups.token_by_id.one(int(found[1]))
            if row is not None and usable(row[0], client_ip):
                return await self._signer(row[1], lambda: self._tokens.caller(row[0]))
        elif may_name_dhcp_key(name) and (of_dhcp := await self._lookups.dhcp_key.one(name)):
            secret = await self._secrets.find(bytes(of_dhcp.secret_hash))
            return None if secret is None else DhcpSigner(secret, of_dhcp)
        return None

    async def _signer(self, hashed: bytes, caller: Callable[[], Awaitable[Caller]]) -> Signer | None:
        secret = await self._secrets.find(bytes(hashed))
        return None if secret is None else Signer(secret, caller)


async def _ready(caller: Caller) -> Caller:
    return caller
