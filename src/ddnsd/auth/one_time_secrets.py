# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets on their way to the page that shows them once.

A form is answered with a redirect, so that a reload sends nothing again. What the next page shows waits in the store,
where any process of the service finds it and one of them alone reads it. It is sealed with a key made of the session's
cookie, of which the store has only a hash: neither the database nor a copy of it tells the secret.
"""

import asyncio
import json
from collections.abc import Mapping

from ddnsd.auth.sessions import Session
from ddnsd.db import one_time_secrets as stored
from ddnsd.db.base import Store

WAIT_SECONDS = 5.0
"""How long a page waits for a secret that is being made: a registration waits for the name server."""

POLL_SECONDS = 0.1

_HEADER = {"alg": "dir", "enc": "A256GCM"}


class NotReady(Exception):
    """the secret is still being made"""


class OneTimeSecrets:
    """The secrets of sessions, by the numbers of the forms that made them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, session: Session, number: str, content: Mapping[str, str]) -> bool:
        """Keep what the next page shows, before it is in force; False where the form came before. Raises StoreDown."""
        sealed = _sealed(session.sealing_key, content)
        return await self._store.transact(lambda c: stored.begin(c, session.id, number, sealed))

    async def finish(self, session: Session, number: str) -> None:
        """It is in force. Raises StoreDown."""
        await self._store.transact(lambda c: stored.finish(c, session.id, number))

    async def cancel(self, session: Session, number: str) -> None:
        """It did not come into force. Raises StoreDown."""
        await self._store.transact(lambda c: stored.cancel(c, session.id, number))

    async def take(self, session: Session, number: str) -> dict[str, str] | None:
        """What the page shows, once: None where it was shown, is unknown or has expired. Raises NotReady, StoreDown."""
        end = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            found = await self._store.transact(lambda c: stored.take(c, session.id, number))
            if found is None or found.sealed is None:
                return None
            if found.ready:
                return _opened(session.sealing_key, found.sealed)
            if asyncio.get_running_loop().time() >= end:
                raise NotReady(NotReady.__doc__)
            await asyncio.sleep(POLL_SECONDS)


def _sealed(key: bytes, content: Mapping[str, str]) -> str:
    from joserfc import jwe  # here: commands start faster without it
    from joserfc.jwk import OctKey

    return jwe.encrypt_compact(_HEADER, json.dumps(dict(content)).encode(), OctKey.import_key(key))


def _opened(key: bytes, sealed: str) -> dict[str, str]:
    from joserfc import jwe
    from joserfc.jwk import OctKey

    content: dict[str, str] = json.loads(jwe.decrypt_compact(sealed, OctKey.import_key(key)).plaintext or b"")
    return content
