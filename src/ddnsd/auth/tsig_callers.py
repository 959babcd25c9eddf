# SPDX-License-Identifier: GPL-3.0-or-later
"""The callers of signed DNS messages, by the name of their key.

HOST.DOMAIN   a host
k-LOGIN       a key for a group of hosts
t-ID          a token
"""

import re
from collections.abc import Awaitable, Callable

from ddnsd.auth.authenticate import SignIn, caller_of_host
from ddnsd.auth.caller import Caller
from ddnsd.auth.secrets import LOGIN_PREFIX
from ddnsd.auth.tokens import LocalTokens, usable
from ddnsd.auth.tsig_secrets import TsigSecrets
from ddnsd.db.lookups import Lookups

_TOKEN = re.compile(r"t-([0-9]{1,18})")


class Signer:
    """The owner of a TSIG key: its secret in base64, and how to get its caller once a signature is right."""

    def __init__(self, secret: str, caller: Callable[[], Awaitable[Caller]]) -> None:
        self.secret, self.caller = secret, caller


class TsigCallers:
    """Finds the owners of TSIG keys."""

    def __init__(self, lookups: Lookups, secrets: TsigSecrets, signin: SignIn, tokens: LocalTokens) -> None:
        self._lookups, self._secrets, self._signin, self._tokens = lookups, secrets, signin, tokens

    async def find(self, name: str, client_ip: str | None) -> Signer | None:
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
        return None

    async def _signer(self, hashed: bytes, caller: Callable[[], Awaitable[Caller]]) -> Signer | None:
        secret = await self._secrets.find(bytes(hashed))
        return None if secret is None else Signer(secret, caller)


async def _ready(caller: Caller) -> Caller:
    return caller
