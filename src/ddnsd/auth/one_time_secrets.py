# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets, stored until the next page shows them once.

A form is answered with a redirect, so that a reload does not send it again. The secret for the next page is in the
database, where every process finds it and only one reads it. It is encrypted with a key derived from the session's
cookie. The database has only a hash of the cookie, so neither it nor a copy reveals the secret.
"""

import asyncio
from collections.abc import Mapping

from ddnsd.auth.sealing import seal, unseal
from ddnsd.auth.sessions import Session
from ddnsd.db import one_time_secrets as stored
from ddnsd.db.base import Store

WAIT_SECONDS = 5.0
"""How long a page waits for a secret that is not ready: a registration waits for the name server."""

POLL_SECONDS = 0.1


class NotReady(Exception):
    """the secret is not ready yet"""


class OneTimeSecrets:
    """One-time secrets of sessions, by the numbers of their forms."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, session: Session, number: str, content: Mapping[str, str]) -> bool:
        """Store the secret before it works. False if the form was sent before. Raises StoreDown."""
        sealed = seal(session.sealing_key, content)
        return await self._store.transact(lambda c: stored.begin(c, session.id, number, sealed))

    async def finish(self, session: Session, number: str) -> None:
        """Mark the secret as ready. Raises StoreDown."""
        await self._store.transact(lambda c: stored.finish(c, session.id, number))

    async def cancel(self, session: Session, number: str) -> None:
        """Delete a secret that was not created. Raises StoreDown."""
        await self._store.transact(lambda c: stored.cancel(c, session.id, number))

    async def take(self, session: Session, number: str) -> dict[str, str] | None:
        """The secret, once. None if it was shown, is unknown or has expired. Raises NotReady, StoreDown."""
        end = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            found = await self._store.transact(lambda c: stored.take(c, session.id, number))
            if found is None or found.sealed is None:
                return None
            if found.ready:
                return unseal(session.sealing_key, found.sealed)
            if asyncio.get_running_loop().time() >= end:
                raise NotReady(NotReady.__doc__)
            await asyncio.sleep(POLL_SECONDS)
