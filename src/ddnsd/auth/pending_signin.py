# SPDX-License-Identifier: GPL-3.0-or-later
"""A sign-in whose password was right, and that waits for the second factor: a cookie of the browser.

Its proof is keyed with the stored hash of the password and with the key file. So it needs no table, all nodes accept
it, it ends with the password, and a copy of the database is not enough to make one.
"""

import base64
import hmac
import json
import time
from typing import NamedTuple

from ddnsd.auth.passwords import Suspended
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import identities
from ddnsd.db.base import Store

COOKIE = "__Host-ddns-second"
SECONDS = 600
LONGEST = 2048


class PendingUser(NamedTuple):
    """The user who signs in."""

    user_id: int
    name: str


class PendingSignIns:
    """Makes and reads the cookie. `keys` are None where the operator has made no key file."""

    def __init__(self, store: Store, keys: SealingKeys | None) -> None:
        self._store, self._key = store, keys.mac_key("pending sign-in") if keys is not None else b""

    async def new_cookie(self, name: str) -> str:
        """The cookie after the right password of the user; "" if the password is gone. Raises StoreDown."""
        row = await self._store.read(lambda c: identities.password_of(c, name.strip()))
        if row is None:
            return ""
        began = int(time.time())
        content = json.dumps([name.strip(), began, self._proof(name.strip(), began, row.hash)])
        return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")

    async def user_of(self, cookie: str) -> PendingUser | None:
        """The user whose password was right; None if the cookie is not ours or too old. Raises Suspended, StoreDown."""
        name, began, proof = _content(cookie)
        if not 0 <= int(time.time()) - began <= SECONDS:
            return None
        row = await self._store.read(lambda c: identities.password_of(c, name))
        if row is None or not hmac.compare_digest(proof.encode(), self._proof(name, began, row.hash).encode()):
            return None
        if not row.active:
            raise Suspended(row.suspension_reason)
        return PendingUser(row.user_id, name)

    def _proof(self, name: str, began: int, stored_hash: str) -> str:
        key = hmac.digest(self._key, stored_hash.encode(), "sha256")
        return hmac.digest(key, json.dumps(["second factor", name, began]).encode(), "sha256").hex()


def _content(cookie: str) -> tuple[str, int, str]:
    """Name, time and proof; ("", 0, "") for another text."""
    text = cookie[:LONGEST]
    try:
        name, began, proof = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, RecursionError):
        return "", 0, ""
    if (type(name), type(began), type(proof)) != (str, int, str) or not name.isprintable() or not proof.isascii():
        return "", 0, ""
    return name, began, proof
