# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrolment: a new machine sets the secret of its host with a token that works once.

A token stops working when it expires, when the host gets another token or secret, and when the user who created it may
no longer change the host. A machine that did not get the answer repeats its call, and gets the same answer.
"""

import hmac
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.auth import secrets
from ddnsd.auth.caller import BadCredentials, Caller
from ddnsd.auth.permissions import Action, can
from ddnsd.auth.throttle import Guess, LoginThrottle
from ddnsd.db import enrolments, host_edits, queries
from ddnsd.db.base import Store
from ddnsd.db.enrolments import Enrolment
from ddnsd.db.history import Author
from ddnsd.registry import history, names
from ddnsd.registry.errors import NoHost, NotEnrolled

NAME = "enrolment"
"""The name for the throttle, because an unknown token does not show its host."""

SHORTEST_SECONDS = 60
USUAL_SECONDS = 3600
LONGEST_SECONDS = 7 * 86_400


class NewEnrolment(NamedTuple):
    """A token for the host `fqdn`; `expires` in microseconds since the epoch."""

    token: str
    fqdn: str
    expires: int


class Enrolling(NamedTuple):
    """A machine with a usable enrolment token."""

    guess: Guess
    enrolment: Enrolment


class Enrolments:
    """Creates and checks enrolment tokens. Tokens and secrets are stored only as SHA-256 hashes."""

    def __init__(self, store: Store, throttle: LoginThrottle) -> None:
        self._store, self._throttle = store, throttle

    async def begin(self, caller: Caller, fqdn: str, lifetime: int, *, client_ip: str | None) -> NewEnrolment:
        """Create a token of `lifetime` seconds for the host. A former token no longer works when this returns.

        Raises NoHost, StoreDown.
        """
        name = names.fold(fqdn)
        if not names.is_full(name):
            raise NoHost
        token = secrets.new_enrolment()

        def work(connection: Connection) -> int:
            host = host_edits.locked_host(connection, name)
            if host is None or not can(caller, Action.ROTATE, host):
                raise NoHost
            expires = queries.now() + lifetime * 1_000_000
            enrolments.replace(
                connection,
                host.id,
                user_id=caller.user_id,
                token_hash=secrets.digest(token),
                replaces=host.secret_hash,
                expires=expires,
            )
            queries.add_event(
                connection,
                caller.user,
                "host.enrolment",
                host.fqdn,
                client_ip,
                f"for {lifetime} s",
                owner_id=host.owner_id,
            )
            return expires

        return NewEnrolment(token, name, await self._store.transact(work))

    async def recognise(self, token: str, client_ip: str | None) -> Enrolling:
        """Look up a machine's token. Raises NotEnrolled, StoreDown."""
        if not token.startswith(secrets.ENROLMENT_PREFIX):
            raise NotEnrolled
        try:
            guess = self._throttle.begin(NAME, token, client_ip or "")
        except BadCredentials:
            raise NotEnrolled from None
        found = await guess.rows.enrolment.one(secrets.digest(token))
        if found is None or not usable(found):
            self._throttle.failed(guess, wrong=found is None)
            raise NotEnrolled
        return Enrolling(guess, found)

    async def finish(self, enrolling: Enrolling, secret: str, client_ip: str | None, agent: str = "") -> str:
        """Set the host's secret, once. Returns its full name, also when the same call is repeated.

        The former secret no longer works when this returns. Raises NotEnrolled, StoreDown.
        """
        token_hash, secret_hash = secrets.digest(enrolling.guess.secret), secrets.verifier(secret)
        try:
            check_secret(enrolling.enrolment, secret_hash)
            return await self._store.transact(lambda c: _finish(c, token_hash, secret_hash, client_ip, agent))
        except NotEnrolled:
            self._throttle.failed(enrolling.guess, wrong=False)
            raise


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
    """Whether the token works now: its creator is still entitled, and it has not expired or been replaced."""
    entitled = found.active and found.owner_active and (found.admin or found.user_id == found.owner_id)
    return entitled and queries.now() < found.expires and (found.used or found.secret_hash == found.replaces)


def check_secret(found: Enrolment, secret_hash: bytes) -> None:
    """Check that a token that was used comes with the same secret again. Raises NotEnrolled."""
    if found.used and not hmac.compare_digest(found.secret_hash, secret_hash):
        raise NotEnrolled
