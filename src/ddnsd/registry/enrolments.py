# SPDX-License-Identifier: GPL-3.0-or-later
"""How a new machine gets its host's secret: by a token that works once, with which it brings a secret of its own.

A token is void when it expires, when the host gets another token or another secret, and when whoever made it may no
longer change the host. A machine that did not get the answer repeats its call, and gets the same one.
"""

import hmac
from collections.abc import Callable

from sqlalchemy import Connection

from ddnsd.db import enrolments, host_edits, queries
from ddnsd.db.base import Store
from ddnsd.db.enrolments import Enrolment
from ddnsd.db.history import Author
from ddnsd.db.rows import Host
from ddnsd.registry import history
from ddnsd.registry.errors import NoHost, NotEnrolled

SHORTEST_SECONDS = 60
USUAL_SECONDS = 3600
LONGEST_SECONDS = 7 * 86_400


class Enrolments:
    """The enrolment tokens of the hosts; hashes are SHA-256, nothing else is kept of a token or secret."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(
        self,
        fqdn: str,
        token_hash: bytes,
        lifetime: int,
        *,
        user_id: int,
        actor: str,
        client_ip: str | None,
        expect: Callable[[Host], None],
    ) -> int:
        """Keep a token of `lifetime` seconds for the host, made by a user; a former one is void when this returns.

        Answers when it expires, in microseconds since the epoch. `expect` is called with the row just before, and may
        raise. Raises NoHost, StoreDown.
        """

        def work(connection: Connection) -> int:
            host = host_edits.locked_host(connection, fqdn)
            if host is None:
                raise NoHost
            expect(host)
            expires = queries.now() + lifetime * 1_000_000
            enrolments.replace(
                connection, host.id, user_id=user_id, token_hash=token_hash, replaces=host.secret_hash, expires=expires
            )
            detail = f"for {lifetime} s"
            queries.add_event(connection, actor, "host.enrolment", host.fqdn, client_ip, detail, owner_id=host.owner_id)
            return expires

        return await self._store.transact(work)

    async def finish(self, token_hash: bytes, secret_hash: bytes, client_ip: str | None, agent: str = "") -> str:
        """Give the host this secret, once; answers its full name, also when the same call is repeated.

        The former secret is void when this returns. Raises NotEnrolled, StoreDown.
        """
        return await self._store.transact(lambda c: _finish(c, token_hash, secret_hash, client_ip, agent))


def _finish(connection: Connection, token_hash: bytes, secret_hash: bytes, client_ip: str | None, agent: str) -> str:
    found = enrolments.locked(connection, token_hash)
    if found is None or not usable(found):
        raise NotEnrolled
    check_secret(found, secret_hash)
    if found.used:
        return found.fqdn
    queries.set_host(connection, found.host_id, secret_hash=secret_hash)
    host_edits.leave_keys_of_others(connection, [found.host_id])
    enrolments.mark_used(connection, found.host_id)
    queries.add_event(connection, found.fqdn, "host.enrol", found.fqdn, client_ip, None, owner_id=found.owner_id)
    author = Author(found.fqdn, client_ip, "enrolment", None, agent)
    history.rotated(connection, found.host_id, found.owner_id, author)
    return found.fqdn


def usable(found: Enrolment) -> bool:
    """Whether the token may be used now, with one secret at least."""
    entitled = found.active and found.owner_active and (found.admin or found.user_id == found.owner_id)
    return entitled and queries.now() < found.expires and (found.used or found.secret_hash == found.replaces)


def check_secret(found: Enrolment, secret_hash: bytes) -> None:
    """Whether the token may be used with this secret: a used one with the same alone. Raises NotEnrolled."""
    if found.used and not hmac.compare_digest(found.secret_hash, secret_hash):
        raise NotEnrolled
