# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of browsers: a random cookie, its hash in the database, an idle limit and an absolute limit."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.claims_age import ClaimsAge, CurrentRights
from ddnsd.auth.secrets import digest
from ddnsd.db import queries, rows
from ddnsd.db import sessions as stored
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.lookups import Lookups
from ddnsd.db.sessions import NewSession

if TYPE_CHECKING:
    from ddnsd.auth.oidc.backchannel import LogoutToken

COOKIE = "__Host-ddns"
"""Secure; HttpOnly; SameSite=Lax; Path=/ and no Domain, which its prefix demands."""

PASSWORD, PASSKEY, PASSWORD_AND_PASSKEY = "", "passkey", "password+passkey"
"""The methods of sessions that began here: with a password (and a code), or with a passkey."""

LOCAL = frozenset({PASSWORD, PASSKEY, PASSWORD_AND_PASSKEY})
"""All of these; the method of other sessions is a provider's name."""

LENGTH = 43  # 256 bits in base64url
MOST = 50
"""Maximum sessions per user; one more ends the one that was seen longest ago."""

AGENT_LENGTH = 120
SEEN_MICROSECONDS = 60 * 1_000_000
"""Accuracy of `last_seen`."""

LOGOUT_MICROSECONDS = 3600 * 1_000_000
"""How long used logout tokens are remembered; they are valid for some minutes."""

FRESH_SECONDS = 600
"""How long after giving their password people may do what needs a recent sign-in."""


@dataclass(frozen=True)
class Lifetime:
    """Microseconds: `idle` since it was last seen, `absolute` since it began."""

    idle: int
    absolute: int

    def over(self, session: rows.Session, last_seen: int, moment: int) -> bool:
        """Whether the session has expired."""
        return moment - last_seen > self.idle or moment - session.created > self.absolute


class Proof(NamedTuple):
    """How a user proved who they are: when they gave a password, and the user and session at the provider."""

    authenticated: int
    subject: str | None = None
    sid: str | None = None


@dataclass(frozen=True)
class Session:
    """A session with its user; times in microseconds since the epoch. `method` is a provider's name, or one of `LOCAL`.

    `lapsed`: rights from a provider have ended. `csrf` is in every form of a page, and is returned with it.
    `sealing_key` is derived from the cookie. `must_add_factor`: an administrator who may do nothing before they have a
    second factor.
    """

    id: int
    user: Caller
    csrf: str
    method: str
    proof: Proof
    lapsed: bool
    created: int
    last_seen: int
    sealing_key: bytes = field(repr=False)
    must_add_factor: bool = False

    @property
    def is_fresh(self) -> bool:
        """Whether the user has signed in just now."""
        return _is_fresh(self.proof.authenticated)


class Sessions:
    """The sessions in the database; `passwords`: whether sessions that began here are valid.

    `admin_factor`: administrators who sign in here need a second factor.
    """

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        lifetime: Lifetime,
        claims_age: ClaimsAge | None = None,
        *,
        passwords: bool = True,
        admin_factor: bool = False,
    ) -> None:
        self._store, self._lookups, self.lifetime, self._passwords = store, lookups, lifetime, passwords
        self._admin_factor = admin_factor
        self._claims_age = claims_age or ClaimsAge()
        self._seen: dict[int, int] = {}

    async def find(self, cookie: str | None, client_ip: str | None) -> Session | None:  # noqa: ARG002
        """The session of a cookie's value; None when it has ended or its user is inactive. Raises StoreDown."""
        if cookie is None or len(cookie) != LENGTH:
            return None
        row = await self._lookups.session.one(digest(cookie))
        if row is None or not row.active or (row.method in LOCAL and not self._passwords):
            return None
        moment, last_seen = queries.now(), max(row.last_seen, self._seen.get(row.id, 0))
        if self.lifetime.over(row, last_seen, moment):
            return None
        if moment - last_seen > SEEN_MICROSECONDS:
            self._seen[row.id] = last_seen = moment
        rights = self._claims_age.in_session(row.rights)
        return Session(
            row.id,
            _caller(row, rights, self.lifetime),
            csrf_of(cookie),
            row.method,
            Proof(row.authenticated, row.subject, row.sid),
            rights.lapsed,
            row.created,
            last_seen,
            sealing_key_of(cookie),
            self._admin_factor and rights.admin and row.method in LOCAL and not row.second_factor,
        )

    async def begin(
        self,
        user_id: int,
        method: str,
        client_ip: str | None,
        agent: str,
        *,
        replaces: int | None = None,
        proof: Proof | None = None,
    ) -> str:
        """Begin a session. Returns the cookie's value. `replaces` is the browser's former session.

        Without a `proof` the user has just signed in here. Raises StoreDown.
        """
        cookie, moment = secrets.token_urlsafe(32), queries.now()
        when, subject, sid = proof or Proof(moment)
        hashed, when = digest(cookie), min(when, moment)
        new = NewSession(user_id, hashed, method, client_ip, _printable(agent), when, subject, sid)
        await self._store.transact(lambda c: _begin(c, new, replaces))
        return cookie

    async def end(self, session_id: int, client_ip: str | None = None) -> None:
        """End a session, at the wish of its user. Raises StoreDown."""
        await self._store.transact(lambda c: _end(c, session_id, client_ip))

    async def end_all(
        self, user_id: int, *, but: int | None = None, actor: str | None = None, client_ip: str | None = None
    ) -> int:
        """End a user's sessions except one. Returns the number. `actor` None is the user. Raises StoreDown."""
        return await self._store.transact(lambda c: _end_all(c, user_id, but, actor, client_ip))

    async def end_by_provider(self, method: str, logout: "LogoutToken", client_ip: str | None) -> bool:
        """End the sessions that a provider has ended. Returns False if the logout token was used before.

        Raises StoreDown.
        """
        return await self._store.transact(lambda c: _end_by_provider(c, method, logout, client_ip))

    async def list(self, user_id: int) -> list[rows.Session]:
        """A user's sessions that have not ended, the last seen first. Raises StoreDown."""
        await self.record_seen()
        moment = queries.now()
        found = await self._store.read(lambda c: stored.of_user(c, user_id))
        return [
            row
            for row in found
            if not self.lifetime.over(row, row.last_seen, moment) and (self._passwords or row.method not in LOCAL)
        ]

    async def record_seen(self) -> None:
        """Write when sessions were last seen. Raises StoreDown."""
        seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            await self._store.transact(lambda c: stored.mark_seen(c, seen))
        except StoreDown:
            self._seen = seen | self._seen
            raise


def proof(csrf: str, purpose: str) -> str:
    """The proof in a link that it is from a page of this session, valid for one purpose."""
    return hmac.new(csrf.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def sealing_key_of(cookie: str) -> bytes:
    """The encryption key for secrets that only the cookie's browser can read; 256 bits."""
    return hmac.digest(cookie.encode(), b"seal", hashlib.sha256)


def csrf_of(cookie: str) -> str:
    """The proof that a form is from a page of the cookie's browser."""
    return hmac.new(cookie.encode(), b"form", hashlib.sha256).hexdigest()


def _begin(connection: Connection, new: NewSession, replaces: int | None) -> None:
    if replaces is not None:
        stored.end(connection, replaces)
    stored.add(connection, new)
    stored.keep_newest(connection, new.user_id, MOST)
    name, method = queries.user_name(connection, new.user_id), new.method or "password"
    queries.add_event(connection, name, "session.begin", name, new.source, method, owner_id=new.user_id)


def _end(connection: Connection, session_id: int, client_ip: str | None) -> None:
    if (found := stored.session(connection, session_id)) is None:
        return
    stored.end(connection, session_id)
    method = found.method or "password"
    queries.add_event(connection, found.user, "session.end", found.user, client_ip, method, owner_id=found.user_id)


def _end_all(connection: Connection, user_id: int, but: int | None, actor: str | None, client_ip: str | None) -> int:
    count, name = stored.end_all(connection, user_id, but=but), queries.user_name(connection, user_id)
    if count:
        detail = f"{count} browsers" if count > 1 else "1 browser"
        queries.add_event(connection, actor or name, "session.end", name, client_ip, detail, owner_id=user_id)
    return count


def _end_by_provider(connection: Connection, method: str, logout: "LogoutToken", client_ip: str | None) -> bool:
    hashed = digest(f"{method} {logout.token_id}")
    if not stored.use_logout_token(connection, hashed, queries.now() - LOGOUT_MICROSECONDS):
        return False
    for session in stored.of_provider(connection, method, logout.subject, logout.sid):
        stored.end(connection, session.id)
        queries.add_event(
            connection, method, "session.end", session.user, client_ip, "by the provider", owner_id=session.user_id
        )
    return True


def _is_fresh(authenticated: int) -> bool:
    return queries.now() - authenticated < FRESH_SECONDS * 1_000_000


def _caller(row: rows.Session, rights: CurrentRights, lifetime: Lifetime) -> Caller:
    """The user of a session. What they create ends with the session, unless they have just signed in."""
    return Caller(
        Kind.USER,
        row.user,
        row.user_id,
        row.user,
        scopes=rights.scopes,
        groups=rights.groups,
        expires=None if _is_fresh(row.authenticated) else row.created + lifetime.absolute,
    )


def _printable(agent: str) -> str:
    return "".join(character if character.isprintable() else " " for character in agent)[:AGENT_LENGTH]
