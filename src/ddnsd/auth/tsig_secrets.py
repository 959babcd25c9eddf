# SPDX-License-Identifier: GPL-3.0-or-later
"""The TSIG secrets of hosts, keys and tokens: the SHA-256 of their secrets, encrypted with a key outside the database.

A signature cannot be checked against a hash, as a password can. So who reads the database alone can sign nothing.
New secrets are kept before they are shown, by the service and by its commands. Those from before there was a port for
DNS UPDATE are kept when they are used on another path.
"""

import base64
from collections import OrderedDict
from collections.abc import Collection

from sqlalchemy import Connection

from ddnsd.auth import secrets
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import accepted_updates, queries, tsig_secrets
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.lookups import Lookups

SECONDS = 2.0
"""How often secrets that were used elsewhere are written."""

PURPOSE = "tsig"

REMEMBERED = 20_000
"""Maximum number of secrets in memory."""

PART = 200

OLD = 1000
"""Old messages that are forgotten in a transaction."""


def tsig_secret(secret: str) -> str:
    """The TSIG secret, in base64, of a host, key or token with this secret."""
    return base64.b64encode(secrets.digest(secret)).decode()


def sealed_row(keys: SealingKeys, secret: str) -> tuple[bytes, str]:
    """The row of `tsig_secrets` for a secret: its stored hash, and its TSIG secret, encrypted."""
    return _row(keys, *_pair(secret))


def keep(connection: Connection, keys: SealingKeys, secret: str) -> None:
    """Store the TSIG secret of a new secret, in the caller's transaction."""
    tsig_secrets.put(connection, [sealed_row(keys, secret)])


class TsigSecrets:
    """Keeps and finds TSIG secrets; none without `keys`, if there is no port for DNS UPDATE."""

    def __init__(self, store: Store, lookups: Lookups, keys: SealingKeys | None) -> None:
        self._store, self._lookups, self._keys = store, lookups, keys
        self._known: OrderedDict[bytes, str] = OrderedDict()  # by stored hash
        self._due: dict[bytes, str] = {}

    @property
    def are_kept(self) -> bool:
        """Whether TSIG secrets are stored: there is a port for DNS UPDATE."""
        return self._keys is not None

    async def keep(self, new: Collection[str]) -> None:
        """Store the TSIG secrets of these secrets. Raises StoreDown."""
        if self._keys is not None and new:
            rows = [sealed_row(self._keys, secret) for secret in new]
            await self._store.transact(lambda c: tsig_secrets.put(c, rows))

    def note(self, secret: str) -> None:
        """A secret was used elsewhere: store its TSIG secret soon, if it is not known."""
        if self._keys is None:
            return
        hashed, tsig = _pair(secret)
        if hashed not in self._known and len(self._due) < REMEMBERED:
            self._due[hashed] = tsig
            self._remember(hashed, tsig)

    async def write(self) -> None:
        """Write noted secrets, and forget old messages. Raises StoreDown; what is not written is kept."""
        due, self._due = self._due, {}
        left = list(due)
        try:
            while left:
                assert self._keys is not None
                rows = [_row(self._keys, hashed, due[hashed]) for hashed in left[:PART]]
                await self._store.transact(lambda c, r=rows: tsig_secrets.put(c, r))  # type: ignore[misc]
                left = left[PART:]
        except StoreDown:
            self._due = {hashed: due[hashed] for hashed in left} | self._due
            raise
        moment = queries.now()
        while await self._store.read(lambda c: accepted_updates.has_old(c, moment)):
            await self._store.transact(lambda c: accepted_updates.forget(c, moment, OLD))

    async def find(self, hashed: bytes) -> str | None:
        """The TSIG secret, in base64, of the host, key or token with this stored hash. Raises StoreDown."""
        if (known := self._known.get(hashed)) is not None:
            self._known.move_to_end(hashed)
            return known
        sealed = await self._lookups.tsig_secret.one(hashed)
        if sealed is None or self._keys is None:
            return None
        found = self._keys.unseal(PURPOSE, hashed.hex(), sealed)
        if found is not None:
            self._remember(hashed, found)
        return found

    def _remember(self, hashed: bytes, tsig: str) -> None:
        self._known[hashed] = tsig
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _row(keys: SealingKeys, hashed: bytes, tsig: str) -> tuple[bytes, str]:
    return hashed, keys.seal(PURPOSE, hashed.hex(), tsig)


def _pair(secret: str) -> tuple[bytes, str]:
    """The stored hash of a secret, and its TSIG secret."""
    return secrets.verifier(secret), tsig_secret(secret)
